"""What a forger can do to the records of a delivery; each says by what names the audit has to call it.

A forge takes records that no other has touched, so that several can be done to one delivery.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ops.audit.verdict import FindingKind
from schemas.vocabulary import EVENT_TOPICS
from tests.forgery.changes import attribute, rewrite_origin, told
from tests.forgery.history import Case, History, Named, Unfit, Written
from tests.forgery.stages import Cast

ALTERED, DOUBLED, LOST = FindingKind.ALTERED, FindingKind.DOUBLED, FindingKind.LOST
MISPLACED, DISORDERED = FindingKind.MISPLACED, FindingKind.DISORDERED
DROPPED, UNEXPLAINED = FindingKind.FALSELY_DROPPED, FindingKind.UNEXPLAINED


@dataclass(slots=True)
class Forger:
    """Forges into a history; `late` where what is added lies at the end of its lane, not beside its like."""

    history: History
    late: bool = False

    def double(self, records: Sequence[Written]) -> None:
        """Writes these records once more."""
        for one in records:
            if self.late:
                self.history.put_last(one.copy())
            else:
                self.history.put_behind(one, one.copy())


Forge = Callable[[Forger, Case, Cast], Sequence[Named]]


def lose(*topics: str) -> Forge:
    """A record is not there."""

    def forge(forger: Forger, case: Case, _cast: Cast) -> list[Named]:
        forger.history.remove(case.take(*topics))
        return [Named(LOST, case.place)]

    return forge


def lose_all(forger: Forger, case: Case, _cast: Cast) -> list[Named]:
    """Nothing of the delivery is there."""
    for one in case.take_all():
        forger.history.remove(one)
    return [Named(LOST, case.place)]


def lose_events(forger: Forger, case: Case, _cast: Cast) -> list[Named]:
    """All events are missing, its observation is there."""
    for one in case.take_all():
        if one.lane[0] in EVENT_TOPICS:
            forger.history.remove(one)
    return [Named(LOST, case.place)]


def double(*topics: str) -> Forge:
    """A record is there twice."""

    def forge(forger: Forger, case: Case, _cast: Cast) -> list[Named]:
        forger.double([case.take(*topics)])
        return [Named(DOUBLED, case.place)]

    return forge


def copy(spoil: Callable[[Written, History], None], kind: FindingKind) -> Forge:
    """Beside an event lies a copy of it that is not quite the same."""

    def forge(forger: Forger, case: Case, _cast: Cast) -> list[Named]:
        new = case.take(*EVENT_TOPICS).copy()
        spoil(new, forger.history)
        if forger.late:
            forger.history.put_last(new)
        else:
            forger.history.put_in_time(new)
        return [Named(DOUBLED, case.place), Named(kind, case.place)]

    return forge


def other_time(record: Written, _history: History) -> None:
    attribute("time", "2026-01-01T00:00:00.000000Z")(record)


def other_partition(record: Written, history: History) -> None:
    record.lane = record.lane[0], (record.lane[1] + 1) % history.partitions[record.lane[0]]


def double_all(forger: Forger, case: Case, _cast: Cast) -> list[Named]:
    """The whole delivery was processed twice."""
    forger.double(case.take_all())
    return [Named(DOUBLED, case.place)]


def alter(change: Callable[[Written], None], *topics: str) -> Forge:
    """A record is there with something else in it."""

    def forge(_forger: Forger, case: Case, _cast: Cast) -> list[Named]:
        change(case.take(*topics))
        return [Named(ALTERED, case.place)]

    return forge


def move_to_topic(forger: Forger, case: Case, _cast: Cast) -> list[Named]:
    """An event lies in another topic, in the partition of its key."""
    return _moved(forger, case, lambda one: (one.key, ("catalog", one.lane[1])))


def move_to_partition(forger: Forger, case: Case, _cast: Cast) -> list[Named]:
    """An event lies in another partition than that of its key."""
    count = forger.history.partitions["orders"]
    return _moved(forger, case, lambda one: (one.key, (one.lane[0], (one.lane[1] + 1) % count)))


def move_to_key(forger: Forger, case: Case, _cast: Cast) -> list[Named]:
    """An event has a foreign key, in the partition of that."""
    return _moved(forger, case, lambda one: (b"a:foreign:key", forger.history.lane_of(one.lane[0], b"a:foreign:key")))


def change_key(_forger: Forger, case: Case, _cast: Cast) -> list[Named]:
    """An event has a foreign key, in its old place."""
    case.take(*EVENT_TOPICS).key = b"a:foreign:key"
    return [Named(MISPLACED, case.place)]


def move_other(*topics: str) -> Forge:
    """A record that is no event lies in another partition."""

    def forge(forger: Forger, case: Case, _cast: Cast) -> list[Named]:
        count = forger.history.partitions["orders"]
        return _moved(forger, case, lambda one: (one.key, (one.lane[0], (one.lane[1] + 1) % count)), *topics)

    return forge


def _moved(
    forger: Forger,
    case: Case,
    where: Callable[[Written], tuple[bytes | None, tuple[str, int]]],
    *topics: str,
) -> list[Named]:
    one = case.take(*(topics or EVENT_TOPICS))
    forger.history.remove(one)
    one.key, one.lane = where(one)
    forger.history.put_in_time(one)
    return [Named(MISPLACED, case.place)]


def swap(*topics: str) -> Forge:
    """Two records of one key, of two deliveries, lie in the wrong order."""

    def forge(forger: Forger, case: Case, cast: Cast) -> list[Named]:
        after = [one for cases in cast.roles.values() for one in cases if one.place > case.place]
        for other in sorted(after, key=lambda one: one.place)[:1]:
            for one in list(case.free):
                if one.lane[0] in topics and any(each.key == one.key and each.lane == one.lane for each in other.free):
                    case.free.remove(one)
                    _exchange(forger.history, one, other.take(one.lane[0], key=one.key))
                    return [Named(DISORDERED, case.place)]
        raise Unfit

    return forge


def _exchange(history: History, one: Written, other: Written) -> None:
    records = history.lanes[one.lane]
    here, there = history.index(one), history.index(other)
    records[here], records[there] = other, one
    one.timestamp_ms, other.timestamp_ms = other.timestamp_ms, one.timestamp_ms


def name_another(*, before: bool) -> Forge:
    """An event names a delivery of the same order that came before, or behind it."""

    def forge(_forger: Forger, case: Case, cast: Cast) -> list[Named]:
        for target in cast.of("events"):
            if target.place == case.place or (target.place < case.place) is not before:
                continue
            for event in case.free:
                # What is right of the other delivery stays: no other fault may take it.
                if event.lane[0] in EVENT_TOPICS and any(event.key == one.key for one in target.free):
                    target.take(event.lane[0], key=event.key)
                    rewrite_origin(case.take(event.lane[0], key=event.key), case, target.place[1])
                    return [Named(LOST, case.place), Named(UNEXPLAINED, target.place)]
        raise Unfit

    return forge


def replace_event(_forger: Forger, case: Case, _cast: Cast) -> list[Named]:
    """In place of an event there is a foreign one, with an id and a key of its own."""
    event = case.take(*EVENT_TOPICS)
    attribute("id", "7d0a6f2e-0000-5000-8000-000000000000")(event)
    event.key = b"a:foreign:key"
    return [Named(LOST, case.place), Named(UNEXPLAINED, case.place)]


def unmarked_body(_forger: Forger, case: Case, _cast: Cast) -> list[Named]:
    """An event of another body does not say so."""

    def change(event: dict[str, Any]) -> None:
        del event["bodydiffers"]

    event = case.take(*EVENT_TOPICS)
    told(change)(event)
    event.headers = [one for one in event.headers if one[0] != "bodydiffers"]
    return [Named(ALTERED, case.place)]
