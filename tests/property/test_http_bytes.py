"""Whatever bytes come, the laws of `tests.http.door` hold; the long form of it is `tests.chaos.http_bytes`."""

import asyncio

import pytest

from schemas.delivery import PendingRecord
from tests.http.door import Door, Tally, broken_laws, quiet_logs
from tests.http.inputs import Input, make_input
from tests.http.reference import Request, read_requests

_SEED = 1
_INPUTS = 3_000


async def test_no_bytes_break_the_door() -> None:
    """3,000 inputs: no 5xx, no traceback, and each 200 is one delivery with the exact body that was sent."""
    tally = Tally()
    asyncio.get_running_loop().set_debug(False)  # Its own checks cost more than all that is checked.
    with quiet_logs(tally):
        door = Door()
        await door.feed_all(range(_INPUTS), seed=_SEED, tally=tally)
        await door.close()
    assert (tally.inputs, tally.tracebacks, tally.broken) == (_INPUTS, 0, [])
    assert {200, 400, 404, 405, 413} <= set(tally.answers)
    assert tally.deliveries > 1_000


def test_an_input_is_made_again_from_its_number() -> None:
    """What a long run found can be looked at alone, on another machine."""
    assert make_input(7, 4_711) == make_input(7, 4_711)
    assert make_input(7, 4_711) != make_input(7, 4_712)
    assert make_input(20_261_121, 18).content == b"".join(make_input(20_261_121, 18).segments)


def delivery(number: str, body: bytes) -> PendingRecord:
    return PendingRecord("acme", b"acme", body, [("dropstream-delivery", number.encode())], 0)


_ONE = b"POST /webhooks/acme HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"


@pytest.mark.parametrize(
    ("content", "taken", "answered", "law"),
    [
        (_ONE, [delivery("1", b"abc")], ["1"], None),
        (_ONE, [delivery("1", b"abc")], [], "took ['1'] and answered 200 to []"),
        (_ONE, [], ["1"], "took [] and answered 200 to ['1']"),
        (_ONE, [delivery("1", b"abcd")], ["1"], "took b'abcd' for acme, which nobody sent there"),
        (_ONE + _ONE, [delivery("1", b"abc")], ["1"], "took 1 of 2 valid deliveries"),
        (_ONE, [delivery("1", b"abc")] * 2, ["1", "1"], "took b'abc' for acme, which nobody sent there"),
    ],
)
def test_a_broken_law_is_noticed(
    content: bytes, taken: list[PendingRecord], answered: list[str], law: str | None
) -> None:
    """A delivery unanswered, an answer without one, another body, one lost, one twice: each is told."""
    given = Input((content,), leaves=False, deliveries=(b"abc",) * content.count(b"POST"))
    assert next(iter(broken_laws(given, taken, answered)), None) == law


def test_the_reference_reads_what_is_valid() -> None:
    """Lengths and chunks, extensions and trailers."""
    chunked = b"POST /a HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n"
    assert read_requests(b"\r\n" + chunked + b"GET /b HTTP/1.0\r\n\r\n") == [
        Request(b"POST", b"/a", b"abcde"),
        Request(b"GET", b"/b", b""),
    ]


@pytest.mark.parametrize(
    "head",
    [
        b"POST /webhooks/acme HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /webhooks/acme HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc",
        b"POST /webhooks/acme HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /webhooks/acme HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /webhooks/acme HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST /webhooks/acme HTTP/1.1\r\nX: folded\r\n here\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /webhooks/acme HTTP/1.1\nContent-Length: 3\n\nabc",
        b"POST /webhooks/acme HTTP/1.1\r\nContent-Length : 3\r\n\r\nabc",
        b"POST /webhooks/acme HTTP/1.1\r\nX: \x00\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /webhooks/acme HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    ],
)
def test_the_reference_stops_at_what_is_not(head: bytes) -> None:
    """Neither what two readers could read differently nor anything behind it is a request to it."""
    assert read_requests(_ONE + head + _ONE) == [Request(b"POST", b"/webhooks/acme", b"abc")]
