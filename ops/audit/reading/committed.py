"""Reads what a group has committed, by partition; where that is not known, a sentence says what to wait for.

An error of the coordinator is never taken for "nothing committed": see `schemas.kafka.committed_offsets`.
"""

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from ops.audit.verdict import Pending
from ops.kafka.offsets import members_if_known, open_client
from schemas.kafka.committed_offsets import ask_patiently, committed_offsets
from schemas.notes.replays import Range
from schemas.settings import Settings

_COORDINATOR_ONCE_S = 2.0


async def committed_by_partition(
    settings: Settings, name: str, partitions: Sequence[TopicPartition]
) -> tuple[dict[TopicPartition, int | None], dict[int, str]]:
    """The committed offsets by partition, and a sentence for each partition whose offset is not known."""
    group = f"{settings.kafka.topic_prefix}{name}"
    found: dict[TopicPartition, int | None] = {}
    unknown: dict[int, str] = {}
    async with open_client(settings) as client:
        try:
            return await ask_patiently(lambda: committed_offsets(client, group, partitions)), unknown
        except (KafkaError, TimeoutError):
            pass  # Some partitions may be known all the same: they are asked one by one.
        for one in partitions:
            try:
                async with asyncio.timeout(_COORDINATOR_ONCE_S):
                    found |= await committed_offsets(client, group, [one])
            except (KafkaError, TimeoutError) as error:
                unknown[one.partition] = (
                    f"what group {group} has committed in partition {one.partition} of {one.topic} is not known "
                    f"({type(error).__name__}); its coordinator moves, loads or is away: audit again when "
                    f"dropstream offsets show --group {name} shows every partition"
                )
    return found, unknown


async def waiting_for(
    settings: Settings,
    ranges: Sequence[Range],
    committed: Mapping[TopicPartition, int | None],
    unknown: Mapping[int, str],
) -> list[Pending]:
    """The deliveries that the group has not reached, with the reason why it may still reach them."""
    group = f"{settings.kafka.topic_prefix}deliver"
    by_partition = {one.partition: offset for one, offset in committed.items()}
    left = [
        (one, max(one.first, by_partition.get(one.partition) or 0))
        for one in ranges
        if one.partition not in unknown and max(one.first, by_partition.get(one.partition) or 0) < one.end
    ]
    if not left:
        return []
    count = await members_if_known(settings, group)
    if count is None:
        why = f"how many members group {group} has is not known"
    elif count:
        why = f"group {group} reads on, with {count} member{'s' if count > 1 else ''}"
    else:
        why = f"group {group} has no members: start dropstream process"
    nothing = "; it has committed nothing in this partition yet"
    return [
        Pending(one.partition, first, one.end, why + ("" if by_partition[one.partition] is not None else nothing))
        for one, first in left
    ]
