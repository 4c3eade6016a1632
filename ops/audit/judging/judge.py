"""Judges a delivery of `raw` again: the records that ought to be there, and whether other rules judged it at first.

Pure, but for the memory of retries on disk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ops.audit.judging.records import ExpectedRecord
from ops.audit.judging.sightings import DiskSightings
from ops.audit.reading.eras import Eras
from processors.deliver.repeats import COPY, LATEST
from processors.deliver.sightings import DedupeResult, Sighting, Sightings, key_of_another_body
from processors.deliver.step import Rules, deliver
from schemas.kafka.partitions import partition_of
from schemas.notes.rejections import refused_record
from schemas.records import RawRecord, Record


@dataclass(frozen=True, slots=True)
class Judgement:
    """The records that a delivery ought to have led to.

    `other_rules` as `Eras.other_than_today` says it, `may_be_forgotten` and `unsure_of` as `DiskSightings` says them.
    """

    records: tuple[ExpectedRecord, ...]
    other_rules: str
    may_be_forgotten: bool = False
    unsure_of: int | None = None


@dataclass(slots=True)
class Judge:
    """Judges the deliveries of one partition of `raw`, in order."""

    rules: Rules
    seen: DiskSightings
    eras: Eras
    # How many partitions the topics have now; by short name.
    partitions: Mapping[str, int]

    def judge(self, raw: RawRecord, endpoint: str) -> Judgement:
        """The records that the delivery ought to have led to; remembers the delivery for the retries that follow."""
        offset, seen = raw.position.offset, self.seen
        other_rules = self.eras.other_than_today(offset, endpoint)
        seen.begin(is_unsure=bool(other_rules))
        records = self.placed(deliver(raw, self.rules, seen), offset)
        return Judgement(records, other_rules, seen.may_be_forgotten, seen.unsure_of)

    def placed(self, records: Sequence[Record], offset: int) -> tuple[ExpectedRecord, ...]:
        """The records, each in the partition where it ought to be, by how many partitions its topic had then."""
        counts = self.eras.partitions_at(offset) or self.partitions
        return tuple([_expected(one, counts.get(one.topic) or self.partitions[one.topic]) for one in records])

    def as_first(self, raw: RawRecord) -> tuple[ExpectedRecord, ...]:
        """The records that the delivery leads to where nothing like it came before."""
        return self._as(raw, _FixedSightings(DedupeResult.FIRST))

    def as_other_body(self, raw: RawRecord) -> tuple[ExpectedRecord, ...]:
        """The records that the delivery leads to where its key came before with another body."""
        return self._as(raw, _FixedSightings(DedupeResult.BODY_DIFFERS))

    def as_retry(self, raw: RawRecord, first_offset: int) -> tuple[ExpectedRecord, ...]:
        """The records that the delivery leads to where the delivery at `first_offset` was the same."""
        return self._as(raw, _FixedSightings(DedupeResult.RETRY, first_offset))

    def as_repeated(self, raw: RawRecord) -> tuple[ExpectedRecord, ...]:
        """The records that the delivery leads to where its body came before, and another of its entity since."""
        return self._as(raw, _FixedSightings(DedupeResult.RETRY, is_overtaken=True))

    def as_refused(self, raw: RawRecord, error: str) -> tuple[ExpectedRecord, ...]:
        """The records that the delivery leads to where Kafka refuses, for the reason `error`, what it would lead to."""
        return self.placed([refused_record(raw, error, self.rules.record_bytes_max)], raw.position.offset)

    def is_retry_of(self, raw: RawRecord, first: RawRecord) -> bool:
        """Whether `raw` is authentic, and the same as `first`, received within the window of retries."""
        one, other = _FixedSightings(DedupeResult.FIRST), _FixedSightings(DedupeResult.FIRST)
        deliver(raw, self.rules, one)
        deliver(first, self.rules, other)
        return bool(one.asked & other.asked) and one.received_s - other.received_s <= self.seen.window_s

    def _as(self, raw: RawRecord, sightings: Sightings) -> tuple[ExpectedRecord, ...]:
        return self.placed(deliver(raw, self.rules, sightings), raw.position.offset)


def _expected(record: Record, count: int) -> ExpectedRecord:
    output = (record.topic, partition_of(record.key, count))
    return ExpectedRecord(output, record.key, record.value, list(record.headers))


@dataclass(slots=True)
class _FixedSightings:
    """A memory of retries that gives the same answer for every delivery, and keeps what it was asked about."""

    kind: DedupeResult
    first_offset: int = 0
    # Whether another delivery of the same entity came between.
    is_overtaken: bool = False
    # By endpoint, key and body, for a delivery may be known by several keys.
    asked: set[tuple[str, str, bytes]] = field(default_factory=set)
    received_s: int = 0

    def judge(self, *, endpoint: str, natural_key: str, body: bytes, offset: int, received_s: int) -> Sighting:
        """The fixed answer."""
        self.asked.add((endpoint, natural_key, body))
        self.received_s = received_s
        kind = self.kind
        if self.is_overtaken and kind is DedupeResult.RETRY:
            kind = DedupeResult.BODY_DIFFERS if natural_key.startswith(LATEST) else kind
            kind = DedupeResult.FIRST if natural_key.startswith(COPY) else kind
        key = key_of_another_body(natural_key, body) if kind is DedupeResult.BODY_DIFFERS else natural_key
        first = self.first_offset if kind is DedupeResult.RETRY else offset
        return Sighting(kind, key, first, (b"", b""), endpoint)

    def remember(self, sighting: Sighting) -> None:
        """Does nothing: the answer is fixed."""
