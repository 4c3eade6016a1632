"""One way through the topics: each record to the line and the delivery that it names, then names for what is left."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord, TopicPartition

from ops.audit.judging.bits import Bits
from ops.audit.judging.judge import Lane
from ops.audit.judging.ledger import PartitionLedger, actual_of
from ops.audit.judging.origin import PlaceReader, RawOffset, reader_of
from ops.audit.reading.audited_writer import AuditLine
from ops.audit.reading.stream import OutputStream
from ops.audit.reading.writer_opener import Part
from ops.audit.tally import PartFound
from ops.audit.verdict import AuditFinding, FindingKind
from ops.kafka.ranges import read_ranges
from ops.kafka.reader import full_name
from schemas.notes.replays import Range
from schemas.records import Position, RawRecord

_LOOKUPS_MAX = 10_000
# Records nearer to each other than this are read at once.
_NEAR = 50
_VISITS_MAX = 100
# Where a range has an end, a second copy is looked for so long behind it.
_LATE_MS = 3_600_000
# An event has so many headers before the marks.
_EVENT_HEADERS = 4
_UNMARKED = frozenset({"rejected", "duplicates", "sequence"})

# A record with its line, its ledger, the offset in `raw` that it names, and where it lies.
_Placed = tuple[AuditLine, PartitionLedger, int, Lane, ConsumerRecord]


@dataclass(slots=True)
class Sweep:
    """One way through some topics: the records of the line `main`, and those with the mark of another line."""

    part: Part
    found: PartFound
    main: AuditLine
    marked: Mapping[str, AuditLine]
    suffix: str = ""
    # Records of deliveries that the audit before has judged whole, and deliveries that were made anew since.
    _again: list[tuple[RawOffset, Lane, str]] = field(default_factory=list)
    _remade: defaultdict[int, Bits] = field(default_factory=lambda: defaultdict(Bits))
    # The short name of each topic by its full name, and how its records are read.
    _short: dict[str, str] = field(init=False)
    _readers: dict[str, PlaceReader] = field(init=False)

    def __post_init__(self) -> None:
        end = f".{self.suffix}" if self.suffix else ""
        topics = {topic.removesuffix(end) for topic, _ in self.part.look.lanes if topic.endswith(end)}
        self._short = {full_name(topic + end, self.part.settings): topic for topic in topics if "." not in topic}
        self._readers = {topic: reader_of(topic, self.part.raw_topic) for topic in self._short.values()}

    async def through(self, outputs: OutputStream) -> None:
        """Reads all outputs, and the sources as far as each of them asks for it; then the rest of the sources."""
        awaited_max = self.part.memory_bytes_max // 8
        async for moment, slices in outputs.slices():
            placed: list[_Placed] = []
            for source, records in slices:
                placed += self._placed(source, records)
            for _, ledger, offset, lane, _ in placed:
                ledger.foresee(lane, offset)
            for line, demands in _demands(placed).items():
                await line.expect(demands)
            for _, ledger, offset, lane, record in placed:
                ledger.take(offset, lane, record)
            if not self.suffix:
                self.found.outputs.update(Counter([lane[0] for line, _, _, lane, _ in placed if line is self.main]))
            for ledger in self._ledgers():
                ledger.settle(moment)
            awaited = sum(ledger.awaited_bytes for ledger in self._ledgers())
            outputs.hurried = awaited > awaited_max
            if not awaited and self._is_over(moment):
                break
        for line in self._lines():
            await line.expect({one: line.ends[one] for one in line.ledgers})

    def _placed(self, source: TopicPartition, records: Sequence[ConsumerRecord]) -> "Iterator[_Placed]":
        """The records with the deliveries that they name; those of nobody here are told of, or passed over."""
        topic = self._short[source.topic]
        lane, reader = (topic, source.partition), self._readers[topic]
        is_marked = topic not in _UNMARKED and not self.suffix
        for record in records:
            place = reader(record.value or b"", record.headers)
            line: AuditLine | None = self.main
            if is_marked and len(record.headers) > _EVENT_HEADERS and (mark := _mark(record)):
                line = self._marked_line(mark, place, lane, record)
            if line is None:
                continue
            ledger = None if place is None else line.ledgers.get(place[0])
            if place is None or ledger is None:
                self._take_unplaced(place, lane, record)
            elif ledger.first <= place[1] < line.ends[place[0]]:
                yield line, ledger, place[1], lane, record
            else:
                self._take_outside(line, place, lane, record)

    def _is_over(self, moment: float) -> bool:
        """Whether the range has an end, and what it led to has all come."""
        end_ms = self.part.look.end_ms
        is_read = all(ledger.next >= line.ends[one] for line in self._lines() for one, ledger in line.ledgers.items())
        return end_ms is not None and is_read and moment > end_ms + _LATE_MS

    async def conclude(self) -> None:
        """Gives names to what is left over, once everything was read."""
        for line in self._lines():
            is_group = line.plan is None
            for partition, ledger in line.ledgers.items():
                if not is_group and partition in self.main.ledgers:
                    ledger.excuse_retries(self.main.ledgers[partition])
                await self._conclude_one(partition, ledger)
                self.found.take(ledger, line.plan)
                if is_group:
                    self.found.deliveries += ledger.deliveries
        for place, lane, here in self._again:
            if lane[0] != "sequence" or not (self.part.is_moving or place[1] in self._remade[place[0]]):
                raw = str(Position(self.part.raw_topic, *place))
                told = "it came after an audit had judged its delivery whole"
                self.found.say(AuditFinding(FindingKind.DOUBLED, raw, here, told))

    def _lines(self) -> tuple[AuditLine, ...]:
        return self.main, *self.marked.values()

    def _ledgers(self) -> list[PartitionLedger]:
        return [ledger for line in self._lines() for ledger in line.ledgers.values()]

    async def _conclude_one(self, partition: int, ledger: PartitionLedger) -> None:
        notes = ledger.noted_only[:_LOOKUPS_MAX]
        wanted = {*ledger.stray_offsets, *(offset for pair in notes for offset in pair)}
        raw_of = await self._raw_of(partition, wanted)
        for offset, first in notes:
            retry, original = raw_of.get(offset), raw_of.get(first)
            if retry is None or original is None:
                self.found.unjudged += 1
            elif not ledger.judge.is_retry_of(retry, original):
                place = str(Position(self.part.raw_topic, partition, offset))
                told = f"it is noted as a retry of offset {first}, which is another delivery"
                ledger.add([AuditFinding(FindingKind.FALSELY_DROPPED, place, "", told)])
        self.found.unjudged += len(ledger.noted_only) - len(notes)
        ledger.finish(raw_of, deleted_before=self.part.look.raw_first[partition])

    async def _raw_of(self, partition: int, offsets: Collection[int]) -> dict[int, RawRecord]:
        """The deliveries at these offsets, as far as they are there."""
        first, end = self.part.look.raw_first[partition], self.part.look.raw_end[partition]
        wanted = [one for one in offsets if first <= one < end]
        found: dict[int, RawRecord] = {}
        for run in _runs(sorted(wanted)):
            asked = [Range(partition, run[0], run[-1] + 1)]
            async for records in read_ranges(self.part.settings, self.part.raw_topic, asked):
                found.update((one.position.offset, one) for one in records if one.position.offset in offsets)
        return found

    def _marked_line(self, mark: str, place: RawOffset | None, lane: Lane, record: ConsumerRecord) -> AuditLine | None:
        """The line that wrote the record; None where it is not judged here."""
        mine = place is not None and place[0] in self.main.ledgers
        if mark in self.part.look.unsettled:
            self.found.note_unjudged(lane, record.offset)
        if mine or (place is None and self.part.is_first):
            self.found.replays[mark] += 1
            if mark not in self.part.look.replays:
                told = f"it is marked {mark[:60]}, and no replay has this id"
                self.found.say(AuditFinding(FindingKind.UNEXPLAINED, "", actual_of(lane, record).place, told))
            elif place is not None:
                self._remake(place)
        return self.marked.get(mark)

    def _remake(self, place: RawOffset) -> None:
        """A replay or a redrive, judged here or not, has made events of the delivery."""
        ledger = self.main.ledgers[place[0]]
        if place[1] >= ledger.first:
            ledger.remake(place[1])
        elif self.part.look.audited:
            self._remade[place[0]].add(place[1])

    def _take_unplaced(self, place: RawOffset | None, lane: Lane, record: ConsumerRecord) -> None:
        """A record that names no delivery of this part's line."""
        if place is not None and place[0] in self.part.look.raw_end:
            if place[0] in self.part.partitions and self.part.ranges[place[0]].count == 0:
                self._take_outside(self.main, place, lane, record)
            return
        if self.part.is_first:
            told = (
                "it names no delivery" if place is None else f"it names partition {place[0]} of raw, which is not there"
            )
            self.found.say(AuditFinding(FindingKind.UNEXPLAINED, "", actual_of(lane, record).place, told))

    def _take_outside(self, line: AuditLine, place: RawOffset, lane: Lane, record: ConsumerRecord) -> None:
        """A record of a delivery outside the range: of one that cannot be, or that nobody asked about."""
        partition, offset = place
        here = actual_of(lane, record).place
        if offset >= self.part.look.raw_end[partition]:
            told = f"it names offset {offset} of partition {partition} of raw, where nothing was yet"
            self.found.say(AuditFinding(FindingKind.UNEXPLAINED, "", here, told))
        elif line.plan is not None and offset >= line.ends[partition]:
            told = f"{line.plan.id} has not come to offset {offset} of partition {partition} of raw"
            self.found.say(AuditFinding(FindingKind.UNEXPLAINED, "", here, told))
        elif line.plan is None and offset >= line.ends[partition]:
            self.found.note_unjudged(lane, record.offset)
            if offset >= self.part.look.reached.get(partition, 0):
                self.found.beyond[partition] += 1
        elif line.plan is None and record.offset >= self.part.look.audited.get(lane, record.offset + 1):
            self._again.append((place, lane, here))


def _demands(placed: Sequence[_Placed]) -> dict[AuditLine, dict[int, int]]:
    """Up to which offsets the deliveries must be judged, by line and partition of `raw`."""
    demands: dict[AuditLine, dict[int, int]] = {}
    for line, ledger, offset, _, _ in placed:
        wanted = demands.setdefault(line, {})
        if wanted.get(ledger.partition, 0) <= offset:
            wanted[ledger.partition] = offset + 1
    return demands


def _mark(record: ConsumerRecord) -> str:
    """The id of the replay that wrote the event; empty where none did."""
    for name, value in record.headers[_EVENT_HEADERS:]:
        if name == "replay":
            return (value or b"").decode("utf-8", "replace")
    return ""


def _runs(offsets: Sequence[int]) -> list[list[int]]:
    """The offsets in runs that are read at once; all as one run where they are many, for each costs a visit."""
    runs: list[list[int]] = []
    for one in offsets:
        if runs and one - runs[-1][-1] < _NEAR:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs if len(runs) <= _VISITS_MAX else [list(offsets)]
