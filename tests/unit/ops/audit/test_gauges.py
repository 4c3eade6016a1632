"""What `dropstream process` shows of the audits: never more than was read, and never for longer than it is known."""

import pytest
from prometheus_client import CollectorRegistry

from ops.audit.gauges import KNOWN_FOR_S, AuditGauges
from ops.audit.state import AuditState
from schemas.notes.audits import AuditResult, Checkpoint, Status, read_checkpoint, read_result, write

CHECKPOINT = Checkpoint(looked_at="2026-05-21T12:00:00Z", raw={0: 7}, begins={}, ends={"orders": {0: 9}}, replays=[])


class Clock:
    """Seconds that pass when they are told to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gauges(clock: Clock) -> AuditGauges:
    return AuditGauges(clock)


def shown(gauges: AuditGauges) -> dict[tuple[str, ...], float]:
    """Every sample, by its name without `dropstream_audit_` and its label."""
    registry = CollectorRegistry()
    registry.register(gauges)
    return {
        (one.name.removeprefix("dropstream_audit_"), *one.labels.values()): one.value
        for family in registry.collect()
        for one in family.samples
    }


def verdict(gauges: AuditGauges) -> list[str]:
    """The words of which the verdict is 1."""
    return [name[1] for name, value in shown(gauges).items() if name[0] == "verdict" and value == 1]


def result(status: Status, **exceptions: int) -> AuditResult:
    return AuditResult(
        finished_at="2026-05-21T13:00:00Z", status=status, deliveries=9, pending=1, exceptions=exceptions
    )


def test_before_anything_was_read_nothing_is_known(gauges: AuditGauges) -> None:
    """The verdict is unknown, and there is no other sample."""
    assert verdict(gauges) == ["unknown"]
    assert {name for name, *_ in shown(gauges)} == {"verdict"}


def test_where_no_audit_was_ever_run_the_verdict_is_none(gauges: AuditGauges) -> None:
    """It is said, and there are no times that could grow old."""
    gauges.show(AuditState())
    assert verdict(gauges) == ["none"]
    assert {name for name, *_ in shown(gauges)} == {"verdict"}


@pytest.mark.parametrize("status", ["clean", "exceptions", "unknown"])
def test_the_last_verdict_is_shown_with_its_times_and_counts(gauges: AuditGauges, status: Status) -> None:
    """One word is 1 and the others 0; every kind of exception has a count; the times are those that were kept."""
    gauges.show(AuditState(result(status, doubled=2), CHECKPOINT))
    found = shown(gauges)
    assert verdict(gauges) == [status]
    assert len([name for name in found if name[0] == "verdict"]) == 4
    assert found["finished_timestamp_seconds",] - found["clean_timestamp_seconds",] == 3_600
    assert found["clean_timestamp_seconds",] == 1_779_364_800
    counts = {name[1]: value for name, value in found.items() if name[0] == "exceptions"}
    assert counts == {
        **dict.fromkeys(("lost", "altered", "misplaced", "disordered", "falsely_dropped", "unexplained"), 0),
        "doubled": 2,
    }


def test_what_was_read_is_good_for_some_minutes_only(gauges: AuditGauges, clock: Clock) -> None:
    """While nothing can be read a clean verdict becomes unknown; its time stays, and grows old."""
    gauges.show(AuditState(result("clean"), CHECKPOINT))
    clock.now += KNOWN_FOR_S
    assert verdict(gauges) == ["clean"]
    clock.now += 1
    assert verdict(gauges) == ["unknown"]
    assert ("clean_timestamp_seconds",) in shown(gauges)
    gauges.show(AuditState(result("clean"), CHECKPOINT))
    assert verdict(gauges) == ["clean"]


def test_a_record_of_somebody_else_is_no_verdict(gauges: AuditGauges) -> None:
    """Where the record of the last audit cannot be read, the verdict is unknown."""
    gauges.show(AuditState(is_readable=False))
    assert verdict(gauges) == ["unknown"]


def test_what_is_kept_is_read_back() -> None:
    """A result and a checkpoint are what they were."""
    assert read_result(write(result("exceptions", lost=3))) == result("exceptions", lost=3)
    assert read_checkpoint(write(CHECKPOINT)) == CHECKPOINT


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        b"[1]",
        b"\xff",
        write(result("clean")).replace(b'"clean"', b'"splendid"'),
        write(result("clean")).replace(b"2026-05-21T13:00:00Z", b"yesterday"),
        write(result("clean")).replace(b"13:00:00Z", b"13:00:00"),
        write(CHECKPOINT).replace(b"2026-05-21T12:00:00Z", b"noon"),
    ],
)
def test_whatever_else_lies_there_is_neither(value: bytes | None) -> None:
    """Neither a result nor a checkpoint, and no error: a time without a zone and an unknown word included."""
    assert read_result(value) is None
    assert read_checkpoint(value) is None
