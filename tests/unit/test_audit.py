"""The audit's judgement on topics to which somebody else writes: a finding with its place, never an end."""

import json

import pytest

from ops.audit import Ledger
from ops.replay_store import Store
from schemas.records import Position, RawRecord

AT_MS = 1_779_372_000_000
RAW, DELIVERY = "d.raw", "0199f1a2-0000-7000-8000-000000000001"
EVENT = {"id": "e", "delivery": DELIVERY, "rawtopic": RAW, "rawpartition": 0, "rawoffset": "0"}
NOTHING = Store({}, {})


def record(topic: str, value: bytes | None, *headers: tuple[str, bytes], offset: int = 0) -> RawRecord:
    """A record of partition 0."""
    return RawRecord(
        position=Position(topic, 0, offset),
        key=b"k",
        value=value,
        headers=tuple(headers),
        timestamp_ms=AT_MS,
    )


def ledger() -> Ledger:
    """One delivery, and its event."""
    taken = Ledger(RAW)
    taken.take_raw(record(RAW, b"{}", ("dropstream-delivery", DELIVERY.encode())))
    taken.take_event("orders", record("d.orders", json.dumps(EVENT).encode()))
    return taken


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"hello",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b"[" * 100_000,
        *(json.dumps({**EVENT, name: None}).encode() for name in EVENT),
        json.dumps({**EVENT, "rawoffset": "x"}).encode(),
        json.dumps({**EVENT, "rawpartition": [0]}).encode(),
        json.dumps({**EVENT, "replay": {}}).encode(),
    ],
)
def test_what_is_no_event_of_ours_is_told_by_its_place(value: bytes | None) -> None:
    """Whatever it is, it is one finding; what was written by us is judged as without it."""
    taken = ledger()
    taken.take_event("orders", record("d.orders", value, offset=7))
    verdict = taken.judge({0: 1}, NOTHING)
    assert verdict.foreign == ("d.orders/0/7",)
    assert not verdict.clean
    assert (verdict.outputs, verdict.lost, verdict.doubled, verdict.altered) == ({"orders": 1}, (), (), ())


def test_a_stranger_in_rejected_accuses_nobody() -> None:
    """A header that is no text names no delivery of ours."""
    taken = ledger()
    taken.take_other("rejected", record("d.rejected", b"x", ("dropstream-raw", b"\xff/0/0")))
    assert taken.judge({0: 1}, NOTHING).clean
