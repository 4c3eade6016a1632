"""Reads the committed offsets of consumer groups, and commits others where a person wants a group to go on elsewhere.

The offsets of a group that has members are never changed: a member would commit over them.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from ops.kafka.clients import (
    REQUEST_TIMEOUT_MS,
    admin,
    checked_client_arguments,
    consumer,
    kafka_failures_explained,
    start_explained,
)
from ops.kafka.partitions import partitions_of
from ops.times import EXAMPLES, parse_time
from schemas.errors import DropstreamError, UsageError
from schemas.kafka.cancellation import cancellation_kept
from schemas.kafka.committed_offsets import ask_patiently, committed_offsets
from schemas.kafka.descriptions import count_members, describe_topics, group_exists
from schemas.kafka.log_bounds import LogBounds, NotKnown, log_bounds
from schemas.settings import Settings
from schemas.times import timestamp_ms

# The groups of `dropstream process`, and the topic that each reads; by short names.
GROUP_SOURCES = {"deliver": "raw", "sequence": "sequence"}

OffsetTarget = Literal["earliest", "latest"] | datetime | int


@dataclass(frozen=True, slots=True)
class PartitionOffsets:
    """The offsets of a group in one partition; `committed` is None where the group has committed nothing."""

    group: str
    partition: TopicPartition
    committed: int | NotKnown | None
    log: LogBounds | NotKnown

    @property
    def lag(self) -> int | NotKnown:
        """How many offsets lie behind the committed one; all of the log where the group has committed nothing."""
        if isinstance(self.log, NotKnown):
            return self.log
        if isinstance(self.committed, NotKnown):
            return self.committed
        return max(0, self.log.end - max(self.committed or 0, self.log.first))

    @property
    def unknown_why(self) -> str:
        """Why a figure is not known; empty where all are."""
        return "; ".join(one.why for one in (self.committed, self.log) if isinstance(one, NotKnown))


@dataclass(frozen=True, slots=True)
class OffsetMove:
    """A change of the offset that a group has committed in one partition: `now` becomes `to`."""

    now: PartitionOffsets
    to: int


def parse_offset_target(text: str) -> OffsetTarget:
    """The target that `earliest`, `latest`, a time or an offset names.

    Raises:
        UsageError: it is none of these.
    """
    if text == "earliest":
        return "earliest"
    if text == "latest":
        return "latest"
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(f"--to {text!r} is none of: earliest, latest, an offset, {EXAMPLES}") from error


def full_group(group: str, known: Sequence[str], prefix: str) -> str:
    """The group's id on the cluster; `group` may leave the prefix out."""
    return prefix + group if group not in known and prefix + group in known else group


async def groups(settings: Settings) -> list[str]:
    """Every group that the cluster knows."""
    async with admin(settings) as client:
        # A node that has just died is asked too, until the cluster has noticed.
        return sorted(name for name, _ in await ask_patiently(client.list_consumer_groups))


async def is_group(settings: Settings, group: str) -> bool:
    """Whether there is this group, as its coordinator says.

    Raises:
        DropstreamError: the coordinator does not say.
    """
    async with admin(settings) as client:
        return await ask_patiently(lambda: group_exists(client, group))


async def members(settings: Settings, group: str) -> int:
    """How many members the group has now."""
    async with admin(settings) as client:
        return await ask_patiently(lambda: count_members(client, group))


async def members_if_known(settings: Settings, group: str) -> int | None:
    """How many members the group has now; None where the cluster cannot say, as the in-memory broker."""
    try:
        return await members(settings, group)
    except (DropstreamError, KafkaError, TimeoutError):
        return None


async def refuse_members(settings: Settings, group: str) -> None:
    """Returns where the group has no members.

    Raises:
        DropstreamError: the group has members; says how many.
    """
    if count := await members(settings, group):
        noun = "member" if count == 1 else "members"
        raise DropstreamError(f"group {group} has {count} {noun}; stop what consumes as this group, then try again")


async def read_group_offsets(settings: Settings, group: str, topics: Sequence[str] | None) -> list[PartitionOffsets]:
    """The group's offsets in every partition of these topics (full names); what nobody can say now is `NotKnown`.

    `topics` None means every topic in which the group has committed, and, of a group of dropstream, the topic that it
    reads.

    Raises:
        DropstreamError: a topic does not exist, the cluster is away, or the coordinator does not say which topics.
    """
    async with open_client(settings) as client:
        if topics is None:
            found = await ask_patiently(lambda: committed_offsets(client, group, None))
            topics = sorted({one.topic for one in found} | _source_of(settings, group))
        partitions = await partitions_of(settings, topics)
        committed = await _committed(client, group, partitions)
    async with admin(settings) as asked:
        described = await describe_topics(asked, topics)
    led = {TopicPartition(name, one.number) for name in topics for one in described[name].partitions if one.has_leader}
    async with consumer(settings) as reader:
        logs = await log_bounds(reader, partitions, leaderless=set(partitions) - led)
    return [PartitionOffsets(group, one, committed[one], logs[one]) for one in sorted(partitions)]


async def _committed(
    client: AIOKafkaClient, group: str, partitions: Sequence[TopicPartition]
) -> Mapping[TopicPartition, int | NotKnown | None]:
    try:
        return await ask_patiently(lambda: committed_offsets(client, group, partitions))
    except GroupAuthorizationFailedError:
        return dict.fromkeys(partitions, NotKnown(f"Kafka grants no right to describe group {group}"))
    except (KafkaError, TimeoutError) as error:
        why = NotKnown(f"the group's coordinator moves, loads or is away ({type(error).__name__})")
        return dict.fromkeys(partitions, why)


def _source_of(settings: Settings, group: str) -> set[str]:
    prefix = settings.kafka.topic_prefix
    source = GROUP_SOURCES.get(group.removeprefix(prefix)) if group.startswith(prefix) else None
    return set() if source is None else {prefix + source}


async def plan_moves(settings: Settings, found: Sequence[PartitionOffsets], target: OffsetTarget) -> list[OffsetMove]:
    """The changes that lead to the target; partitions whose offset is there already are left out.

    Raises:
        DropstreamError: the offset is not in the log; names those that are.
    """
    by_time: Mapping[TopicPartition, int] = {}
    if isinstance(target, datetime):
        async with consumer(settings) as reader:
            times = {one.partition: max(0, timestamp_ms(target)) for one in found}
            answers = await reader.offsets_for_times(times)
            by_time = {one: at.offset for one, at in answers.items() if at is not None}
    moves = [OffsetMove(one, _target(one, target, by_time)) for one in found]
    return [move for move in moves if move.to != move.now.committed]


async def move(settings: Settings, group: str, moves: Sequence[OffsetMove]) -> None:
    """Commits the new offsets.

    Raises:
        DropstreamError: the group has members, or the cluster refuses.
    """
    await refuse_members(settings, group)
    async with consumer(settings, group_id=group) as member:
        member.assign([one.now.partition for one in moves])
        await member.commit({one.now.partition: one.to for one in moves})


def _target(one: PartitionOffsets, target: OffsetTarget, by_time: Mapping[TopicPartition, int]) -> int:
    place, log = f"partition {one.partition.partition} of {one.partition.topic}", one.log
    if isinstance(log, NotKnown):
        raise DropstreamError(f"which offsets {place} has is not known: {log.why}; set it when it is back")
    if target == "earliest":
        return log.first
    if target == "latest":
        return log.end
    if isinstance(target, int):
        if not log.first <= target <= log.end:
            raise DropstreamError(f"offset {target} is not there: {place} has {log.first} to {log.end}")
        return target
    return by_time.get(one.partition, log.end)


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[AIOKafkaClient]:
    """A client for requests that no consumer or admin client makes.

    Raises:
        DropstreamError: the cluster cannot be reached, or a request of the body fails.
    """
    client = AIOKafkaClient(**checked_client_arguments(settings.kafka), request_timeout_ms=REQUEST_TIMEOUT_MS)
    with kafka_failures_explained(settings.kafka):
        try:
            await start_explained(settings.kafka, client.bootstrap)
            yield client
        finally:
            with cancellation_kept(asyncio.current_task()):
                await client.close()
