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
from aiokafka.errors import KafkaError

from ops.kafka.clients import REQUEST_TIMEOUT_MS, admin, checked_client_arguments, consumer, kafka_failures_explained
from ops.kafka.reader import partitions_of
from ops.times import EXAMPLES, parse_time
from schemas.errors import DropstreamError, UsageError
from schemas.kafka.cancellation import cancellation_kept
from schemas.kafka.committed_offsets import ask_patiently, committed_offsets
from schemas.settings import Settings
from schemas.times import timestamp_ms

OffsetTarget = Literal["earliest", "latest"] | datetime | int


@dataclass(frozen=True, slots=True)
class PartitionOffsets:
    """The offsets of a group in one partition; `committed` is None where the group has committed nothing."""

    group: str
    partition: TopicPartition
    committed: int | None
    first: int
    end: int

    @property
    def lag(self) -> int | None:
        """How many offsets are still to read; None where nobody can say."""
        return None if self.committed is None else max(0, self.end - max(self.committed, self.first))


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
        return sorted(name for name, _ in await client.list_consumer_groups())


async def members(settings: Settings, group: str) -> int:
    """How many members the group has now."""
    async with admin(settings) as client:
        answers = await ask_patiently(lambda: client.describe_consumer_groups([group]))
    return sum(len(one["members"]) for answer in answers for one in answer.to_object()["groups"])


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
    """The group's offsets in these topics (full names); None means every topic in which it has committed.

    Raises:
        DropstreamError: a topic does not exist, or the cluster is away.
    """
    partitions_asked = None if topics is None else await partitions_of(settings, topics)
    async with consumer(settings) as reader, open_client(settings) as client:
        committed = await ask_patiently(lambda: committed_offsets(client, group, partitions_asked))
        partitions = sorted(committed)
        firsts = await reader.beginning_offsets(partitions) if partitions else {}
        ends = await reader.end_offsets(partitions) if partitions else {}
    return [PartitionOffsets(group, one, committed[one], firsts[one], ends[one]) for one in partitions]


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
    if target == "earliest":
        return one.first
    if target == "latest":
        return one.end
    if isinstance(target, int):
        if not one.first <= target <= one.end:
            raise DropstreamError(
                f"offset {target} is not there: partition {one.partition.partition} of {one.partition.topic} "
                f"has {one.first} to {one.end}"
            )
        return target
    return by_time.get(one.partition, one.end)


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[AIOKafkaClient]:
    """A client for requests that no consumer or admin client makes.

    Raises:
        DropstreamError: the cluster cannot be reached, or a request of the body fails.
    """
    client = AIOKafkaClient(**checked_client_arguments(settings.kafka), request_timeout_ms=REQUEST_TIMEOUT_MS)
    with kafka_failures_explained(settings.kafka):
        try:
            await client.bootstrap()
            yield client
        finally:
            with cancellation_kept(asyncio.current_task()):
                await client.close()
