"""What a replay would change, delivery by delivery: pure comparisons."""

import orjson
import pytest

from ops.replay.dry_run import Differences, DryRunOutcome, PresentOutcomes, difference, outcome_of
from schemas.notes.replays import Range
from schemas.records import Position, RawRecord, Record

RAW = "d.raw"
HERE = Position(RAW, 0, 5)


def value(event_id: str, data: int = 1, replay: str | None = None) -> bytes:
    event = {"id": event_id, "rawtopic": RAW, "rawpartition": 0, "rawoffset": "5"}
    mark = {"replay": replay} if replay else {}
    return orjson.dumps({**event, **mark, "data": {"n": data, "payload": ',"replay":"r"'}})


def written(content: bytes, at_ms: int = 0, headers: tuple[tuple[str, bytes], ...] = ()) -> RawRecord:
    return RawRecord(Position("d.orders", 0, 0), b"k", content, headers, at_ms)


def found() -> PresentOutcomes:
    return PresentOutcomes(RAW, (Range(0, 5, 6),), ("orders", "other"))


def judged(*records: tuple[str, bytes]) -> DryRunOutcome:
    return outcome_of([Record(topic, b"k", content) for topic, content in records], ("orders", "other"))


NOW = judged(("orders", value("a")))
REJECTED = DryRunOutcome("rejected")
RETRY = DryRunOutcome("retry")


@pytest.mark.parametrize(
    ("now", "then", "told"),
    [
        (NOW, judged(("orders", value("a"))), ("the same", "")),
        (NOW, judged(("orders", value("a", data=2))), ("changed data", " orders")),
        (NOW, judged(("orders", value("b"))), ("changed data", " orders")),
        (NOW, judged(("other", value("a"))), ("moved domain", " orders -> other")),
        (NOW, judged(("rejected", b"")), ("now rejected", " orders")),
        (NOW, judged(("duplicates", b"")), ("now a retry", " orders")),
        (REJECTED, judged(("orders", value("a")), ("sequence", b"{}")), ("now accepted", " orders")),
        (REJECTED, RETRY, ("now a retry", "")),
        (RETRY, judged(("orders", value("a"))), ("no retry any more", " orders")),
        (RETRY, REJECTED, ("now rejected", "")),
        (None, judged(("orders", value("a"))), ("not processed yet", "")),
        (REJECTED, REJECTED, ("the same", "")),
    ],
)
def test_every_difference_has_its_name(now: DryRunOutcome | None, then: DryRunOutcome, told: tuple[str, str]) -> None:
    """What is in the topics against what would be."""
    assert difference(now, then) == told


def test_what_is_there_now_is_what_was_written_last() -> None:
    """A later replay's events stand for the delivery, whatever topic they went to; its mark is no difference."""
    topics = found()
    topics.add_event("orders", written(value("a", data=1), at_ms=10))
    topics.add_event("other", written(value("b", data=2, replay="r"), at_ms=20))
    assert difference(topics.outcome(HERE), judged(("other", value("b", data=2)))) == ("the same", "")
    assert topics.outcome(Position(RAW, 0, 6)) is None


def test_an_event_counts_more_than_its_rejection() -> None:
    """A delivery that was rejected and redriven is an event now."""
    topics = found()
    topics.add_other("rejected", written(b"", headers=(("dropstream-raw", b"d.raw/0/5"),)))
    assert topics.outcome(HERE) == REJECTED
    topics.add_event("orders", written(value("a", replay="redrive-1")))
    assert difference(topics.outcome(HERE), NOW) == ("the same", "")


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b'{"rawtopic":1,"rawpartition":"x","rawoffset":[]}'])
def test_what_others_wrote_is_passed_over(content: bytes | None) -> None:
    """A record that is no event of ours stops nothing."""
    topics = found()
    topics.add_event("orders", RawRecord(Position("d.orders", 0, 0), None, content, (), 0))
    topics.add_other("retry", RawRecord(Position("d.orders", 0, 0), None, content, (("dropstream-raw", b"x"),), 0))
    assert topics.outcome(HERE) is None


def test_the_first_five_are_listed_by_offset() -> None:
    """All are counted; those that are the same are not listed."""
    told = Differences()
    for offset in range(7):
        told.add(Position(RAW, 0, offset), NOW, DryRunOutcome("rejected"))
        told.add(Position(RAW, 1, offset), NOW, NOW)
    assert told.counts == {"now rejected": 7, "the same": 7}
    assert told.first == {"now rejected": ["0:0 orders", "0:1 orders", "0:2 orders", "0:3 orders", "0:4 orders"]}
