"""Opens one delivery: what came, and every record that it led to, as far as Kafka still has them."""

import time
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from ops.deliveries.backwards import ChunkReader, Offsets, open_chunk_reader
from ops.deliveries.outcomes import OUTCOME_TOPICS
from ops.deliveries.summary import DeliverySummary, Mention, Summaries, mention_in, named_offset
from ops.inspect.explain import ExplainedStep, NothingSeen, explain
from ops.kafka.reader import full_name
from processors.deliver.step import Rules, claimed_entities, deliver
from schemas.delivery import Delivery, read_record
from schemas.errors import DropstreamError, UsageError
from schemas.notes.gaps import Gap, read_gap
from schemas.notes.sequence_observations import read_observation
from schemas.records import Position, RawRecord, Record
from schemas.settings import Settings
from schemas.times import timestamp_ms
from schemas.vocabulary import EVENT_TOPICS

_SECONDS_MAX = 15.0
_EVENTS_MAX = 200
_RETRIES_MAX = 100
# So far may the clock of the processors be behind that of the ingress.
_CLOCKS_APART_MS = 2_000


@dataclass(slots=True)
class DeliveryDetail:
    """A delivery and what became of it; `would_become` is what today's rules make of it, were it
    new, and `claimed` are the ids of the entities that it says it is about, and `steps` say why, as
    `dropstream explain` does.

    `looked_until_ms` (ms since 1970) is how far the topics were read, None where they were read to their ends. `events`
    are the records of the events, by topic.
    """

    record: RawRecord
    delivery: Delivery
    summary: DeliverySummary
    would_become: tuple[Record, ...]
    claimed: frozenset[str]
    steps: list[ExplainedStep]
    events: list[tuple[str, RawRecord]] = field(default_factory=list)
    retries: list[Mention] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    looked_until_ms: int | None = None


async def read_delivery(settings: Settings, rules: Rules, partition: int, offset: int) -> DeliveryDetail:
    """The delivery at this place of `raw`.

    Raises:
        DropstreamError: there is no delivery, not yet or not any more; or the cluster cannot be read.
    """
    position = Position(full_name("raw", settings), partition, offset)
    async with open_chunk_reader(settings, ("raw", *OUTCOME_TOPICS, "gaps")) as reader:
        detail = _new_detail(await _read_raw(reader, position), rules)
        try:
            await _Follow(settings, reader, detail).run()
        except TimeoutError as error:
            raise DropstreamError("Kafka did not give in time what became of the delivery; try again") from error
    return detail


async def _read_raw(reader: ChunkReader, position: Position) -> RawRecord:
    here = TopicPartition(position.topic, position.partition)
    if here not in reader.partitions["raw"]:
        raise UsageError(f"{position.topic} has no partition {position.partition}")
    first, end = (await reader.offsets([here], None, None)).get(here, (0, 0))
    if first <= position.offset < end:
        async for records in reader.read({here: (position.offset, position.offset + 1)}):
            if records:
                return records[0]
    there = f"it has {first} to {end - 1}" if first < end else "it holds none"
    raise UsageError(f"no delivery lies at {position.partition}:{position.offset} of {position.topic}; {there}")


def _new_detail(record: RawRecord, rules: Rules) -> DeliveryDetail:
    mention = mention_in("raw", record)
    if mention is None:
        raise UsageError("the record is no delivery")
    summary = Summaries().add(mention)
    return DeliveryDetail(
        record=record,
        delivery=read_record(record),
        summary=summary,
        would_become=deliver(record, rules, NothingSeen()),
        claimed=claimed_entities(record, rules),
        steps=explain(record, rules),
    )


@dataclass(slots=True)
class _Follow:
    """Reads the partitions that the delivery's records can be in, from its receipt on."""

    settings: Settings
    reader: ChunkReader
    detail: DeliveryDetail
    _summaries: Summaries = field(default_factory=Summaries)

    async def run(self) -> None:
        """Fills in what became of the delivery."""
        detail = self.detail
        offsets = await self._offsets()
        names = {full_name(topic, self.settings): topic for topic in (*OUTCOME_TOPICS, "gaps")}
        mention = mention_in("raw", detail.record)
        if mention is not None:
            detail.summary = self._summaries.add(mention)
        sequence = self._sequence()
        deadline = time.monotonic() + _SECONDS_MAX
        reached: dict[TopicPartition, int] = dict.fromkeys(offsets, timestamp_ms(detail.delivery.received_at))
        async for records in self.reader.read(offsets):
            for record in records:
                here = TopicPartition(record.position.topic, record.position.partition)
                reached[here] = record.timestamp_ms
                self._add(names[record.position.topic], record, sequence)
            if time.monotonic() > deadline:
                detail.looked_until_ms = min(reached.values())
                return

    def _add(self, topic: str, record: RawRecord, sequence: int | None) -> None:
        detail, position = self.detail, self.detail.record.position
        if topic == "gaps":
            gap = read_gap(record.value)
            is_ours = gap is not None and gap.endpoint == detail.delivery.endpoint and sequence is not None
            if gap is not None and sequence is not None and is_ours and gap.first <= sequence <= gap.last:
                detail.gaps.append(gap)
            return
        if topic != "duplicates" and named_offset(topic, record) != (position.partition, position.offset):
            return
        mention = mention_in(topic, record)
        if mention is None:
            return
        if mention.position == position:
            self._summaries.add(mention)
            if mention.event is not None and len(detail.events) < _EVENTS_MAX:
                detail.events.append((topic, record))
        elif mention.first == position and len(detail.retries) < _RETRIES_MAX:
            detail.retries.append(mention)

    def _sequence(self) -> int | None:
        for one in self.detail.would_become:
            if one.topic == "sequence" and (seen := read_observation(one.value)) is not None:
                return seen.sequence
        return None

    async def _offsets(self) -> dict[TopicPartition, Offsets]:
        detail = self.detail
        endpoint = detail.delivery.endpoint
        keys: dict[str, set[bytes]] = {
            "rejected": {detail.record.key or b"", b""},
            "duplicates": {endpoint.encode()},
            "gaps": {endpoint.encode()},
        }
        for topic in EVENT_TOPICS:
            keys[topic] = self._event_keys(topic)
        partitions = [one for topic, of_topic in keys.items() for one in self.reader.holding(topic, of_topic)]
        begin_ms = timestamp_ms(detail.delivery.received_at) - _CLOCKS_APART_MS
        return await self.reader.offsets(partitions, begin_ms, None)

    def _event_keys(self, topic: str) -> set[bytes]:
        """The keys that the delivery's events have by today's rules, and those of what it claims to be about."""
        detail = self.detail
        keys = {one.key for one in detail.would_become if one.topic == topic}
        endpoint = self.settings.endpoints.get(detail.delivery.endpoint)
        if endpoint is not None:
            keys |= {f"{endpoint.provider}:{detail.delivery.endpoint}:{one}".encode() for one in detail.claimed}
        return keys
