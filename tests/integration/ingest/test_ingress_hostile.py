"""Bytes that mean harm, on raw sockets in front of a real Kafka: what is in `raw` is what was answered 200, no more."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from tests.conftest import SettingsFactory
from tests.support.raw_http import RawClient, post
from tests.support.serving import Serving, ready
from tests.support.waiting import until

pytestmark = pytest.mark.kafka

_GOOD = post("/webhooks/acme", b"good")
_SMUGGLED = post("/webhooks/acme", b"smuggled")
_LINE = b"POST /webhooks/acme HTTP/1.1\r\n"
_HEAD = _LINE + b"Host: h\r\n"
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
async def running(settings: SettingsFactory) -> AsyncIterator[Serving]:
    """A running ingress; after the test nothing was logged that asks for a programmer, and nothing is held."""
    with capture_logs() as lines:
        async with ready(settings) as made:
            yield made
            await until(lambda: made.ingress.budget.held_bytes == 0)
    assert [line for line in lines if line["log_level"] in {"error", "critical"} or "exc_info" in line] == []


async def conversation(running: Serving, *segments: bytes) -> list[int]:
    """The statuses that all these bytes get before the server closes, which it must."""
    async with RawClient(running.port) as client, asyncio.TaskGroup() as together:
        # As they come: who sends on after the server has closed is reset, and may lose what he had not read.
        reading = together.create_task(client.rest())
        for segment in segments:
            await client.send(segment)
            await asyncio.sleep(0.01)
        content = await reading
    return [int(head.split(b" ")[1]) for head in content.split(b"\r\n\r\n")[:-1]]


_REFUSED = {
    "a length twice": _HEAD + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
    "two lengths": _HEAD + b"Content-Length: 4\r\nContent-Length: 0\r\n\r\nbody",
    "a length of 5,000 digits": _HEAD + b"Content-Length: " + b"0" * 5_000 + b"4\r\n\r\nbody",
    "a list of lengths": _HEAD + b"Content-Length: 4, 4\r\n\r\nbody",
    "a signed length": _HEAD + b"Content-Length: +4\r\n\r\nbody",
    "a negative length": _HEAD + b"Content-Length: -4\r\n\r\nbody",
    "a hexadecimal length": _HEAD + b"Content-Length: 0x4\r\n\r\nbody",
    "an overflowing length": _HEAD + b"Content-Length: 18446744073709551620\r\n\r\nbody",
    "length and chunks": _HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": _HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "chunks twice": _HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks not last": _HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "an unknown coding": _HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks after a tab": _HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST /webhooks/acme HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    "a coding and an upgrade": _HEAD
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: x\r\n\r\n4\r\nbody\r\n",
    "a length and an upgrade": _HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: x\r\n\r\nbody",
    "a chunk of no size": _CHUNKED + b"\r\nbody\r\n0\r\n\r\n",
    "a chunk of a false size": _CHUNKED + b"3\r\nbody\r\n0\r\n\r\n",
    "a negative chunk": _CHUNKED + b"-4\r\nbody\r\n0\r\n\r\n",
    "a prefixed chunk": _CHUNKED + b"0x4\r\nbody\r\n0\r\n\r\n",
    "an overflowing chunk": _CHUNKED + b"10000000000000004\r\nbody\r\n0\r\n\r\n",
    "a chunk with a bare LF": _CHUNKED + b"4\nbody\n0\n\n",
    "a folded header": _HEAD + b"X: one\r\n two\r\nContent-Length: 4\r\n\r\nbody",
    "a folded length": _HEAD + b"Content-Length:\r\n 4\r\n\r\nbody",
    "a bare LF": _LINE + b"Host: h\nContent-Length: 4\n\nbody",
    "a bare CR": _HEAD + b"X: one\rContent-Length: 4\r\n\r\nbody",
    "NUL in a value": _HEAD + b"X: o\x00ne\r\nContent-Length: 4\r\n\r\nbody",
    "NUL in a name": _HEAD + b"X\x00: one\r\nContent-Length: 4\r\n\r\nbody",
    "space before a colon": _HEAD + b"Content-Length : 4\r\n\r\nbody",
    "no name": _HEAD + b": 4\r\n\r\nbody",
    "129 headers": _LINE + b"X: y\r\n" * 129 + b"Content-Length: 4\r\n\r\nbody",
    "a long line": b"POST /webhooks/" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
    "a long field": _HEAD + b"X: " + b"y" * 9_000 + b"\r\nContent-Length: 4\r\n\r\nbody",
    "a long name": _HEAD + b"X" * 9_000 + b": y\r\nContent-Length: 4\r\n\r\nbody",
    "garbage": bytes(range(128, 256)) * 4,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(509),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "HTTP/2 in words": b"POST /webhooks/acme HTTP/2.0\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
    "HTTP/0.9": b"POST /webhooks/acme\r\n",
    "HTTP/9.9": b"POST /webhooks/acme HTTP/9.9\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
}


@pytest.mark.parametrize("request_bytes", _REFUSED.values(), ids=_REFUSED.keys())
async def test_what_readers_may_read_differently_is_refused(
    running: Serving, caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    """One 400, then closed; neither it nor what stands behind it becomes a delivery, nor does it spoil the next."""
    assert await conversation(running, request_bytes + _SMUGGLED) == [400]
    assert await conversation(running, _GOOD, request_bytes, _SMUGGLED) == [200, 400]
    assert await running.bodies() == [b"good", b"the last"]
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(
    ("content", "statuses"),
    [
        (post("/webhooks/acme", _SMUGGLED).replace(b"POST", b"CONNECT", 1), [404]),
        (b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n" + _SMUGGLED, [404]),
        (b"GET /webhooks/acme HTTP/1.1\r\nHost: h\r\n" + _UPGRADE + b"\r\n" + _SMUGGLED, [200]),
        (post("/webhooks/nobody", _SMUGGLED + b"x")[:-1], [404]),
        (post("/webhooks/acme", _SMUGGLED).replace(b"POST", b"PUT", 1)[:-1], [405]),
        (_GOOD.replace(b"HTTP/1.1", b"HTTP/1.0") + _SMUGGLED, [400]),
        (post("/webhooks/acme", b"good", b"Connection: close") + _SMUGGLED, [400]),
    ],
    ids=["CONNECT", "CONNECT elsewhere", "upgrade", "unread body", "PUT with a body", "HTTP/1.0", "close"],
)
async def test_what_follows_a_last_request_is_nothing(running: Serving, content: bytes, statuses: list[int]) -> None:
    """Behind a request that ends its connection, other bytes are never read as a delivery."""
    assert await conversation(running, content) == statuses
    assert b"smuggled" not in await running.bodies()


async def test_an_upgrade_is_not_accepted_but_its_delivery_is(running: Serving) -> None:
    """curl --http2 offers h2c with a POST: it is stored as HTTP/1.1, and the connection ends."""
    offer = post("/webhooks/acme", b"good", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c")
    assert await conversation(running, offer) == [200]
    assert await running.bodies() == [b"good", b"the last"]


async def test_a_bad_request_ends_a_pipeline(running: Serving) -> None:
    """Those before it are stored and answered, in order; those behind it are not.

    Those that came in one breath with it are refused with it, by one answer: none was acknowledged.
    """
    bad = _HEAD + b"no colon\r\n\r\n"
    assert await conversation(running, _GOOD * 3, bad + _SMUGGLED * 3) == [200, 200, 200, 400]
    assert await conversation(running, _SMUGGLED * 3 + bad + _SMUGGLED) == [400]
    assert await running.bodies() == [b"good"] * 3 + [b"the last"]


async def test_a_long_pipeline_is_answered_whole(running: Serving) -> None:
    """500 deliveries in one breath are 500 answers and 500 records."""
    requests = [post("/webhooks/acme", b"%d" % number) for number in range(500)]
    last = post("/webhooks/acme", b"500", b"Connection: close")
    assert await conversation(running, b"".join(requests) + last) == [200] * 501
    assert await running.bodies() == [b"%d" % number for number in range(501)] + [b"the last"]


async def test_a_look_with_a_body_is_a_look(settings: SettingsFactory) -> None:
    """HEAD and GET may carry a body; it is not stored, and not taken for a request."""
    async with ready(settings, "body_timeout_ms = 300") as running:
        for method in (b"HEAD", b"GET"):
            assert await conversation(running, _SMUGGLED.replace(b"POST", method) + _GOOD[:-1]) == [200, 408]
        assert await running.bodies() == [b"the last"]


async def test_an_endless_body_is_cut_off(running: Serving) -> None:
    """A chunked body without end, and a length beyond all measure, are answered 413 and read no further."""
    async with RawClient(running.port) as client:
        await client.send(_CHUNKED)
        sent = 0
        while running.requests("acme", "body_too_large") == 0 and sent < 128:
            await client.send(b"10000\r\n" + bytes(65_536) + b"\r\n")
            sent += 1
            await asyncio.sleep(0)
        assert (await client.answer()).status == 413
    assert sent < 128
    assert await conversation(running, _HEAD + b"Content-Length: 999999999999\r\n\r\n" + bytes(100)) == [413]
    assert await running.bodies() == [b"the last"]


async def test_who_leaves_at_any_point_leaves_nothing(running: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """A client that is gone after 1, 2, 3 ... bytes of a request, by goodbye or by reset, is no delivery."""
    request = post("/webhooks/acme", b"unfinished")
    for end in range(1, len(request)):
        async with RawClient(running.port) as client:
            await client.send(request[:end])
            if end % 2:
                client.reset()
    await until(lambda: running.open == 0)
    assert await running.bodies() == [b"the last"]
    assert [record for record in caplog.records if record.exc_info] == []


async def test_who_leaves_before_its_answer_is_still_stored(running: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """A whole delivery may be in `raw` without an answer that was read, never the reverse; and once each."""
    for number in range(50):
        async with RawClient(running.port) as client:
            await client.send(post("/webhooks/acme", b"%d" % number))
            if number % 2:
                client.reset()
    await until(lambda: running.open == 0 and running.ingress.receiver.in_progress == 0)
    *stored, last = await running.bodies()
    assert last == b"the last"
    assert len(stored) == len(set(stored)) == running.requests("acme", "stored") - 1
    assert set(stored) <= {b"%d" % number for number in range(50)}
    assert [record for record in caplog.records if record.exc_info] == []


async def test_two_hundred_hostile_clients_at_once(running: Serving) -> None:
    """All that is refused, five times over and at the same time, between good deliveries that all pass."""
    async with asyncio.TaskGroup() as crowd:
        hostile = [
            crowd.create_task(conversation(running, content + _SMUGGLED)) for content in [*_REFUSED.values()] * 5
        ]
        good = [crowd.create_task(running.ask(_GOOD)) for _ in range(50)]
    assert {tuple(task.result()) for task in hostile} == {(400,)}
    assert [task.result().status for task in good] == [200] * 50
    assert await running.bodies() == [b"good"] * 50 + [b"the last"]
