"""`dropstream topics apply --migrate`: more partitions for the keyed topics, while deliveries come in.

The argument stands in `docs/guarantees.md`. The layout on topic `layout` says how far a migration is, so one that died
goes on where it was: every step can be done again. `drain`: the ingress spools, and the groups read the old partitions
to their end. `move`: the groups are empty; partitions are added, what is remembered moves, and one transaction makes
the new layout count.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewPartitions

from ops.kafka.clients import admin, kafka_failures_explained
from ops.kafka.layouts import current_layout, look_at_layout, put_layout
from ops.kafka.offsets import members, read_group_offsets
from ops.kafka.partitions import written_ends
from ops.kafka.ranges import read_ranges
from ops.kafka.reader import full_name
from ops.kafka.state_moves import move_states
from schemas.errors import DropstreamError
from schemas.kafka.arguments import transactional_producer_arguments
from schemas.kafka.descriptions import describe_topics
from schemas.kafka.log_bounds import NotKnown
from schemas.notes.layouts import PLACED_TOPICS, Layout, MigrationPhase
from schemas.notes.replays import Range
from schemas.settings import Settings
from schemas.topics import plan

Tell = Callable[[str], None]

# An ingress notices a migration within two seconds, and has written what it had within its deadline.
_QUIET_S = 5.0
_POLL_S = 0.5
_TELL_S = 5.0
# Which group reads a placed topic.
_GROUPS = {"raw": "deliver", "sequence": "sequence"}


async def migrate(settings: Settings, tell: Tell) -> Layout:
    """Moves to `kafka.partitions` partitions, or goes on with a migration that was left; the layout that counts then.

    Raises:
        DropstreamError: the number is no multiple of today's, topics are missing, or the cluster refuses. Whatever was
            done by then, another call goes on from there.
    """
    async with _alone(settings) as producer:
        layout = await _begun(settings, tell)
        if layout is None:
            return await current_layout(settings) or Layout(partitions=settings.kafka.partitions)
        while layout.phase is not MigrationPhase.MOVE or not await _nothing_came(settings, layout):
            layout = await _drained(settings, layout, tell)
        await _grow(settings, layout.target or layout.partitions, tell)
        return await move_states(settings, layout, producer, tell)


@asynccontextmanager
async def _alone(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """The producer of the migration; one that a second call starts fences it."""
    arguments = transactional_producer_arguments(settings, transactional_id=f"{settings.kafka.topic_prefix}layout")
    with kafka_failures_explained(settings.kafka):
        async with AIOKafkaProducer(**{**arguments, "transaction_timeout_ms": 300_000}) as producer:
            yield producer


async def _begun(settings: Settings, tell: Tell) -> Layout | None:
    """The layout with its target; None where there is nothing to do.

    Raises:
        DropstreamError: the number of partitions is none that can be moved to.
    """
    watch = await look_at_layout(settings)
    layout, target = watch.layout, settings.kafka.partitions
    if layout is None:
        raise DropstreamError("nobody noted among how many partitions keys are placed; run dropstream topics apply")
    if layout.phase is not None:
        if layout.target != target:
            raise DropstreamError(
                f"a migration to {layout.target} partitions is under way, and kafka.partitions is {target}; set "
                f"kafka.partitions = {layout.target}, and call this again"
            )
        tell(f"going on with the migration from {layout.partitions} to {target} partitions")
        return layout
    most = max(watch.counts.values(), default=0)
    if target == layout.partitions and most <= target:
        await _grow(settings, target, tell)
        return None
    if target < most or target % layout.partitions:
        raise DropstreamError(
            f"keys are placed among {layout.partitions} partitions, and up to {most} are there: kafka.partitions is "
            f"{target}, and must be a multiple of {layout.partitions} that is at least {most}"
        )
    tell(f"moving from {layout.partitions} to {target} partitions; the ingress spools meanwhile")
    begun = replace(layout, target=target, phase=MigrationPhase.DRAIN, ends=None)
    await put_layout(settings, begun)
    return begun


async def _drained(settings: Settings, layout: Layout, tell: Tell) -> Layout:
    """Waits until no record comes to the old partitions any more and the groups have read all of them; phase `move`."""
    if layout.phase is MigrationPhase.MOVE:
        tell("something wrote to raw meanwhile: the old partitions are read once more")
        layout = replace(layout, phase=MigrationPhase.DRAIN, ends=None)
        await put_layout(settings, layout)
    ends: dict[str, Mapping[int, int]] = {}
    for topic in PLACED_TOPICS:
        ends[topic] = await _read_to_the_end(settings, layout, topic, tell)
    moving = replace(layout, phase=MigrationPhase.MOVE, ends=ends)
    await put_layout(settings, moving)
    for group in _GROUPS.values():
        await _empty(settings, group, tell)
    return moving


async def _read_to_the_end(settings: Settings, layout: Layout, topic: str, tell: Tell) -> dict[int, int]:
    """The ends of the old partitions, once they stand still and the group has committed as much."""
    name, group = full_name(topic, settings), settings.kafka.topic_prefix + _GROUPS[topic]
    old = [TopicPartition(name, number) for number in range(layout.partitions)]
    clock = asyncio.get_running_loop().time
    ends, since, told_at = await written_ends(settings, old), clock(), clock()
    while True:
        await asyncio.sleep(_POLL_S)
        now = await written_ends(settings, old)
        if now != ends:
            ends, since = now, clock()
        left = await _unread(settings, group, old, ends)
        if not left and clock() - since >= _QUIET_S:
            tell(f"{topic}: all of the {layout.partitions} old partitions are read")
            return {one.partition: end for one, end in ends.items()}
        if clock() - told_at >= _TELL_S:
            told_at = clock()
            moving = "" if clock() - since >= _QUIET_S else "; records still come (an ingress of an older version?)"
            tell(f"{topic}: group {group} has {len(left)} of {len(old)} partitions left to read{moving}")


async def _unread(
    settings: Settings, group: str, sources: Sequence[TopicPartition], ends: Mapping[TopicPartition, int]
) -> list[TopicPartition]:
    """The partitions of one topic in which the group has not committed all records before their ends."""
    offsets = await read_group_offsets(settings, group, [sources[0].topic])
    behind: list[TopicPartition] = []
    for one in offsets:
        if one.partition not in ends:
            continue
        if (
            isinstance(one.committed, NotKnown)
            or isinstance(one.log, NotKnown)
            or await _has_records(settings, one.partition, max(one.committed or 0, one.log.first), ends[one.partition])
        ):
            behind.append(one.partition)
    return behind


async def _has_records(settings: Settings, source: TopicPartition, first: int, end: int) -> bool:
    """Whether there is a record in the range; marks of transactions are none."""
    async for records in read_ranges(settings, source.topic, [Range(source.partition, first, max(first, end))]):
        if records:
            return True
    return False


async def _empty(settings: Settings, group: str, tell: Tell) -> None:
    """Returns once the group has no members: they leave when they see the phase, or when their session ends."""
    told_at = clock = asyncio.get_running_loop().time()
    while count := await members(settings, settings.kafka.topic_prefix + group):
        await asyncio.sleep(_POLL_S)
        clock = asyncio.get_running_loop().time()
        if clock - told_at >= _TELL_S:
            told_at = clock
            tell(f"group {group} still has {count} members; processors of an older version must be stopped")


async def _nothing_came(settings: Settings, layout: Layout) -> bool:
    """Whether the old partitions of `raw` still end where the groups have read to."""
    ends = (layout.ends or {}).get("raw", {})
    for group in _GROUPS.values():
        await _empty(settings, group, lambda _line: None)
    raw = full_name("raw", settings)
    now = await written_ends(settings, [TopicPartition(raw, number) for number in range(layout.partitions)])
    return {one.partition: end for one, end in now.items()} == dict(ends)


async def _grow(settings: Settings, target: int, tell: Tell) -> None:
    """Every topic of the table has `target` partitions, whoever asks; the topics of its own of a replay stay."""
    names = {one.name for one in plan(settings) if one.grows}
    async with admin(settings) as client:
        described = await describe_topics(client, names)
        small = [name for name in names if name in described and len(described[name].partitions) < target]
        if not small:
            return
        tell(f"adding partitions to {len(small)} topics")
        answer = await client.create_partitions({name: NewPartitions(total_count=target) for name in small})
        for name, code, message in answer.topic_errors:
            if code:
                raise DropstreamError(f"{name}: Kafka refused more partitions: {message or code}")
        async with asyncio.timeout(60):
            while True:
                described = await describe_topics(client, small)
                parts = [one for name in small for one in described[name].partitions]
                if len(parts) == target * len(small) and all(one.has_leader for one in parts):
                    return
                await asyncio.sleep(_POLL_S)
