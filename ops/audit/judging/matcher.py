"""Reads the output topics once: matches each record with the writer and the delivery that it names.

At the end the ledgers explain what is left over.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord, TopicPartition

from ops.audit.assignment import AuditAssignment
from ops.audit.judging.bits import Bits
from ops.audit.judging.ledger import PartitionLedger
from ops.audit.judging.origin import Origin, OriginReader, origin_reader
from ops.audit.judging.records import OutputPartition
from ops.audit.reading.audited_writer import AuditedWriter
from ops.audit.reading.stream import PartitionStream
from ops.audit.tally import AuditTally
from ops.audit.verdict import AuditFinding, FindingKind
from ops.kafka.ranges import read_ranges
from ops.kafka.reader import full_name
from schemas.notes.dismissals import read_dismissal
from schemas.notes.raw_places import position_of
from schemas.notes.replays import Range
from schemas.records import Position, RawRecord

_LOOKUPS_MAX = 10_000
# Records nearer to each other than this are read at once.
_NEAR = 50
_RUNS_MAX = 100
# Where the scope has an end, a second copy of a record is looked for so long behind it.
_LATE_MS = 3_600_000
# An event has so many headers before those that a replay adds.
_EVENT_HEADERS = 4
_UNMARKED = frozenset({"rejected", "duplicates", "sequence"})

# The writer of a record, the ledger and the offset in `raw` of the delivery that it names, where it lies, the record.
_NamedRecord = tuple[AuditedWriter, PartitionLedger, int, OutputPartition, ConsumerRecord]


@dataclass(slots=True)
class OutputMatcher:
    """Matches the records of the writer `main`, and those that bear the id of another writer in `marked`."""

    assignment: AuditAssignment
    tally: AuditTally
    main: AuditedWriter
    marked: Mapping[str, AuditedWriter]
    suffix: str = ""
    # Records of deliveries that the audit before has judged whole, and the deliveries that were replayed since.
    _again: list[tuple[Origin, OutputPartition, str]] = field(default_factory=list)
    _remade: defaultdict[int, Bits] = field(default_factory=lambda: defaultdict(Bits))
    # The short name of each topic by its full name, and how its records are read.
    _short: dict[str, str] = field(init=False)
    _readers: dict[str, OriginReader] = field(init=False)

    def __post_init__(self) -> None:
        end = f".{self.suffix}" if self.suffix else ""
        topics = {topic.removesuffix(end) for topic, _ in self.assignment.snapshot.outputs if topic.endswith(end)}
        self._short = {full_name(topic + end, self.assignment.settings): topic for topic in topics if "." not in topic}
        self._readers = {topic: origin_reader(topic, self.assignment.raw_topic) for topic in self._short.values()}

    async def match_all(self, outputs: PartitionStream) -> None:
        """Matches all records of the outputs, reading deliveries as far as records name them; then names faults."""
        awaited_bytes_max = self.assignment.memory_bytes_max // 8
        async for moment, slices in outputs.slices():
            named: list[_NamedRecord] = []
            for partition, records in slices:
                named += self._named(partition, records)
            for _, ledger, offset, output, _ in named:
                ledger.announce(output, offset)
            for writer, demands in _demands(named).items():
                await writer.expect(demands)
            for _, ledger, offset, output, record in named:
                ledger.match(offset, output, record)
            if not self.suffix:
                own = [output[0] for writer, _, _, output, _ in named if writer is self.main]
                self.tally.outputs.update(Counter(own))
            for ledger in self._ledgers():
                ledger.settle(moment)
            outputs.hurried = sum(ledger.awaited_bytes for ledger in self._ledgers()) > awaited_bytes_max
            if self._is_over(moment) and not any(ledger.is_open for ledger in self._ledgers()):
                break
        for writer in self._writers():
            await writer.expect({one: writer.ends[one] for one in writer.ledgers})
        await self._conclude()

    def _named(self, partition: TopicPartition, records: Sequence[ConsumerRecord]) -> Iterator[_NamedRecord]:
        """The records with the deliveries that they name; a record that names none here is reported, or passed over."""
        topic = self._short[partition.topic]
        output, reader = (topic, partition.partition), self._readers[topic]
        is_marked = topic not in _UNMARKED and not self.suffix
        for record in records:
            origin = reader(record.value or b"", record.headers)
            writer: AuditedWriter | None = self.main
            if is_marked and len(record.headers) > _EVENT_HEADERS and (replay_id := _replay_id(record)):
                writer = self._marked_writer(replay_id, origin, output, record)
            if writer is None:
                continue
            ledger = None if origin is None else writer.ledgers.get(origin[0])
            if origin is None or ledger is None:
                self._note_unnamed(origin, output, record)
            elif ledger.first <= origin[1] < writer.ends[origin[0]]:
                yield writer, ledger, origin[1], output, record
            else:
                self._note_outside(writer, origin, output, record)

    def _is_over(self, moment: float) -> bool:
        """Whether the scope has an end, and all records that its deliveries led to have come."""
        end_ms = self.assignment.snapshot.end_ms
        is_read = all(
            ledger.next >= writer.ends[one] for writer in self._writers() for one, ledger in writer.ledgers.items()
        )
        return end_ms is not None and is_read and moment > end_ms + _LATE_MS

    async def _conclude(self) -> None:
        """Names what is left over, once everything was read."""
        for writer in self._writers():
            is_group = writer.plan is None
            for partition, ledger in writer.ledgers.items():
                if not is_group and partition in self.main.ledgers:
                    ledger.excuse_retries(self.main.ledgers[partition])
                await self._finish_ledger(partition, ledger)
                self.tally.add_report(ledger.report, (ledger.raw_topic, partition), writer.plan)
                if is_group:
                    self.tally.deliveries += ledger.deliveries
        for origin, output, position in self._again:
            if output[0] != "sequence" or not (self.assignment.is_moving or origin[1] in self._remade[origin[0]]):
                raw = str(Position(self.assignment.raw_topic, *origin))
                detail = "it came after an audit had judged its delivery whole"
                self.tally.add_finding(AuditFinding(FindingKind.DOUBLED, raw, position, detail))

    def _writers(self) -> tuple[AuditedWriter, ...]:
        return self.main, *self.marked.values()

    def _ledgers(self) -> list[PartitionLedger]:
        return [ledger for writer in self._writers() for ledger in writer.ledgers.values()]

    async def _finish_ledger(self, partition: int, ledger: PartitionLedger) -> None:
        notes = ledger.report.noted_only[:_LOOKUPS_MAX]
        places = {first: self._position(partition, first) for _, first in notes}
        raw_of = await self._raw_of(partition, {*ledger.late_offsets, *(offset for offset, _ in notes)})
        firsts: dict[Position, RawRecord] = {}
        for one in {place.partition for place in places.values()}:
            found = await self._raw_of(one, {place.offset for place in places.values() if place.partition == one})
            firsts.update({raw.position: raw for raw in found.values()})
        for offset, first in notes:
            retry, original = raw_of.get(offset), firsts.get(places[first])
            if retry is None or original is None:
                self.tally.unjudged += 1
            elif not ledger.judge.is_retry_of(retry, original):
                origin = str(Position(self.assignment.raw_topic, partition, offset))
                detail = f"it is noted as a retry of {places[first]}, which is another delivery"
                ledger.report.add([AuditFinding(FindingKind.FALSELY_DROPPED, origin, "", detail)])
        self.tally.unjudged += len(ledger.report.noted_only) - len(notes)
        ledger.finish(raw_of, deleted_before=self.assignment.snapshot.raw_first[partition])

    def _position(self, partition: int, place: int) -> Position:
        return position_of(place, Position(self.assignment.raw_topic, partition, 0))

    async def _raw_of(self, partition: int, offsets: Collection[int]) -> dict[int, RawRecord]:
        """The deliveries at these offsets that are there."""
        snapshot = self.assignment.snapshot
        begin, end = snapshot.raw_first.get(partition, 0), snapshot.raw_end.get(partition, 0)
        wanted = [one for one in offsets if begin <= one < end]
        found: dict[int, RawRecord] = {}
        for run in _runs(sorted(wanted)):
            ranges = [Range(partition, run[0], run[-1] + 1)]
            async for records in read_ranges(self.assignment.settings, self.assignment.raw_topic, ranges):
                found.update((one.position.offset, one) for one in records if one.position.offset in offsets)
        return found

    def _marked_writer(
        self, replay_id: str, origin: Origin | None, output: OutputPartition, record: ConsumerRecord
    ) -> AuditedWriter | None:
        """The replay or redrive that wrote the record; None where it is not judged here."""
        mine = origin is not None and origin[0] in self.main.ledgers
        if replay_id in self.assignment.snapshot.unfinished:
            self.tally.note_unjudged(output, record.offset)
        if mine or (origin is None and self.assignment.is_first):
            self.tally.replays[replay_id] += 1
            if replay_id not in self.assignment.snapshot.replays:
                detail = f"it is marked {replay_id[:60]}, and no replay has this id"
                self._report_unexplained(record, detail)
            elif origin is not None:
                self._note_remade(origin)
        return self.marked.get(replay_id)

    def _note_remade(self, origin: Origin) -> None:
        """Notes that a replay or a redrive, judged here or not, has made events of the delivery."""
        ledger = self.main.ledgers[origin[0]]
        if origin[1] >= ledger.first:
            ledger.note_remade(origin[1])
        elif self.assignment.snapshot.audited:
            self._remade[origin[0]].add(origin[1])

    def _note_unnamed(self, origin: Origin | None, output: OutputPartition, record: ConsumerRecord) -> None:
        """Reports a record that names no delivery; one that names a delivery of another process is passed over."""
        if origin is not None and origin[0] in self.assignment.snapshot.raw_end:
            if origin[0] in self.assignment.partitions and self.assignment.ranges[origin[0]].count == 0:
                self._note_outside(self.main, origin, output, record)
            return
        if output[0] == "sequence" and read_dismissal(record.value) is not None:
            return  # A person wrote it; what it leads to is judged with `gaps`.
        if self.assignment.is_first:
            detail = "it names no delivery"
            if origin is not None:
                detail = f"it names partition {origin[0]} of raw, which is not there"
            self._report_unexplained(record, detail)

    def _note_outside(
        self, writer: AuditedWriter, origin: Origin, output: OutputPartition, record: ConsumerRecord
    ) -> None:
        """Reports or counts a record of a delivery outside the range: of one that cannot be, or out of scope."""
        partition, offset = origin
        if offset >= self.assignment.snapshot.raw_end[partition]:
            detail = f"it names offset {offset} of partition {partition} of raw, where nothing was yet"
            self._report_unexplained(record, detail)
        elif writer.plan is not None and offset >= writer.ends[partition]:
            detail = f"{writer.plan.id} has not come to offset {offset} of partition {partition} of raw"
            self._report_unexplained(record, detail)
        elif writer.plan is None and offset >= writer.ends[partition]:
            self.tally.note_unjudged(output, record.offset)
            if offset >= self.assignment.snapshot.reached.get(partition, 0):
                self.tally.beyond[partition] += 1
        elif writer.plan is None and record.offset >= self.assignment.snapshot.audited.get(output, record.offset + 1):
            self._again.append((origin, output, _position(record)))

    def _report_unexplained(self, record: ConsumerRecord, detail: str) -> None:
        self.tally.add_finding(AuditFinding(FindingKind.UNEXPLAINED, "", _position(record), detail))


def _position(record: ConsumerRecord) -> str:
    return str(Position(record.topic, record.partition, record.offset))


def _demands(named: Sequence[_NamedRecord]) -> dict[AuditedWriter, dict[int, int]]:
    """Up to which offsets the deliveries must be judged, by writer and partition of `raw`."""
    demands: dict[AuditedWriter, dict[int, int]] = {}
    for writer, ledger, offset, _, _ in named:
        wanted = demands.setdefault(writer, {})
        if wanted.get(ledger.partition, 0) <= offset:
            wanted[ledger.partition] = offset + 1
    return demands


def _replay_id(record: ConsumerRecord) -> str:
    """The id of the replay that wrote the event; empty where none did."""
    for name, value in record.headers[_EVENT_HEADERS:]:
        if name == "replay":
            return (value or b"").decode("utf-8", "replace")
    return ""


def _runs(offsets: Sequence[int]) -> list[list[int]]:
    """The offsets in runs that are read at once; all as one run where they are many, for each run costs a request."""
    runs: list[list[int]] = []
    for one in offsets:
        if runs and one - runs[-1][-1] < _NEAR:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs if len(runs) <= _RUNS_MAX else [list(offsets)]
