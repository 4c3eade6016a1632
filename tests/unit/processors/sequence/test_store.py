"""The store of group `sequence`: an overlay for the running transaction, a changelog that gives it all back."""

from datetime import timedelta

import orjson
import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from structlog.testing import capture_logs

from processors.sequence.metrics import HoleGauges
from processors.sequence.step import observe, punctuate
from processors.sequence.store import SequenceStore
from processors.sequence.tracker import GapRules
from schemas.errors import DropstreamError
from schemas.notes.sequence_observations import observation_record
from schemas.records import Position, RawRecord, Record
from schemas.sections.programs import SequenceSettings
from schemas.vocabulary import TimeQuality
from tests.support.tracking import RULES, at

HOUR_S = 3_600


def record(value: bytes | None, offset: int = 0) -> RawRecord:
    return RawRecord(Position("d.sequence", 0, offset), b"acme", value, (), 0)


def observed(number: int, received_s: float, endpoint: str = "acme") -> RawRecord:
    written = observation_record(
        endpoint=endpoint,
        sequence=number,
        time=at(received_s),
        time_quality=TimeQuality.EXACT,
        received_at=at(received_s),
        raw=Position("d.raw", 0, number),
    )
    return record(written.value, number)


class Partition:
    """A `SequenceStore` as the runtime uses it, with its changelog and what was written to `gaps`."""

    def __init__(self, rules: GapRules = RULES) -> None:
        self.store = SequenceStore(rules)
        self.changelog: list[tuple[bytes, bytes | None]] = []
        self.gaps: list[Record] = []

    def transact(self, *records: RawRecord) -> None:
        self.gaps += [gap for one in records for gap in observe(one, self.store)]
        self._commit()

    def punctuate(self, now_s: float) -> None:
        self.gaps += punctuate(self.store, at(now_s))
        self._commit()

    def _commit(self) -> None:
        self.changelog += self.store.changes()
        self.store.commit()

    def restored(self) -> "Partition":
        other = Partition(self.store.rules)
        for key, value in self.changelog:
            other.store.restore(key, value)
        return other

    def told(self) -> list[tuple[str, int, int]]:
        gaps = [orjson.loads(gap.value) for gap in self.gaps]
        return [(gap["state"], gap["first"], gap["last"]) for gap in gaps]


def test_one_transaction_writes_each_key_once() -> None:
    """However many ids come, a transaction writes the head once, and no hole that it has also filled."""
    partition = Partition()
    partition.transact(*(observed(number, number) for number in (1, 2, 4, 3, 7)))
    assert [orjson.loads(key) for key, _ in partition.changelog] == [["acme"], ["acme", 1, 6]]
    partition.transact(observed(6, 8), observed(5, 8))
    assert [(orjson.loads(key), value is None) for key, value in partition.changelog[2:]] == [
        (["acme"], False),
        (["acme", 1, 6], True),
    ]
    assert partition.store.entries == 1


def test_what_is_restored_goes_on_as_if_nothing_had_been() -> None:
    """After any transaction the changelog alone gives the same verdicts on what follows."""
    feed = [observed(number, second) for second, number in enumerate((1, 5, 9, 7, 3, 20, 12, 4), start=100)]
    feed += [observed(number, 300 + number) for number in (2, 13, 21)]
    whole = Partition()
    for one in feed:
        whole.transact(one)
    whole.punctuate(500 * HOUR_S)
    for cut in range(len(feed) + 1):
        partition = Partition()
        for one in feed[:cut]:
            partition.transact(one)
        successor = partition.restored()
        assert successor.store.entries == partition.store.entries
        successor.transact(*feed[cut:])
        successor.punctuate(500 * HOUR_S)
        assert partition.gaps + successor.gaps == whole.gaps


def test_reading_the_changelog_again_changes_nothing() -> None:
    """Restoring is idempotent, over memory too."""
    partition = Partition()
    partition.transact(observed(1, 0), observed(5, 1))
    partition.transact(observed(3, 2))
    for key, value in partition.changelog:
        partition.store.restore(key, value)
    assert partition.store.entries == 3
    partition.punctuate(200)
    assert partition.told() == [("open", 2, 2), ("open", 4, 4)]


def test_a_transaction_that_failed_never_was() -> None:
    """Rolled back, its ids have not come, nothing is to be written, and nothing is logged."""
    partition = Partition()
    partition.transact(observed(1, 0))
    observe(observed(5, 1), partition.store)
    observe(record(b"garbage"), partition.store)
    partition.store.roll_back()
    assert partition.store.changes() == []
    with capture_logs() as logs:
        partition.transact(observed(2, 2))
    assert logs == []
    partition.punctuate(500)
    assert partition.told() == []


def test_time_trails_the_clock() -> None:
    """A hole is reported five seconds after it is due, for its delivery may still be on the way here."""
    partition = Partition()
    partition.transact(observed(1, 0), observed(3, 10))
    partition.punctuate(104.999)
    assert partition.told() == []
    assert partition.store.changes() == []
    partition.punctuate(105)
    assert partition.told() == [("open", 2, 2)]
    partition.punctuate(106)
    assert partition.told() == [("open", 2, 2)]


def test_a_replay_without_punctuation_says_the_same() -> None:
    """Whether time or the next delivery brings a hole to light, the record is the same, byte for byte."""
    feed = [observed(number, second) for number, second in ((1, 0), (4, 1), (6, 50), (5, 200), (9, 201), (3, 400))]
    live, replay = Partition(), Partition()
    for one in feed:
        live.punctuate((200 if one.position.offset in {5, 9} else 0) + 1)
        live.transact(one)
    replay.transact(*feed)
    assert replay.gaps == live.gaps
    assert replay.told() == [("open", 2, 3), ("open", 5, 5), ("filled", 5, 5), ("open", 7, 8), ("filled", 3, 3)]


def test_endpoints_of_one_partition_are_apart() -> None:
    """Each endpoint has its own counter; time passes for all of them."""
    partition = Partition()
    partition.transact(observed(1, 0, "one"), observed(50, 0, "other"), observed(3, 0, "one"), observed(52, 0, "other"))
    partition.punctuate(200)
    assert partition.told() == [("open", 2, 2), ("open", 51, 51)]
    assert [gap.key for gap in partition.gaps] == [b"one", b"other"]


def test_what_is_no_observation_is_passed_and_told_once_a_transaction() -> None:
    """Garbage stops nothing, and one line says how much of it there was and where it began."""
    partition = Partition()
    with capture_logs() as logs:
        partition.transact(observed(1, 0), record(None, 7), record(b"\xff", 8), observed(2, 1))
        partition.transact(observed(3, 2))
    assert logs == [{"event": "not_observations", "count": 2, "first": "d.sequence/0/7", "log_level": "warning"}]
    assert partition.told() == []


def test_holes_given_up_are_counted_when_they_are_committed() -> None:
    """Only what is committed counts as removed early, and is logged."""
    partition = Partition(GapRules(grace=timedelta(seconds=90), lost_after=timedelta(hours=110), holes_max=1))
    observe(observed(1, 0), partition.store)
    observe(observed(3, 1), partition.store)
    observe(observed(5, 2), partition.store)
    assert partition.store.evicted == 0
    with capture_logs() as logs:
        partition.store.commit()
    assert partition.store.evicted == 1
    assert logs == [{"event": "holes_given_up", "count": 1, "log_level": "warning"}]


def test_a_changelog_record_that_no_step_wrote_is_refused_at_once() -> None:
    """A corrupt record is named where it is read; a tombstone takes it back."""
    store = SequenceStore(RULES)
    with pytest.raises(ValueError, match="no head and no hole"):
        store.restore(b"junk", b"junk")
    store.restore(b"junk", None)
    assert store.entries == 0


def test_a_hole_without_a_head_is_an_error_for_a_person() -> None:
    """A changelog that has lost a part is never guessed at."""
    partition = Partition()
    partition.transact(observed(1, 0), observed(3, 0))
    store = SequenceStore(RULES)
    store.restore(*partition.changelog[1])
    with pytest.raises(DropstreamError, match="changelog of the sequences is corrupt"):
        observe(observed(4, 1), store)


def test_open_holes_are_shown_for_as_long_as_the_partition_is_ours() -> None:
    """The gauges count committed, reported holes at the moment of asking, and end with what they watch."""
    registry, gauges = CollectorRegistry(), HoleGauges(clock=lambda: at(300))
    registry.register(gauges)
    partition = Partition()
    gauges.watch(partition.store)
    partition.transact(observed(1, 0), observed(5, 10), observed(8, 20), observed(10, 299))

    def shown() -> list[float | None]:
        names = ("open_holes", "missing_ids", "suspected_ids", "oldest_hole_seconds")
        return [registry.get_sample_value(f"dropstream_process_{name}", {"endpoint": "acme"}) for name in names]

    assert shown() == [2, 5, 1, 290]
    partition.transact(*(observed(number, 299) for number in (2, 3, 4, 6, 7)))
    assert shown() == [0, 0, 1, 0]
    del partition
    assert shown() == [None, None, None, None]


def test_a_grace_time_longer_than_the_horizon_stops_the_start() -> None:
    """What the tracker would refuse is a fault of the configuration, named before anything runs."""
    assert SequenceSettings(grace_seconds=HOUR_S, lost_after_hours=1).grace_seconds == HOUR_S
    with pytest.raises(ValidationError, match="grace_seconds must not be longer than lost_after_hours"):
        SequenceSettings(grace_seconds=HOUR_S + 1, lost_after_hours=1)
