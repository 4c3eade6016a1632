"""Reads the state of the consumer groups from Kafka alone, so it is known while no processor runs."""

from dataclasses import dataclass

from ops.console.memory import Memory
from ops.kafka.offsets import GROUP_SOURCES, members_if_known, read_group_offsets
from ops.kafka.reader import full_name
from schemas.kafka.log_bounds import NotKnown
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group: its members, the records that it has not processed, and the time of the first of them where known.

    `members` is None where the cluster cannot say. `unknown` counts the partitions of which nobody can say how many
    records wait, and `why` tells of one of them; `waiting` is of the others. All of it is as it was at `asked_at_ms`.
    """

    name: str
    members: int | None
    waiting: int
    oldest_ms: int | None
    asked_at_ms: int
    unknown: int = 0
    why: str = ""


async def read_group_state(settings: Settings, name: str, memory: Memory, *, now_ms: int) -> GroupState | None:
    """The state of the group now; None where the cluster knows nothing of groups, as the in-memory broker.

    Raises:
        DropstreamError: the cluster or the topic cannot be read.
    """
    group, source = settings.kafka.topic_prefix + name, GROUP_SOURCES[name]
    found = await read_group_offsets(settings, group, [full_name(source, settings)])
    count = await members_if_known(settings, group)
    if count is None and all(one.committed is None for one in found):
        return None
    waiting, oldest, unknown = 0, [], [one.unknown_why for one in found if one.unknown_why]
    for one in found:
        if isinstance(one.log, NotKnown) or isinstance(one.committed, NotKnown):
            continue
        committed = max(one.committed or 0, one.log.first)
        left, oldest_ms = memory.waiting(source, one.partition.partition, committed, one.log.end)
        waiting += left
        oldest += [] if oldest_ms is None else [oldest_ms]
    return GroupState(name, count, waiting, min(oldest, default=None), now_ms, len(unknown), next(iter(unknown), ""))
