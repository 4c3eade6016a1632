"""Every topic in one table: what it is keyed by, what it holds, how long it is kept.

`dropstream topics plan/apply` makes the cluster agree with this table; nothing else creates a topic.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from schemas.settings import Settings

_HOUR_MS = 3_600_000
_DAY_MS = 86_400_000
_RAW_MS = 30 * _DAY_MS
# Longer than a year, so that a yearly review finds all of it.
_ACTS_MS = 400 * _DAY_MS
# Of changelogs: they are read whole at a start, so what is superseded must be removed in time.
_SEGMENT_BYTES = 67_108_864
# An event holds the whole body and what was read from it; the room over the body is for that, and for up to 128 header
# fields of 8,190 bytes (aiohttp's own limits). A larger event is rejected with its size, never sent to fail.
ENVELOPE_BYTES = 2_097_152
BODY_BYTES = 1_048_576
BODIES = 2
# A rejected record is larger than its raw record by the reason and the position.
MARGIN_BYTES = 65_536
_ANY_TIME = str(2**63 - 1)


@dataclass(frozen=True, slots=True)
class Topic:
    """One row: `name` without prefix; `retention_ms` None for a compacted one.

    `grows` where it has as many partitions as `kafka.partitions` says; of the others any number does.
    With `keeps_window` a compacted topic forgets what no delivery that is still in `raw` can ask for.
    """

    name: str
    key: str
    value: str
    retention_ms: int | None
    grows: bool = True
    keeps_window: bool = False


TOPICS: tuple[Topic, ...] = (
    Topic("raw", "endpoint, or endpoint#lane", "exact body bytes", _RAW_MS),
    Topic("orders", "provider:endpoint:order_id", "event", 30 * _DAY_MS),
    Topic("inventory", "provider:endpoint:sku-or-variant", "event", 30 * _DAY_MS),
    Topic("catalog", "provider:endpoint:entity_id", "event", 30 * _DAY_MS),
    Topic("incidents", "provider:endpoint:entity_id", "event", 30 * _DAY_MS),
    Topic("other", "provider:endpoint:entity_id", "event", 30 * _DAY_MS),
    Topic("rejected", "as raw", "the raw record, unchanged", 30 * _DAY_MS),
    Topic("sequence", "endpoint", "one observation per verified delivery", 7 * _DAY_MS),
    Topic("duplicates", "endpoint", "one record per dropped retry", 30 * _DAY_MS),
    Topic("gaps", "endpoint", "a gap's state", 30 * _DAY_MS),
    # What people did (schemas/notes/acts.py; partition 0 alone, so that it has one order).
    Topic("acts", "who did it", "one act, begun or ended; one login", _ACTS_MS, grows=False),
    # Changelogs: as many partitions as the input, for state lives in the partition of its input's number.
    Topic("deliver-state", "raw offset", "the keys of one transaction", None, keeps_window=True),
    Topic("sequence-state", "endpoint, or a hole of it", "what the gap tracker remembers", None),
    Topic("replay-state", "replay's id, with the partition", "a replay's plan; how far it is in a partition", None),
    # Among how many partitions keys are placed (schemas/notes/layouts.py; partition 0 alone).
    Topic("layout", "layout", "the number of partitions that counts, and where a migration stands", None, grows=False),
    # How far reconciliations are (schemas/notes/reconciliations.py; partition 0 alone).
    Topic(
        "reconcile-state",
        "run's id, or memory/endpoint",
        "how far a run is; what the next one is to know",
        None,
        grows=False,
    ),
    # What an audit stands on (schemas/notes/rules.py), and what it keeps (schemas/notes/audits.py; partition 0 alone).
    Topic(
        "rules",
        "topic/partition/offset, or a digest",
        "by which rules a topic was judged from there on",
        None,
        grows=False,
    ),
    Topic("audit-state", "last, or clean", "how the last audit ended; where the last clean one did", None, grows=False),
)


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic as it ought to be on the cluster; `name` is the full name, `config` in Kafka's own words.

    It may have other partitions than `partitions` unless it `grows`.
    """

    name: str
    partitions: int
    replication_factor: int
    config: dict[str, str]
    grows: bool = True


def plan(settings: Settings) -> tuple[TopicPlan, ...]:
    """Every topic as these settings want it."""
    kafka = settings.kafka
    return tuple(
        TopicPlan(
            name=kafka.topic_prefix + topic.name,
            partitions=kafka.partitions,
            replication_factor=kafka.replication_factor,
            config=_config(topic, settings),
            grows=topic.grows,
        )
        for topic in TOPICS
    )


def copy_plan(settings: Settings, names: Collection[str], suffix: str) -> tuple[TopicPlan, ...]:
    """Topics made like those of these short names, `orders.SUFFIX` and so on."""
    originals = {settings.kafka.topic_prefix + name for name in names}
    return tuple(replace(one, name=f"{one.name}.{suffix}") for one in plan(settings) if one.name in originals)


def raw_bytes_max(settings: Settings) -> int:
    """The largest record that `raw` takes, in bytes; lowering `body_bytes_max` below 1 MiB does not lower it."""
    return BODIES * max(settings.ingest.body_bytes_max, BODY_BYTES) + ENVELOPE_BYTES


def record_bytes_max(settings: Settings) -> int:
    """The largest record that every other topic takes, in bytes; a delivery whose event would be larger is rejected."""
    return raw_bytes_max(settings) + MARGIN_BYTES


def _config(topic: Topic, settings: Settings) -> dict[str, str]:
    config = {
        "max.message.bytes": str(raw_bytes_max(settings) if topic.name == "raw" else record_bytes_max(settings)),
        # With three replicas an acknowledged record survives the loss of one node, and one node may be away.
        "min.insync.replicas": "2" if settings.kafka.replication_factor >= 3 else "1",
        "message.timestamp.type": "CreateTime",
        # Where the clock of an ingress runs ahead, Kafka must not refuse its records: the default is an hour.
        "message.timestamp.after.max.ms": _ANY_TIME,
    }
    if topic.retention_ms is not None:
        return {**config, "cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}
    # Kafka compacts and deletes whole segments, never the newest; the sizes that it has by default would keep the
    # superseded records of months.
    config |= {"segment.bytes": str(_SEGMENT_BYTES), "segment.ms": str(_DAY_MS)}
    if not topic.keeps_window:
        return {**config, "cleanup.policy": "compact"}
    # A key is asked for until its window is over, and by deliveries that wait in `raw` for as long as that keeps them.
    kept_ms = settings.process.dedupe_window_hours * _HOUR_MS + _RAW_MS + _DAY_MS
    return {**config, "cleanup.policy": "compact,delete", "retention.ms": str(kept_ms)}
