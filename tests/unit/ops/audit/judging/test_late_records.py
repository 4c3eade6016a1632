"""Records that came after all that their delivery leads to: each is named, but for what nobody can know any more."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ops.audit.judging.judge import Judge
from ops.audit.judging.late_records import LateRecords
from ops.audit.judging.ledger_report import LedgerReport
from ops.audit.judging.records import ActualRecord, ExpectedRecord
from ops.audit.judging.sightings import DiskSightings, SightingsFile
from ops.audit.reading.eras import Eras
from ops.audit.verdict import AuditFinding, FindingKind
from processors.providers import discover
from processors.rules_version import rules_version
from schemas.records import RawRecord
from tests.forgery.stages import Stages
from tests.property.test_audit import PARTITIONS, RULES, SETTINGS, raw_records

RAW = SETTINGS.kafka.topic_prefix + "raw"
FIRST = 10


@pytest.fixture
def judge() -> Iterator[Judge]:
    """It judges by the rules of today, and has seen nothing."""
    seen = SightingsFile()
    memory = DiskSightings(seen, 0, window_s=3_600, keys_max=100, bucket_max=10)
    yield Judge(RULES, memory, Eras(rules_version(SETTINGS, SETTINGS.endpoints, discover())), PARTITIONS)
    seen.close()


@pytest.fixture
def delivery() -> RawRecord:
    """The delivery at offset 12."""
    stages = Stages()
    stages.add()
    (record,) = raw_records(stages.deliveries)
    return replace(record, position=replace(record.position, offset=12))


def there(expected: ExpectedRecord, offset: int = 0) -> ActualRecord:
    """The record, as it lies in its topic."""
    place = f"{expected.output[0]}/{expected.output[1]}/{offset}"
    return ActualRecord(expected.output, expected.key, expected.value, expected.headers, place, 0)


def note(judge: Judge, raw: RawRecord, first: int, offset: int = 0) -> ActualRecord:
    """The note that the delivery is a retry of the one at `first`."""
    (one,) = [one for one in judge.as_retry(raw, first) if one.output[0] == "duplicates"]
    return there(one, offset)


def late(judge: Judge, *, knows_all_before: bool = False, excused: bool = True) -> LateRecords:
    """Those of a range that begins at offset 10; retention may have deleted a record of the delivery at 12."""
    records = LateRecords(judge, FIRST, knows_all_before, is_redriven=False)
    if excused:
        records.excused.add(12 - FIRST)
    return records


def explained(records: LateRecords, raw: RawRecord, *actuals: ActualRecord) -> LedgerReport:
    """The report of these records of the delivery."""
    for one in actuals:
        records.add(12, one)
    report = LedgerReport()
    records.explain({12: raw}, (RAW, 0), report, 0)
    return report


@pytest.mark.parametrize("first", [5, 3 << 48 | 40])
def test_a_retry_of_what_came_before_the_range_is_not_called_a_fault(
    judge: Judge, delivery: RawRecord, first: int
) -> None:
    """Its first try is not read, or lies in another partition; the report says how many such there are."""
    report = explained(late(judge), delivery, note(judge, delivery, first))
    assert (report.findings, report.unproven_bodies) == ([], 1)


def test_a_retry_within_the_range_is_one_of_a_known_first_try(judge: Judge, delivery: RawRecord) -> None:
    """The delivery at 10 was read and is another one, and so its note is false."""
    report = explained(late(judge), delivery, note(judge, delivery, 10))
    assert [(one.kind, one.raw) for one in report.findings] == [(FindingKind.FALSELY_DROPPED, f"{RAW}/0/12")]
    assert report.unproven_bodies == 0


@pytest.mark.parametrize(("knows_all_before", "excused"), [(True, True), (False, False)])
def test_a_note_is_false_where_all_is_known(
    judge: Judge, delivery: RawRecord, *, knows_all_before: bool, excused: bool
) -> None:
    """Nothing was in `raw` before the range, or the records of the delivery are all there."""
    records = late(judge, knows_all_before=knows_all_before, excused=excused)
    report = explained(records, delivery, note(judge, delivery, 5))
    assert [one.kind for one in report.findings] == [FindingKind.FALSELY_DROPPED]
    assert report.unproven_bodies == 0


def test_a_note_that_is_not_quite_that_of_a_retry_is_named(judge: Judge, delivery: RawRecord) -> None:
    """One byte of its key is enough; so is half a note, and one of another delivery."""
    right = note(judge, delivery, 5)
    for spoilt in (
        replace(right, key=right.key + b"x"),
        replace(right, value=right.value[:-1]),
        replace(right, value=right.value.replace(b"/12", b"/13")),
        replace(right, value=b"[]"),
    ):
        report = explained(late(judge), delivery, spoilt)
        assert [one.kind for one in report.findings] == [FindingKind.FALSELY_DROPPED]
        assert report.unproven_bodies == 0


def test_one_note_is_taken_and_a_second_is_named(judge: Judge, delivery: RawRecord) -> None:
    """A delivery is a retry once; an event of it beside its note is there twice."""
    event = there(judge.as_first(delivery)[0], 7)
    notes = note(judge, delivery, 5, offset=1), note(judge, delivery, 5, offset=2)
    report = explained(late(judge), delivery, *notes, event)
    assert report.unproven_bodies == 1
    assert [(one.kind, one.record) for one in report.findings] == [
        (FindingKind.DOUBLED, event.position),
        (FindingKind.FALSELY_DROPPED, notes[1].position),
    ]


def test_what_retention_deleted_is_counted_and_what_is_too_much_is_told(judge: Judge, delivery: RawRecord) -> None:
    """Of 10,001 deliveries the first 10,000 are looked at; of those before the oldest that is left, nobody knows."""
    records, one = late(judge), note(judge, delivery, 5)
    for offset in range(10_001):
        records.add(offset, one)
    report = LedgerReport()
    records.explain({}, (RAW, 0), report, 10_000)
    assert [*records.offsets] == [*range(10_000)]
    assert report.beyond_proof == {"raw": 10_000}
    detail = "it is one of too many records that nobody awaited; it was not looked at"
    assert report.findings == [AuditFinding(FindingKind.UNEXPLAINED, f"{RAW}/0/10000", one.position, detail)]


def test_a_record_of_no_delivery_is_named_by_itself(judge: Judge, delivery: RawRecord) -> None:
    """It says an offset of `raw` at which nothing is although nothing was deleted there."""
    records, one = late(judge), note(judge, delivery, 5, offset=9)
    records.add(12, one)
    report = LedgerReport()
    records.explain({}, (RAW, 0), report, 12)
    assert [(found.kind, found.raw, found.record) for found in report.findings] == [
        (FindingKind.UNEXPLAINED, "", one.position)
    ]
