"""The W3C trace that a delivery belongs to: taken over, or begun."""

from dataclasses import replace

import pytest

from schemas.delivery import kept_headers, read_record, record_headers
from schemas.records import Position, RawRecord
from schemas.trace import begun_traceparent, read_traceparent
from tests.providers.fixtures import load_fixtures
from tests.providers.outcomes import records

TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (TRACE, TRACE.decode()),
        (b" \t" + TRACE + b" ", TRACE.decode()),
        (TRACE[:-2] + b"ff", TRACE[:-2].decode() + "ff"),
        # A later version: its ids, and of its flags the one that is known.
        (b"cc" + TRACE[2:-2] + b"ff-what-the-future-will-be", TRACE[:-2].decode() + "01"),
        (b"cc" + TRACE[2:-2] + b"02", TRACE[:-2].decode() + "00"),
        (b"", ""),
        (b"\xff\x00", ""),
        (TRACE.upper(), ""),
        (TRACE[:-1], ""),
        (TRACE + b"-more", ""),
        (TRACE + b"\n", ""),
        (b"ff" + TRACE[2:], ""),
        (b"cc" + TRACE[2:] + b"more", ""),
        (b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01", ""),
        (b"cc-4bf92f3577b34da6a3ce929d0e0e4736-" + b"0" * 16 + b"-01", ""),
        (b"cc" + TRACE[2:] + b"-" + b"x" * 100_000, ""),
    ],
)
def test_what_is_a_traceparent(given: bytes, read: str) -> None:
    """Version 00 to the letter, a later one by its first fields, anything else is none."""
    assert read_traceparent([given]) == read


def test_two_are_none() -> None:
    """Which of several would be the right one, nobody knows."""
    assert read_traceparent([TRACE, TRACE]) == read_traceparent([]) == ""


@pytest.mark.parametrize("random", [bytes(range(1, 25)), bytes(24), bytes(16) + b"12345678", b"x" * 16 + bytes(8)])
def test_what_is_begun_is_valid(random: bytes) -> None:
    """Whatever the bytes are."""
    assert read_traceparent([begun_traceparent(random).encode()]) == begun_traceparent(random)


def test_a_begun_trace_is_its_random_bytes() -> None:
    """16 bytes of trace, 8 of parent, sampled."""
    text = "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01"
    assert begun_traceparent(bytes(range(1, 25))) == text


def test_it_is_a_header_of_the_record_once() -> None:
    """Among ours in `raw`, not among the HTTP headers; read back as it was; a broken one in `raw` is none."""
    raw = next(one for one in load_fixtures() if str(one) == "shipstream/order-created").record()
    given = ((b"TraceParent", TRACE), (b"tracestate", b"a=b"))
    assert kept_headers(given) == (("tracestate", b"a=b"),)
    headers = (*raw.headers, ("traceparent", TRACE))
    traced = read_record(RawRecord(Position("raw", 0, 0), b"", b"", headers, 0))
    assert traced.traceparent == TRACE.decode()
    assert [value for name, value in record_headers(traced) if name == "traceparent"] == [TRACE]
    broken = (*headers, ("traceparent", b"no"))
    assert read_record(RawRecord(Position("raw", 0, 0), b"", b"", broken, 0)).traceparent == ""


def test_events_carry_it_and_are_the_same_without() -> None:
    """Attribute and record header of every event; the id does not depend on it."""
    fixture = next(one for one in load_fixtures() if str(one) == "shipstream/order-created")
    plain = [record for record in records(fixture) if record.topic != "sequence"]
    traced = [record for record in records(replace(fixture, traceparent=TRACE.decode())) if record.topic != "sequence"]
    attribute = b'"traceparent":"' + TRACE + b'",'
    assert [record.value.replace(attribute, b"") for record in traced] == [record.value for record in plain]
    assert all(attribute in record.value for record in traced)
    assert [record.headers for record in traced] == [(*one.headers, ("traceparent", TRACE)) for one in plain]
