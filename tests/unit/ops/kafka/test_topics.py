"""The plan of topics against what a cluster has: a pure comparison."""

from ops.kafka.topics import TopicState, compare
from schemas.topics import TopicPlan

PLAN = TopicPlan(
    "d.orders", partitions=12, replication_factor=3, config={"retention.ms": "1000", "cleanup.policy": "delete"}
)
CONFIG = {"retention.ms": "1000", "cleanup.policy": "delete", "segment.bytes": "99"}


def state(*, partitions: int = 12, replication_factor: int = 3, **config: str) -> TopicState:
    found = CONFIG | {name.replace("_", "."): value for name, value in config.items()}
    return TopicState(partitions, replication_factor, config=found, own=found)


def test_a_topic_that_is_not_there_is_missing() -> None:
    """Without a state there is nothing to compare."""
    (one,) = compare([PLAN], {"d.other": state()})
    assert one.verdict == "missing"
    assert one.sentence == ""


def test_what_the_plan_does_not_mention_is_no_difference() -> None:
    """A setting of somebody else's leaves the topic in agreement."""
    (one,) = compare([PLAN], {"d.orders": state()})
    assert one.verdict == "agrees"


def test_every_difference_is_named() -> None:
    """Partitions, replicas and settings are told with what is there and what is planned."""
    (one,) = compare([PLAN], {"d.orders": state(partitions=3, replication_factor=1, retention_ms="5")})
    assert one.verdict == "differs"
    assert one.shape == ("partitions 3, planned 12", "replication factor 1, planned 3")
    assert one.config == {"retention.ms": ("5", "1000")}
    assert one.sentence == ("partitions 3, planned 12; replication factor 1, planned 3; retention.ms 5, planned 1000")
