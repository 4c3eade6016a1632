"""An event is read as it was written, and whatever else lies in a topic of events is none."""

from datetime import UTC, datetime

import pytest

from schemas.event_data import OtherData
from schemas.events import event_context, event_record, read_event
from schemas.records import Position
from schemas.vocabulary import Domain, SignatureStatus, TimeQuality

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RAW = Position("dropstream.raw", 3, 1041)


def test_what_was_written_is_read() -> None:
    """The id, the place in `raw` and every attribute."""
    context = event_context(
        natural_key="7",
        provider_event="order:shipped",
        time=NOON,
        time_quality=TimeQuality.EXACT,
        received_at=NOON,
        provider="shipstream",
        endpoint="acme",
        signature=SignatureStatus.VERIFIED,
        sequence=None,
        raw=RAW,
        delivery="d",
        body_differs=False,
        traceparent="",
    )
    data = OtherData(payload={"n": 1})
    record = event_record(context, domain=Domain.OTHER, what="unidentified", entity_id="7", data=data)
    event = read_event(record.value)
    assert event is not None
    assert (event.raw, event.attributes["type"]) == (RAW, "dropstream.other.unidentified")
    assert event.id == event.attributes["id"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b"{",
        b'{"id":"a"}',
        b'{"id":1,"rawtopic":"raw","rawpartition":0,"rawoffset":"1"}',
        b'{"id":"a","rawtopic":[],"rawpartition":0,"rawoffset":"1"}',
        b'{"id":"a","rawtopic":"raw","rawpartition":"0","rawoffset":"1"}',
        b'{"id":"a","rawtopic":"raw","rawpartition":0,"rawoffset":"x"}',
    ],
)
def test_what_another_producer_wrote_is_no_event(value: bytes | None) -> None:
    """It stops no reader."""
    assert read_event(value) is None
