"""Forges of another outcome: noted as a retry, rejected, made events of, or an event of nobody."""

from collections.abc import Callable

import orjson

from ops.audit.verdict import FindingKind
from schemas.notes.rejections import Reason, Rejection, rejected_record
from schemas.vocabulary import EVENT_TOPICS
from tests.forgery.changes import rewrite_origin
from tests.forgery.forges import ALTERED, DROPPED, UNEXPLAINED, Forge, Forger
from tests.forgery.history import Case, History, Named, Place, Written
from tests.forgery.stages import Cast

FAR = 10**9
_BYTES_MAX = 1_000_000


def make_room(forger: Forger, case: Case, *, instead: bool) -> None:
    """Takes the delivery's records away, or keeps one of them from other faults: then what is added is beside it."""
    if instead:
        for one in case.take_all():
            forger.history.remove(one)
    else:
        case.take(*EVENT_TOPICS, "rejected", "duplicates")


First = Callable[[Case, Cast], int]


def other_body_s(case: Case, _cast: Cast) -> int:
    """The offset of a delivery with another body: of the one before."""
    return case.place[1] - 1


def the_first_s(_case: Case, cast: Cast) -> int:
    """The offset of the first delivery of the stage."""
    return cast.of("events")[0].place[1]


def its_own(case: Case, _cast: Cast) -> int:
    return case.place[1]


def nobody_s(_case: Case, _cast: Cast) -> int:
    """An offset that never was."""
    return FAR


def noted(first: First, *, instead: bool) -> Forge:
    """A delivery that is no retry is noted as one, in place of its records or beside them."""

    def forge(forger: Forger, case: Case, cast: Cast) -> list[Named]:
        make_room(forger, case, instead=instead)
        forger.history.put_in_time(note_of(forger.history, case, first(case, cast)))
        return [Named(DROPPED, case.place)]

    return forge


def note_of(history: History, case: Case, first: int) -> Written:
    """A note that the delivery is a retry of the one at `first`."""
    headers = {name: (value or b"").decode() for name, value in case.raw.headers}
    endpoint, raw = headers["dropstream-endpoint"], str(case.raw.position)
    value = {
        "endpoint": endpoint,
        "delivery": headers["dropstream-delivery"],
        "recordedtime": headers["dropstream-received-at"],
        "raw": raw,
        "first": f"{case.raw.position.topic}/{case.place[0]}/{first}",
    }
    key = endpoint.encode()
    lane = history.lane_of("duplicates", key)
    return Written(lane, key, orjson.dumps(value), [("dropstream-raw", raw.encode())], case.right[0].timestamp_ms)


def rejected(*, instead: bool) -> Forge:
    """A good delivery is rejected, in place of its records or beside them."""

    def forge(forger: Forger, case: Case, _cast: Cast) -> list[Named]:
        make_room(forger, case, instead=instead)
        why = rejected_record(case.raw, Rejection(Reason.SIGNATURE_INVALID, "forged"), _BYTES_MAX)
        lane = forger.history.lane_of("rejected", why.key)
        forger.history.put_in_time(Written(lane, why.key, why.value, list(why.headers), case.right[0].timestamp_ms))
        return [Named(ALTERED if instead else UNEXPLAINED, case.place)]

    return forge


def processed(kind: FindingKind, *, instead: bool) -> Forge:
    """A retry is made the events of its first try, or a rejected delivery those of another one."""

    def forge(forger: Forger, case: Case, cast: Cast) -> list[Named]:
        make_room(forger, case, instead=instead)
        firsts = cast.of("events")
        first = next((one for one in firsts if one.raw.value == case.raw.value), firsts[0])
        for one in first.right:
            if one.lane[0] not in EVENT_TOPICS:
                continue
            new = one.copy()
            new.timestamp_ms = case.right[0].timestamp_ms
            rewrite_origin(new, case)
            forger.history.put_in_time(new)
        return [Named(kind, case.place)]

    return forge


def other_first(forger: Forger, case: Case, _cast: Cast) -> list[Named]:
    """The note of a retry names another first try than the true one."""
    note = case.take("duplicates")
    forger.history.remove(note)
    first = int(orjson.loads(note.value or b"")["first"].rpartition("/")[2])
    forger.history.put_in_time(note_of(forger.history, case, first - 1 if first else case.place[1]))
    return [Named(ALTERED, case.place)]


def from_nowhere(spoil: Callable[[Written, History], None]) -> Forge:
    """An event of no delivery at all; the delivery's own stay as they are."""

    def forge(forger: Forger, case: Case, _cast: Cast) -> list[Named]:
        new = next(one for one in case.right if one.lane[0] in EVENT_TOPICS).copy()
        spoil(new, forger.history)
        if forger.late:
            forger.history.put_last(new)
        else:
            forger.history.put_in_time(new)
        return [Named(UNEXPLAINED, record=new)]

    return forge


def names(place: Place) -> Callable[[Written, History], None]:
    def spoil(record: Written, _history: History) -> None:
        event = orjson.loads(record.value or b"")
        event["rawpartition"], event["rawoffset"] = place[0], str(place[1])
        record.value = orjson.dumps(event)

    return spoil


def names_the_end(record: Written, history: History) -> None:
    partition = orjson.loads(record.value or b"")["rawpartition"]
    names((partition, history.raw[partition][-1].position.offset + 1))(record, history)


def valued(value: bytes | None) -> Callable[[Written, History], None]:
    def spoil(record: Written, _history: History) -> None:
        record.value = value

    return spoil


def marked(record: Written, _history: History) -> None:
    mark = "replay-20260101T000000Z-abcdef"
    event = orjson.loads(record.value or b"")
    record.value = orjson.dumps({**event, "replay": mark})
    record.headers = [*record.headers, ("replay", mark.encode())]
