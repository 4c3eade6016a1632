"""Reads the state of the consumer groups from Kafka alone, so it is known while no processor runs."""

from dataclasses import dataclass

from ops.console.memory import Memory
from ops.kafka.offsets import members_if_known, read_group_offsets
from ops.kafka.reader import full_name
from schemas.settings import Settings

# The groups of `dropstream process`, and the topic that each reads.
SOURCES = {"deliver": "raw", "sequence": "sequence"}


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group: its members, the records that it has not processed, and the time of the first of them where known.

    `members` is None where the cluster cannot say.
    """

    name: str
    members: int | None
    waiting: int
    oldest_ms: int | None


async def read_group_state(settings: Settings, name: str, memory: Memory) -> GroupState | None:
    """The state of the group now; None where the cluster knows nothing of groups, as the in-memory broker.

    Raises:
        DropstreamError: the cluster or the topic cannot be read.
    """
    group, source = settings.kafka.topic_prefix + name, SOURCES[name]
    found = await read_group_offsets(settings, group, [full_name(source, settings)])
    count = await members_if_known(settings, group)
    if count is None and all(one.committed is None for one in found):
        return None
    waiting, oldest = 0, []
    for one in found:
        committed = one.first if one.committed is None else max(one.committed, one.first)
        left, oldest_ms = memory.waiting(source, one.partition.partition, committed, one.end)
        waiting += left
        oldest += [] if oldest_ms is None else [oldest_ms]
    return GroupState(name, count, waiting, min(oldest, default=None))
