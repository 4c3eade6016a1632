"""Turns the times and positions that a person names into ranges of offsets, and reads the records of ranges.

A time is turned into the first offset of each partition that is not older. A range whose beginning is deleted already
is refused, never quietly shortened.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.kafka.clients import consumer
from ops.kafka.partitions import readable_partitions_of
from ops.kafka.reader import AtOffset, AtOffsets, Start, open_reader, parse_start
from ops.times import EXAMPLES
from schemas.errors import DropstreamError, UsageError
from schemas.notes.replays import Range
from schemas.records import RawRecord
from schemas.settings import Settings
from schemas.times import rfc3339, timestamp_ms

Bound = datetime | AtOffset


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a topic that a person named: from `begin` to before `until`; None is its start or present end."""

    begin: Bound | None
    until: Bound | None

    @property
    def partition(self) -> int | None:
        """The one partition that an offset names; None where only times are given."""
        named = [bound.partition for bound in (self.begin, self.until) if isinstance(bound, AtOffset)]
        return named[0] if named else None


@dataclass(frozen=True, slots=True)
class _Log:
    """The log of one partition; `oldest_ms` is the time of its first record, None where it holds none."""

    first: int
    end: int
    oldest_ms: int | None


def parse_span(begin: str | None, until: str | None) -> Span:
    """The span between two texts that `ops.kafka.reader.parse_start` takes.

    Raises:
        UsageError: one of them names no time and no position, or they are the wrong way round.
    """
    span = Span(_bound(begin, "--from"), _bound(until, "--to"))
    if isinstance(span.begin, datetime) and isinstance(span.until, datetime):
        wrong = span.begin >= span.until
    elif isinstance(span.begin, AtOffset) and isinstance(span.until, AtOffset):
        if span.begin.partition != span.until.partition:
            raise UsageError("--from and --to name different partitions; an offset is of one partition only")
        wrong = span.begin.offset >= span.until.offset
    else:
        wrong = False
    if wrong:
        raise UsageError(f"--from {begin} is not before --to {until}; nothing lies between them")
    return span


async def resolve(settings: Settings, topic: str, span: Span) -> tuple[Range, ...]:
    """The offsets that `span` means in `topic` (full name) at this moment, by partition; empty ranges are left out.

    Raises:
        DropstreamError: a part of it is deleted, or was never there; says what is left.
    """
    partitions = [
        one for one in await readable_partitions_of(settings, [topic]) if span.partition in {None, one.partition}
    ]
    if not partitions:
        raise DropstreamError(f"{topic}: no partition {span.partition}")
    async with consumer(settings) as client:
        logs = await _logs(client, partitions)
        begins = await _offsets(client, logs, span.begin)
        untils = await _offsets(client, logs, span.until)
    _refuse_deleted(topic, span, logs)
    ranges = [
        Range(
            one.partition,
            log.first if span.begin is None else begins.get(one, log.end),
            log.end if span.until is None else untils.get(one, log.end),
        )
        for one, log in logs.items()
    ]
    return tuple(one for one in ranges if one.count)


async def offsets_at(settings: Settings, topic: str, times_ms: Mapping[int, int]) -> dict[int, int]:
    """The first offset of each partition that is not older than its time; a partition without one is left out."""
    async with consumer(settings) as client:
        times = {TopicPartition(topic, partition): max(0, time_ms) for partition, time_ms in times_ms.items()}
        found = await client.offsets_for_times(times) if times else {}
    return {one.partition: at.offset for one, at in found.items() if at is not None}


async def read_ranges(settings: Settings, topic: str, ranges: Sequence[Range]) -> AsyncGenerator[list[RawRecord]]:
    """The committed records of the ranges, in order within a partition, as they come."""
    ends = {one.partition: one.end for one in ranges if one.count}
    if not ends:
        return
    start = AtOffsets({one.partition: one.first for one in ranges if one.count})
    async with open_reader(settings, [topic], start) as reader:
        reader.end_at({TopicPartition(topic, partition): end for partition, end in ends.items()})
        while not await reader.is_at_end():
            records = await reader.fetch()
            yield [one for one in records if one.position.offset < ends[one.position.partition]]


def _bound(text: str | None, option: str) -> Bound | None:
    if text is None:
        return None
    try:
        start: Start = parse_start(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} {error}") from error
    if isinstance(start, datetime | AtOffset):
        return start
    if start == ("beginning" if option == "--from" else "latest"):
        return None
    raise UsageError(f"{option} {text!r} leaves nothing; give {EXAMPLES}, or P:OFFSET")


async def _logs(client: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, _Log]:
    firsts = await client.beginning_offsets(partitions)
    ends = await client.end_offsets(partitions)
    oldest = await client.offsets_for_times(dict.fromkeys(partitions, 0))
    return {one: _Log(firsts[one], ends[one], oldest[one].timestamp if oldest.get(one) else None) for one in partitions}


async def _offsets(
    client: AIOKafkaConsumer, logs: Mapping[TopicPartition, _Log], bound: Bound | None
) -> dict[TopicPartition, int]:
    if bound is None:
        return {}
    if isinstance(bound, AtOffset):
        return dict.fromkeys(logs, bound.offset)
    found = await client.offsets_for_times(dict.fromkeys(logs, max(0, timestamp_ms(bound))))
    return {one: at.offset for one, at in found.items() if at is not None}


def _refuse_deleted(topic: str, span: Span, logs: Mapping[TopicPartition, _Log]) -> None:
    for one, log in logs.items():
        for option, bound in (("--from", span.begin), ("--to", span.until)):
            if isinstance(bound, AtOffset) and not log.first <= bound.offset <= log.end:
                raise DropstreamError(
                    f"{option} {bound.partition}:{bound.offset} is not there: partition {one.partition} of {topic} "
                    f"has offsets {log.first} to {log.end - 1}{_since(log)}"
                )
    if isinstance(span.begin, datetime):
        # The topic is whole from where the partition that lost most begins.
        shortened = [log for log in logs.values() if log.first and log.oldest_ms is not None]
        left_ms = max((log.oldest_ms or 0 for log in shortened), default=0)
        if timestamp_ms(span.begin) < left_ms:
            raise DropstreamError(
                f"--from {rfc3339(span.begin)} is deleted already; {topic} is whole from {_time(left_ms)} on"
            )


def _since(log: _Log) -> str:
    return f", since {_time(log.oldest_ms)}" if log.oldest_ms is not None else ""


def _time(milliseconds: int) -> str:
    return rfc3339(datetime.fromtimestamp(milliseconds / 1000, UTC))
