"""A delivery and its record of `raw`."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.delivery import Delivery, kept_headers, raw_key, read_record, record_headers
from schemas.records import Headers, Position, RawRecord
from schemas.times import rfc3339, timestamp_ms

_RECEIVED_AT = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)
_DELIVERY = Delivery(
    id="0195df5b-5d2b-7000-8000-000000000001",
    provider="shipstream",
    endpoint="acme",
    received_at=_RECEIVED_AT,
    remote="2001:db8::1",
    headers=(("x-signature", b"one"), ("content-type", b"application/json"), ("x-signature", b"caf\xe9")),
    body=b'{"a": 1}\r\n',
)
_RECORD_HEADERS: Headers = (
    ("x-signature", b"one"),
    ("content-type", b"application/json"),
    ("x-signature", b"caf\xe9"),
    ("dropstream-delivery", b"0195df5b-5d2b-7000-8000-000000000001"),
    ("dropstream-provider", b"shipstream"),
    ("dropstream-endpoint", b"acme"),
    ("dropstream-received-at", b"2026-03-29T01:30:00.123456Z"),
    ("dropstream-remote", b"2001:db8::1"),
)


def _record(headers: Headers, value: bytes | None = b"body", timestamp: int = 1_774_747_800_123) -> RawRecord:
    return RawRecord(
        position=Position("dropstream.raw", 3, 7), key=b"acme", value=value, headers=headers, timestamp_ms=timestamp
    )


def test_what_is_written_is_literal() -> None:
    """The record's headers are the HTTP headers in their order, then ours."""
    assert record_headers(_DELIVERY) == tuple(_RECORD_HEADERS)


def test_what_is_written_is_read_back() -> None:
    """Reading the record gives the delivery again, byte for byte."""
    assert read_record(_record(_RECORD_HEADERS, _DELIVERY.body)) == _DELIVERY


def test_kept_headers_lose_connection_credentials_and_impostors() -> None:
    """Names are lower-cased, order, repeats and bytes stay; what must not travel is gone."""
    received = (
        (b"Host", b"example.org"),
        (b"X-Signature", b"one"),
        (b"Connection", b"keep-alive, X-Signature"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Authenticate", b"Basic"),
        (b"Proxy-Authorization", b"Basic c2VjcmV0"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"TE", b"trailers"),
        (b"Trailer", b"Expires"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Upgrade", b"h2c"),
        (b"AUTHORIZATION", b"Bearer secret"),
        (b"Cookie", b"session=secret"),
        (b"Dropstream-Endpoint", b"somebody-else"),
        (b"dropstream-reason", b"none"),
        (b"x-signature", b"caf\xe9"),
        (b"X-Empty", b""),
    )
    assert kept_headers(received) == (
        ("host", b"example.org"),
        ("x-signature", b"one"),
        ("x-signature", b"caf\xe9"),
        ("x-empty", b""),
    )


def test_values_of_a_header_keep_their_order() -> None:
    """Every value is there, the first one first; an absent header has none."""
    assert _DELIVERY.values_of("x-signature") == (b"one", b"caf\xe9")
    assert _DELIVERY.values_of("x-absent") == ()


@pytest.mark.parametrize(
    ("lanes", "body", "key"),
    [
        (1, b"123456789", b"acme"),
        (10, b"123456789", b"acme#2"),
        (10, b"", b"acme#0"),
        (1000, b"123456789", b"acme#262"),
    ],
)
def test_a_key_names_endpoint_and_lane(lanes: int, body: bytes, key: bytes) -> None:
    """The lane is CRC-32 of the body (0xCBF43926 for the standard's check value) modulo the lanes."""
    assert raw_key("acme", lanes, body) == key


def test_a_record_of_another_producer_is_still_a_delivery() -> None:
    """Without our headers it belongs to the endpoint "" and was received at the record's time."""
    assert read_record(_record((), None)) == Delivery(
        id="",
        provider="",
        endpoint="",
        received_at=datetime(2026, 3, 29, 1, 30, 0, 123000, tzinfo=UTC),
        remote="",
        headers=(),
        body=b"",
    )


@pytest.mark.parametrize("text", [b"", b"yesterday", b"2026-03-29T01:30:00", b"\xff"])
def test_a_time_that_cannot_be_read_gives_way_to_the_record_time(text: bytes) -> None:
    """Neither nonsense nor a time without zone stops the reading."""
    delivery = read_record(_record((("dropstream-received-at", text),)))
    assert delivery.received_at == datetime(2026, 3, 29, 1, 30, 0, 123000, tzinfo=UTC)


def test_times_are_utc_with_microseconds() -> None:
    """Any zone is written as UTC, also where the fraction is zero; milliseconds are cut, not rounded."""
    summer = datetime(2026, 7, 1, 14, 0, 0, tzinfo=timezone(timedelta(hours=2)))
    assert rfc3339(summer) == "2026-07-01T12:00:00.000000Z"
    assert timestamp_ms(summer) == 1_782_907_200_000
    assert timestamp_ms(_RECEIVED_AT) == 1_774_747_800_123


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])))
@example(datetime.min.replace(tzinfo=UTC))
@example(datetime.max.replace(tzinfo=UTC))
def test_a_time_is_written_in_one_form(moment: datetime) -> None:
    """Every time has its microseconds, zeros too, and reads back as itself."""
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        return
    assert rfc3339(moment) == utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    assert datetime.fromisoformat(rfc3339(moment)) == moment
