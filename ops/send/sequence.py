"""Finds where the sequence of an endpoint stands, so that a sample leaves no hole in it, and restarts nothing.

What group `deliver` noted counts, for its deliveries are verified; what lies unread in `raw` is waited for.
"""

import asyncio
from datetime import UTC, datetime

from ops.kafka.offsets import PartitionOffsets, read_group_offsets
from ops.kafka.partitions import partitions_of
from ops.kafka.reader import AtOffset, Newest, full_name, open_reader
from processors.groups import gap_rules
from processors.sequence import tracker
from processors.sequence.receipts import arrival_of
from processors.sequence.state import SequenceState
from schemas.errors import DropstreamError
from schemas.kafka.log_bounds import NotKnown
from schemas.kafka.partitions import partition_of
from schemas.notes.sequence_observations import read_observation
from schemas.settings import Settings

_READ_WITHIN_S = 10.0
_POLL_S = 0.3
# The newest observation of most endpoints is among the newest of its partition; else the whole partition is read.
_NEWEST = 1_000


async def newest_id(settings: Settings, endpoint: str) -> int | None:
    """The highest sequence id of the endpoint's present epoch; None where no verified delivery of it is known.

    Raises:
        DropstreamError: Kafka is away, or deliveries are unread in `raw`, so that nobody can say.
    """
    await _wait_read(settings)
    topic = full_name("sequence", settings)
    partition = partition_of(endpoint.encode(), len(await partitions_of(settings, [topic])))
    for start in (Newest(_NEWEST), AtOffset(partition, 0)):
        state: SequenceState | None = None
        rules = gap_rules(settings)
        async with open_reader(settings, [topic], start) as reader:
            while not await reader.is_at_end():
                for record in await reader.fetch():
                    observation = read_observation(record.value)
                    if observation is not None and observation.endpoint == endpoint:
                        state = tracker.observe(state, arrival_of(observation), rules).state
        if state is not None:
            settled = tracker.advance(state, datetime.now(UTC), rules).state
            return max(settled.highest, *(one.sequence for one in settled.waiting), 0)
    return None


def harm_of(first: int, newest: int) -> str:
    """What becomes of a sequence that stands at `newest` when `first` comes; empty where nothing does."""
    if first == newest + 1:
        return ""
    if first > newest + 1:
        return (
            f"the ids {newest + 1} to {first - 1} count as missing"
            if first > newest + 2
            else f"id {newest + 1} counts as missing"
        )
    return "the counter may seem to have restarted: then every open hole counts as lost"


async def _wait_read(settings: Settings) -> None:
    """Returns when group `deliver` has read all that is in `raw` now.

    Raises:
        DropstreamError: it does not within ten seconds, or how far it is, is not known.
    """
    group, raw = settings.kafka.topic_prefix + "deliver", full_name("raw", settings)
    found = await read_group_offsets(settings, group, [raw])
    ends = {one.partition: one.log.end for one in found if not isinstance(one.log, NotKnown)}
    deadline = asyncio.get_running_loop().time() + _READ_WITHIN_S
    while left := [one for one in found if not _has_read(one, ends.get(one.partition))]:
        if asyncio.get_running_loop().time() > deadline:
            why = next((one.unknown_why for one in left if one.unknown_why), "does dropstream process run?")
            raise DropstreamError(f"deliveries lie unread in {raw} ({why}), and their sequence ids count")
        await asyncio.sleep(_POLL_S)
        found = await read_group_offsets(settings, group, [raw])


def _has_read(one: PartitionOffsets, end: int | None) -> bool:
    if end is None or isinstance(one.log, NotKnown) or isinstance(one.committed, NotKnown):
        return False
    return max(one.committed or 0, one.log.first) >= end
