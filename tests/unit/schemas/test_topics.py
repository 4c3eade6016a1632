"""The table of topics, written out: keys, how long each topic is kept, how many replicas must have a record."""

import pytest

from schemas.configuration import Context, read_configuration
from schemas.settings import Settings
from schemas.topics import TOPICS, plan

KEYS = {
    "raw": "endpoint, or endpoint#lane",
    "orders": "provider:endpoint:order_id",
    "inventory": "provider:endpoint:sku-or-variant",
    "catalog": "provider:endpoint:entity_id",
    "incidents": "provider:endpoint:entity_id",
    "other": "provider:endpoint:entity_id",
    "rejected": "as raw",
    "sequence": "endpoint",
    "duplicates": "endpoint",
    "gaps": "endpoint",
    "acts": "who did it",
}
# 30 days are 2,592,000,000 ms, 7 days are 604,800,000 ms, and 400 days are 34,560,000,000 ms.
KEPT = {
    "dropstream.raw": ("delete", "2592000000"),
    "dropstream.orders": ("delete", "2592000000"),
    "dropstream.inventory": ("delete", "2592000000"),
    "dropstream.catalog": ("delete", "2592000000"),
    "dropstream.incidents": ("delete", "2592000000"),
    "dropstream.other": ("delete", "2592000000"),
    "dropstream.rejected": ("delete", "2592000000"),
    "dropstream.sequence": ("delete", "604800000"),
    "dropstream.duplicates": ("delete", "2592000000"),
    "dropstream.gaps": ("delete", "2592000000"),
    # 120 hours, and 31 days: a day more than `raw` is kept.
    "dropstream.deliver-state": ("compact,delete", "3110400000"),
    "dropstream.sequence-state": ("compact", None),
    "dropstream.replay-state": ("compact", None),
    "dropstream.acts": ("delete", "34560000000"),
    "dropstream.layout": ("compact", None),
    "dropstream.reconcile-state": ("compact", None),
    "dropstream.rules": ("compact", None),
    "dropstream.audit-state": ("compact", None),
}


def settings(kafka: str = "", process: str = "") -> Settings:
    return read_configuration(
        f"[kafka]\n{kafka}\n[process]\n{process}\n[endpoints]\n", source="test", context=Context({}, ())
    )


def test_every_topic_is_kept_as_long_as_promised() -> None:
    """Full name, clean-up policy and retention of every topic are the literal ones, and there is no other topic."""
    planned = plan(settings())
    assert len(planned) == len(KEPT)
    assert {topic.name: (topic.config["cleanup.policy"], topic.config.get("retention.ms")) for topic in planned} == KEPT


def test_every_topic_that_others_read_is_keyed_as_promised() -> None:
    """The key column of the table is the literal one; compacted topics are nobody else's to read."""
    assert {topic.name: topic.key for topic in TOPICS if topic.retention_ms is not None} == KEYS


@pytest.mark.parametrize(("replicas", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_two_of_three_replicas_must_have_a_record(replicas: int, in_sync: str) -> None:
    """From three replicas on, every topic asks for two in sync; with fewer, one node away must stop nothing."""
    planned = plan(settings(f"replication_factor = {replicas}"))
    assert {topic.config["min.insync.replicas"] for topic in planned} == {in_sync}
    assert {topic.replication_factor for topic in planned} == {replicas}


def test_without_a_setting_there_are_12_partitions_and_3_replicas() -> None:
    """The defaults are those of a cluster, not of a laptop, and a record's time is the one that we give it."""
    planned = plan(settings())
    assert {(topic.partitions, topic.replication_factor) for topic in planned} == {(12, 3)}
    assert {topic.config["message.timestamp.type"] for topic in planned} == {"CreateTime"}


def test_changelogs_are_cleaned_in_time() -> None:
    """Their segments end after a day or 64 MiB, so that a start reads little that is superseded."""
    kinds = {topic.name: topic.config for topic in plan(settings())}
    ends = {
        (config.get("segment.ms"), config.get("segment.bytes")) for name, config in kinds.items() if "state" in name
    }
    assert ends == {("86400000", "67108864")}
    longer = {topic.name: topic.config for topic in plan(settings(process="dedupe_window_hours = 240"))}
    assert longer["dropstream.deliver-state"]["retention.ms"] == "3542400000"


def test_prefix_and_partitions_are_those_of_the_settings() -> None:
    """Every topic has the same number of partitions, for state lies in the partition of its input's number."""
    planned = plan(settings('topic_prefix = "shop."\npartitions = 7'))
    assert planned[0].name == "shop.raw"
    assert {(topic.name.partition(".")[0], topic.partitions) for topic in planned} == {("shop", 7)}
