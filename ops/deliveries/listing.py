"""Lists deliveries, the newest first, and searches them; gives each as it is found, and says how far it looked.

Memory is bounded whatever Kafka holds, and so is the time of one call: where it ends before the range is read whole, it
says up to when it looked, and the next call goes on from there.
"""

import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import islice

from aiokafka import TopicPartition

from ops.deliveries.backwards import CHUNK_FIRST, CHUNK_MAX, ChunkReader, NewestFirst, Offsets, open_chunk_reader
from ops.deliveries.outcomes import OUTCOME_TOPICS, OutcomeReader
from ops.deliveries.summary import DeliveryOutcome, DeliverySummary, Mention, Summaries, mention_in
from ops.deliveries.words import DeliveryWords, EventWords, IdWords, PlaceWords, Words
from ops.kafka.reader import full_name
from schemas.delivery import OWN_PREFIX
from schemas.records import Position, RawRecord
from schemas.settings import Settings
from schemas.vocabulary import EVENT_TOPICS, Domain

ROWS_MAX = 50
_SECONDS_MAX = 15.0
# A record of another topic is written after its delivery was received, and where nothing stands still soon after.
_WRITTEN_WITHIN_MS = 600_000
# A delivery's id holds its time of receipt; so far may the time of its record lie from it.
_ID_TOLERANCE_MS = 2_000
# So far may the clock of another program that made an id be ahead.
_CLOCK_AHEAD_MS = 60_000
_SLICE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryQuery:
    """Which deliveries; None is no restriction. Times of receipt in ms since 1970, `until_ms` not included.

    `event_type` is a type of an event with or without `dropstream.`.
    """

    endpoint: str | None = None
    provider: str | None = None
    outcome: DeliveryOutcome | None = None
    event_type: str | None = None
    words: Words | None = None
    begin_ms: int | None = None
    until_ms: int | None = None

    def wants_mention(self, one: Mention) -> bool:
        """Whether the delivery can be wanted, by what one record says of it."""
        return (
            self.endpoint in {None, one.endpoint}
            and (not one.provider or self.provider in {None, one.provider})
            and (self.begin_ms is None or one.at_ms >= self.begin_ms)
            and (self.until_ms is None or one.at_ms < self.until_ms)
        )

    def wants(self, one: DeliverySummary) -> bool:
        """Whether the delivery is wanted, by all that is known of it."""
        wanted_type = self.full_event_type
        return (
            self.outcome in {None, one.outcome}
            and (wanted_type is None or wanted_type in one.event_types)
            and self.provider in {None, one.provider}
        )

    @property
    def full_event_type(self) -> str | None:
        """The whole type of the wanted events."""
        return f"dropstream.{self.event_type.removeprefix('dropstream.')}" if self.event_type else None


@dataclass(frozen=True, slots=True)
class Found:
    """A delivery that the query wants."""

    one: DeliverySummary


@dataclass(frozen=True, slots=True)
class Looked:
    """How many records of how many have been read of what is being read now, and back to when (ms since 1970)."""

    done: int
    total: int
    back_to_ms: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over; `next_until_ms` is the query's `until_ms` that goes on, None where everything was looked at."""

    next_until_ms: int | None


Step = Found | Looked | Ended


@dataclass(frozen=True, slots=True)
class _Pass:
    """The topics (short names) to read for a query; `needles` are bytes of which a record holds one.

    With `keys` only the partitions of these keys are read, and of them only their records; with `near_ms` what was
    received at about that time, and with `since_ms` nothing older.
    """

    topics: tuple[str, ...]
    needles: tuple[bytes, ...] = ()
    keys: frozenset[bytes] | None = None
    near_ms: int | None = None
    since_ms: int | None = None


@asynccontextmanager
async def open_listing(settings: Settings) -> AsyncIterator["Listing"]:
    """A listing with a consumer of its own.

    Raises:
        DropstreamError: the cluster cannot be reached, or does not answer.
    """
    async with open_chunk_reader(settings, ("raw", *OUTCOME_TOPICS, "sequence")) as reader:
        yield Listing(settings, reader)


@dataclass(slots=True)
class Listing:
    """Runs one query; made by `open_listing`."""

    settings: Settings
    reader: ChunkReader
    _given: set[Position] = field(default_factory=set)
    _known: Summaries = field(default_factory=Summaries)
    _deadline: float = 0.0

    async def run(self, query: DeliveryQuery) -> AsyncIterator[Step]:
        """The deliveries that the query wants, at most `ROWS_MAX` a pass, and the progress; the last step is `Ended`.

        Raises:
            KafkaError, TimeoutError: the cluster does not answer in time.
        """
        self._deadline = time.monotonic() + _SECONDS_MAX
        outcomes = OutcomeReader(self.settings, self.reader, self._known)
        if isinstance(query.words, PlaceWords):
            async for step in self._at_place(query, query.words, outcomes):
                yield step
            yield Ended(None)
            return
        floor_ms: int | None = None
        for one in _passes(query, self.settings):
            # A pass that ended early was read back to a time; the others need not look further back than that.
            begins = [at_ms for at_ms in (query.begin_ms, floor_ms) if at_ms is not None]
            async for step in self._run_pass(one, replace(query, begin_ms=max(begins, default=None)), outcomes):
                if not isinstance(step, Ended):
                    yield step
                elif step.next_until_ms is not None:
                    floor_ms = step.next_until_ms
            if self._given and isinstance(query.words, DeliveryWords):
                floor_ms = None
                break
        # The last delivery's own millisecond once more, for others may share it.
        yield Ended(None if floor_ms is None else floor_ms + 1)

    async def _run_pass(self, one: _Pass, query: DeliveryQuery, outcomes: OutcomeReader) -> AsyncIterator[Step]:
        # Of a span of seconds all is read, so in large steps.
        records = CHUNK_FIRST if one.near_ms is None else CHUNK_MAX
        newest = NewestFirst(self.reader, await self._offsets(one, query), _taker(one, query, self.settings), records)
        rows = 0
        async for chunk in newest.chunks():
            fresh = iter(self._fresh(chunk))
            while positions := list(islice(fresh, _SLICE)):
                await outcomes.complete(positions)
                for position in positions:
                    summary = self._known.get(position)
                    if summary is not None and query.wants(summary):
                        yield Found(summary)
                        self._given.add(position)
                        rows += 1
                        if rows >= ROWS_MAX:
                            yield Ended(summary.at_ms)
                            return
            horizon = newest.horizon_ms
            back_to_ms = int(horizon) if abs(horizon) < float("inf") else None
            yield Looked(newest.done, newest.total, back_to_ms)
            if newest.done < newest.total and time.monotonic() > self._deadline:
                yield Ended(back_to_ms)
                return

    def _fresh(self, mentions: Iterable[Mention]) -> list[Position]:
        """Adds what the records say; the positions that were not given before, in order."""
        positions = []
        for one in mentions:
            self._known.add(one)
            if one.position not in self._given:
                positions.append(one.position)
        return list(dict.fromkeys(positions))

    async def _offsets(self, one: _Pass, query: DeliveryQuery) -> dict[TopicPartition, Offsets]:
        partitions: list[TopicPartition] = []
        for topic in one.topics:
            every = self.reader.partitions[topic]
            partitions += every if one.keys is None else self.reader.holding(topic, one.keys)
        begin_ms, until_ms = query.begin_ms, query.until_ms
        if one.near_ms is not None:
            begin_ms, until_ms = one.near_ms - _ID_TOLERANCE_MS, one.near_ms + _ID_TOLERANCE_MS
        elif one.topics != ("raw",) and until_ms is not None:
            until_ms += _WRITTEN_WITHIN_MS
        if one.since_ms is not None:
            begin_ms = max(one.since_ms, begin_ms or 0)
        return await self.reader.offsets(partitions, begin_ms, until_ms)

    async def _at_place(self, query: DeliveryQuery, place: PlaceWords, outcomes: OutcomeReader) -> AsyncIterator[Step]:
        """The delivery that lies at a place, or led to the record there."""
        here = TopicPartition(full_name(place.topic, self.settings), place.partition)
        if here not in self.reader.partitions[place.topic]:
            return
        within = (await self.reader.offsets([here], None, None)).get(here, (0, 0))
        if not within[0] <= place.offset < within[1]:
            return
        async for records in self.reader.read({here: (place.offset, place.offset + 1)}):
            mentions = [one for record in records if (one := mention_in(place.topic, record)) is not None]
            positions = self._fresh(mentions)
            if positions:
                await outcomes.complete(positions)
                for position in positions:
                    if (summary := self._known.get(position)) is not None and query.wants(summary):
                        yield Found(summary)
                return


def _passes(query: DeliveryQuery, settings: Settings) -> Sequence[_Pass]:
    """What to read for the query, in this order; the quickest first."""
    words = query.words
    if isinstance(words, DeliveryWords):
        needles = (words.id.encode(),)
        # In a body it can be any other program's id, but none comes before it is made.
        since_ms = words.at_ms - _CLOCK_AHEAD_MS
        return (_Pass(("raw",), needles, near_ms=words.at_ms), _Pass(("raw",), needles, since_ms=since_ms))
    if isinstance(words, EventWords):
        return (_Pass(EVENT_TOPICS, (words.id.encode(),)),)
    if isinstance(words, IdWords):
        return _passes_for_id(words, settings)
    if query.event_type is not None:
        domain = (query.full_event_type or "").split(".")[1]
        return (_Pass(tuple(one.topic for one in Domain if one.value == domain)),)
    by_outcome = {
        DeliveryOutcome.ACCEPTED: EVENT_TOPICS,
        DeliveryOutcome.REJECTED: ("rejected",),
        DeliveryOutcome.RETRY: ("duplicates",),
    }
    return (_Pass(by_outcome.get(query.outcome, ("raw",)) if query.outcome else ("raw",)),)


def _passes_for_id(words: IdWords, settings: Settings) -> Sequence[_Pass]:
    keys = frozenset(f"{one.provider}:{name}:{words.text}".encode() for name, one in settings.endpoints.items())
    found = [_Pass(EVENT_TOPICS, keys=keys), _Pass(("rejected",), words.needles)]
    if words.sequence is not None:
        found.append(_Pass(("sequence",), (b'"sequence":%d,' % words.sequence,)))
    return (*found, _Pass(("raw",), words.needles))


def _taker(one: _Pass, query: DeliveryQuery, settings: Settings) -> Callable[[RawRecord], Mention | None]:
    """A function that makes the mention of a wanted record, and None of any other."""
    names: Mapping[str, str] = {full_name(topic, settings): topic for topic in one.topics}

    def take(record: RawRecord) -> Mention | None:
        if one.keys is not None and record.key not in one.keys:
            return None
        if one.needles and not _holds(record, one.needles):
            return None
        found = mention_in(names[record.position.topic], record)
        return found if found is not None and query.wants_mention(found) else None

    return take


def _holds(record: RawRecord, needles: Collection[bytes]) -> bool:
    """Whether the body or a header holds one of the needles; of dropstream's own headers only the delivery's id."""
    value = record.value or b""
    if any(needle in value for needle in needles):
        return True
    contents = [
        content
        for name, content in record.headers
        if content and (not name.startswith(OWN_PREFIX) or name == "dropstream-delivery")
    ]
    return any(needle in content for content in contents for needle in needles)
