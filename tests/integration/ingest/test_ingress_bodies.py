"""Requests that come in parts, too large, too slow, broken or never: bytes on a socket, as no client sends them."""

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from tests.conftest import SettingsFactory
from tests.support.raw_http import RawClient, post
from tests.support.serving import Serving, ready
from tests.support.waiting import until

pytestmark = pytest.mark.kafka

# The default of `body_bytes_max`.
_LARGEST = 4_194_304
_CHUNKED = b"POST /webhooks/acme HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
async def running(settings: SettingsFactory) -> AsyncIterator[Serving]:
    """A running ingress in front of an empty `raw`."""
    async with ready(settings) as made:
        yield made


async def test_the_limit_of_a_body_is_exact(running: Serving) -> None:
    """1 MiB is stored; one byte more is refused by its length alone, before any of it came."""
    largest = bytes(range(256)) * 4096
    assert (await running.ask(post("/webhooks/acme", largest))).status == 200
    async with RawClient(running.port) as client:
        await client.send(post("/webhooks/acme", bytes(_LARGEST + 1))[: -_LARGEST - 1])
        assert (await client.answer()).status == 413
        assert await client.closed()
    assert await running.bodies() == [largest, b"the last"]


async def test_a_chunked_body_is_stored_whole(running: Serving) -> None:
    """The chunks are joined, their framing is gone."""
    assert (await running.ask(_CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")).status == 200
    assert await running.bodies() == [b"abcde", b"the last"]


async def test_a_chunked_body_is_refused_where_it_exceeds(running: Serving) -> None:
    """It is refused although its end never comes, and the connection closed."""
    async with RawClient(running.port) as client:
        await client.send(_CHUNKED + (b"10000\r\n" + bytes(65_536) + b"\r\n") * 64 + b"1\r\nx\r\n")
        assert (await client.answer()).status == 413
        assert await client.closed()
    assert await running.bodies() == [b"the last"]


async def test_two_requests_share_a_connection(running: Serving) -> None:
    """Keep-alive holds, also where both requests come at once."""
    async with RawClient(running.port) as client:
        await client.send(post("/webhooks/acme", b"first") + post("/webhooks/acme", b"second"))
        answers = [await client.answer(), await client.answer()]
        await client.send(post("/webhooks/acme", b"third"))
        answers.append(await client.answer())
    assert [answer.headers["dropstream-delivery"] for answer in answers] == ["delivery-1", "delivery-2", "delivery-3"]
    assert await running.bodies() == [b"first", b"second", b"third", b"the last"]


async def test_who_waits_to_be_invited_is(running: Serving) -> None:
    """Expect: 100-continue is answered with 100, then the body is read."""
    head = post("/webhooks/acme", b"invited", b"Expect: 100-continue").removesuffix(b"invited")
    async with RawClient(running.port) as client:
        await client.send(head)
        assert (await client.answer()).status == 100
        await client.send(b"invited")
        assert (await client.answer()).status == 200
    assert await running.bodies() == [b"invited", b"the last"]


@pytest.mark.parametrize(("path", "length", "status"), [("unknown", 4, 404), ("acme", _LARGEST + 1, 413)])
async def test_who_is_refused_is_not_invited(running: Serving, path: str, length: int, status: int) -> None:
    """The refusal comes instead of 100, and closes: the body that did not come must not be waited for."""
    async with RawClient(running.port) as client:
        await client.send(
            f"POST /webhooks/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (status, "close")


async def test_a_slow_body_is_not_waited_for(settings: SettingsFactory) -> None:
    """It is answered 408 after body_timeout_ms, and the connection closed."""
    async with ready(settings, "body_timeout_ms = 300") as running:
        async with RawClient(running.port) as client:
            await client.send(post("/webhooks/acme", b"unfinished").removesuffix(b"finished"))
            assert (await client.answer()).status == 408
            assert await client.closed()
        assert await running.bodies() == [b"the last"]


async def test_who_leaves_early_leaves_nothing(running: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """A client gone before its body was whole is counted; there is no record and no traceback."""
    async with RawClient(running.port) as client:
        await client.send(post("/webhooks/acme", b"unfinished").removesuffix(b"finished"))
        await until(lambda: running.ingress.budget.held_bytes > 0)
        client.reset()
        await until(lambda: running.requests("acme", "client_left") == 1)
    assert await running.bodies() == [b"the last"]
    assert running.ingress.budget.held_bytes == 0
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00secret\r\n\r\n",
        b"secret\r\n\r\n",
        b"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nno colon, secret\r\n\r\n",
        b"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nX-Secret: " + b"y" * 8191 + b"\r\n\r\n",
        b"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\n" + b"X-Secret: y\r\n" * 129 + b"\r\n",
        (b"POST /webhooks/acme HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
        _CHUNKED + b"secret\r\n",
        post("/webhooks/acme", b"", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_counted_and_forgotten(
    running: Serving, caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    """It is answered 400 with nothing of it, one line is logged without a traceback, and the connection closed."""
    with capture_logs() as lines:
        async with RawClient(running.port) as client:
            await client.send(request_bytes)
            answer = await client.answer()
            assert (answer.status, answer.body, answer.headers["server"]) == (400, b"", "dropstream")
            assert await client.closed()
    assert running.requests("", "malformed") == 1
    assert [(line["event"], line["outcome"], line["count"]) for line in lines] == [("requests_refused", "malformed", 1)]
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_body_that_breaks_is_refused_at_once(running: Serving) -> None:
    """Garbage between two chunks ends the wait for the body; it does not last until body_timeout_ms."""
    async with RawClient(running.port) as client:
        await client.send(_CHUNKED + b"3\r\nabc\r\n")
        await until(lambda: running.ingress.budget.held_bytes > 0)
        await client.send(b"secret\r\n")
        assert (await client.answer()).status == 400
        assert await client.closed()
    assert (running.requests("acme", "malformed"), running.requests("acme", "body_too_slow")) == (1, 0)
    assert await running.bodies() == [b"the last"]


async def test_an_unread_body_is_never_a_request(running: Serving) -> None:
    """What follows a refused request on its connection is not answered, whatever it looks like."""
    inner = post("/webhooks/acme", b"smuggled")
    async with RawClient(running.port) as client:
        await client.send(post("/webhooks/unknown", inner + b"x").removesuffix(b"x"))
        assert (await client.answer()).status == 404
        assert await client.closed()
    assert running.requests("acme", "stored") == 0


@pytest.mark.parametrize(
    ("request_bytes", "answers"),
    [
        (post("/webhooks/acme", b"whole"), 1),
        (_CHUNKED + b"5\r\nwhole\r\n0\r\n\r\n", 1),
        (post("/webhooks/acme", b"whole") * 3, 3),
    ],
    ids=["fast path", "full path", "pipeline"],
)
async def test_who_ends_its_side_is_answered(running: Serving, request_bytes: bytes, answers: int) -> None:
    """A client that shuts down its sending side behind its last request gets every answer, then the connection ends."""
    async with RawClient(running.port) as client:
        await client.send(request_bytes)
        client.end()
        assert (await client.rest()).count(b"HTTP/1.1 200 OK\r\n") == answers
    assert await running.bodies() == [b"whole"] * answers + [b"the last"]
    await until(lambda: running.open == 0)


async def test_who_ends_its_side_too_early_is_no_delivery(running: Serving) -> None:
    """Half a body behind which nothing comes is not waited for."""
    async with RawClient(running.port) as client:
        await client.send(post("/webhooks/acme", b"unfinished")[:-4])
        client.end()
        assert await client.closed()
    await until(lambda: running.open == 0)
    assert await running.bodies() == [b"the last"]
