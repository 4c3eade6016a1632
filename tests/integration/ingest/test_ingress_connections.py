"""How long a stranger may hold a connection, and how many there may be; raw sockets against a running ingress.

Where a limit of time is the law, every other limit is longer than a test's patience, so the reason that is counted says
which one it was. That a limit ends nothing early is measured from before its time begins; nothing else is measured.
"""

import asyncio
import socket
import time
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from ingest.http.limits import ConnectionLimits, connection_limits
from schemas.sections.programs import IngestSettings
from tests.conftest import SettingsFactory
from tests.support.raw_http import RawClient, post
from tests.support.serving import Serving, create_raw, read_raw, ready, take_raw_away
from tests.support.waiting import UNHURRIED_MS, until

pytestmark = pytest.mark.kafka

_GOOD = post("/webhooks/acme", b"good")
_SLOW = 1_000
_LOOK = b"GET /webhooks/acme HTTP/1.1\r\nHost: localhost\r\n\r\n"
_BEGUN = [b"", _GOOD[:20], post("/webhooks/acme", bytes(100))[:-50]]
_ENDLESS = b"POST /webhooks/acme HTTP/1.1\r\nX-Endless: " + bytes([ord("y")]) * 7_000
_HEAD_CHUNKED = b"POST /webhooks/acme HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


async def trickle(client: RawClient, content: bytes, *, every_s: float) -> None:
    """A byte now and then, as long as there are any."""
    for byte in content:
        await client.send(bytes([byte]))
        await asyncio.sleep(every_s)


async def test_who_says_nothing_is_closed(settings: SettingsFactory) -> None:
    """A connection without a byte ends after header_timeout_ms."""
    async with ready(settings, "header_timeout_ms = 400") as running:
        began_at = time.monotonic()
        async with RawClient(running.port) as client:
            assert await client.closed()
        assert time.monotonic() - began_at >= 0.4
        assert (running.closed("silent"), running.open) == (1, 0)


@pytest.mark.parametrize("first", [b"", _GOOD], ids=["first", "second"])
async def test_headers_that_trickle_are_not_waited_for(settings: SettingsFactory, first: bytes) -> None:
    """Time runs from accept, or from the first byte of a later request, and a byte now and then does not renew it."""
    async with ready(settings, "header_timeout_ms = 400") as running:
        began_at = time.monotonic()
        async with RawClient(running.port) as client:
            if first:
                await client.send(first)
                assert (await client.answer()).status == 200
                began_at = time.monotonic()
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(trickle(client, _ENDLESS, every_s=0.1))
                assert await client.closed()
                sending.cancel()
        assert time.monotonic() - began_at >= 0.4
        assert running.closed("headers_too_slow") == 1
        assert await running.bodies() == [*([b"good"] if first else []), b"the last"]


async def test_a_head_that_begins_behind_a_request_is_not_waited_for(settings: SettingsFactory) -> None:
    """It came in one read with the delivery before it, and has the time of a head, not that of an idle connection."""
    async with ready(settings, "header_timeout_ms = 400") as running, RawClient(running.port) as client:
        await client.send(_GOOD + _ENDLESS)
        assert (await client.answer()).status == 200
        assert await client.closed()
        assert (running.closed("headers_too_slow"), running.closed("idle")) == (1, 0)


async def test_an_idle_connection_is_good_for_a_second_request(settings: SettingsFactory) -> None:
    """header_timeout_ms does not end it: one that says nothing came later, and ends before."""
    async with ready(settings, "header_timeout_ms = 200") as running, RawClient(running.port) as client:
        for turn in range(2):
            await client.send(_GOOD)
            assert (await client.answer()).status == 200
            async with RawClient(running.port) as silent:
                assert await silent.closed()
            assert (running.closed("silent"), running.open) == (turn + 1, 1)
        assert (running.closed("idle"), running.closed("headers_too_slow")) == (0, 0)


async def test_an_idle_connection_ends_after_a_while(settings: SettingsFactory) -> None:
    """Nothing comes after its last request: it is closed after keep_alive_ms, and not before."""
    async with ready(settings, "keep_alive_ms = 400") as running, RawClient(running.port) as client:
        began_at = time.monotonic()
        await client.send(_GOOD)
        assert (await client.answer()).status == 200
        assert await client.closed()
        assert time.monotonic() - began_at >= 0.4
        assert (running.closed("idle"), running.closed("headers_too_slow")) == (1, 0)


def window_of(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on an ingress looks at what a body brings in windows so long, not a quarter of body_timeout_ms."""

    def limits(settings: IngestSettings) -> ConnectionLimits:
        return replace(connection_limits(settings), body_window_s=seconds)

    monkeypatch.setattr("ingest.app.connection_limits", limits)


async def test_a_body_that_trickles_is_answered_408(settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below body_bytes_per_second_min it ends with its window, long before body_timeout_ms, and nothing of it stays."""
    window_of(1.0, monkeypatch)
    async with ready(settings) as running:
        began_at = time.monotonic()
        async with RawClient(running.port) as client:
            await client.send(post("/webhooks/acme", bytes(1_000))[:-1_000])
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(trickle(client, bytes(1_000), every_s=0.05))
                answer = await client.answer()
                sending.cancel()
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            assert time.monotonic() - began_at >= 1
            assert await client.closed()
        assert running.requests("acme", "body_too_slow") == 1
        assert running.ingress.budget.held_bytes == 0
        assert await running.bodies() == [b"the last"]


async def test_a_body_at_a_fair_rate_is_taken(settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow is not too slow: what comes in parts, at more than the least rate over more than a window, is stored."""
    # So long that no pause of the machine leaves a window without a part.
    window_of(5.0, monkeypatch)
    part, window_s = bytes(2_000), 5.0
    async with ready(settings) as running, RawClient(running.port) as client:
        began_at = time.monotonic()
        await client.send(_HEAD_CHUNKED)
        while time.monotonic() - began_at < window_s + 1:
            await client.send(b"%x\r\n" % len(part) + part + b"\r\n")
            await asyncio.sleep(0.1)
        await client.send(b"0\r\n\r\n")
        assert (await client.answer()).status == 200
        stored, last = await running.bodies()
        assert (set(stored or b""), last) == ({0}, b"the last")
        assert running.requests("acme", "body_too_slow") == 0


async def test_who_was_refused_and_left_costs_nothing_more(
    settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lingers for the rest of a refused body ends with its client, however long it would linger."""
    monkeypatch.setattr("ingest.http.full_connection._LINGER_S", float(UNHURRIED_MS))
    async with ready(settings) as running:
        before = len(asyncio.all_tasks())
        for _ in range(50):
            async with RawClient(running.port) as client:
                await client.send(post("/webhooks/nobody", bytes(100))[:-50])
                assert (await client.answer()).status == 404
        await until(lambda: running.open == 0 and len(asyncio.all_tasks()) <= before)


async def test_who_sends_ahead_waits(settings: SettingsFactory) -> None:
    """While a delivery waits for Kafka, the 15 MB behind it stay with their sender; then all are stored, in order."""
    bodies = [bytes([number]) * 500_000 for number in range(31)]
    async with ready(settings) as running, RawClient(running.port) as client:
        await take_raw_away(running.settings)
        await client.send(_GOOD)
        await until(lambda: running.ingress.receiver.in_progress == 1)
        before = client.unsent_bytes
        async with asyncio.TaskGroup() as sending:
            sending.create_task(client.send(b"".join(post("/webhooks/acme", body) for body in bodies)))
            # Each of these is read while the 15 MB could be.
            for _ in range(50):
                assert (await running.ask(_LOOK)).status == 200
            assert before == 0
            assert client.unsent_bytes > 5_000_000
            await create_raw(running.settings)
        assert [(await client.answer()).status for _ in range(32)] == [200] * 32
        assert [record.value for record in await read_raw(running.settings, 32)] == [b"good", *bodies]


async def test_one_connection_too_many_is_told(settings: SettingsFactory) -> None:
    """It gets 503 and when to come again, asked or not, while those inside are handled; then there is room again."""
    async with ready(settings, "connections_max = 2") as running, AsyncExitStack() as inside:
        clients = [await inside.enter_async_context(RawClient(running.port)) for _ in range(2)]
        for client in clients:
            await client.send(_GOOD[:-1])
        await until(lambda: running.ingress.receiver.in_progress == 2)
        for request in (_GOOD, b"", post("/webhooks/acme", bytes(200_000))):
            async with RawClient(running.port) as late:
                await late.send(request)
                answer = await late.answer()
                assert (answer.status, answer.headers["retry-after"], answer.body) == (503, "5", b"")
                assert answer.headers["connection"] == "close"
                assert await late.closed()
        for client in clients:
            await client.send(_GOOD[-1:])
            assert (await client.answer()).status == 200
        assert (running.closed("refused"), running.requests("", "connections_full")) == (3, 3)
        await inside.aclose()
        await until(lambda: running.open == 0)
        assert await running.bodies() == [b"good", b"good", b"the last"]


async def test_a_flood_beyond_the_limit_ends(settings: SettingsFactory) -> None:
    """Of 300 that hold on without a word beyond the limit every one is closed, and the next good client is served."""
    async with ready(settings, "connections_max = 1\nheader_timeout_ms = 400") as running, AsyncExitStack() as flood:
        clients = [await flood.enter_async_context(RawClient(running.port)) for _ in range(300)]
        for client in clients:
            assert b"200 OK" not in await client.rest()
        await until(lambda: running.open == 0)
        assert (await running.ask(_GOOD)).status == 200


async def begin(port: int, content: bytes) -> socket.socket:
    """A connection on which these bytes lie before the server accepts it, so that no time passes between the two."""
    line = socket.create_connection(("127.0.0.1", port))
    line.setblocking(False)
    line.send(content)
    await asyncio.sleep(0)
    return line


async def cost(running: Serving, count: int) -> float:
    """The seconds of computing, not of waiting, that `count` deliveries on connections of their own take this process.

    Each is answered 200. What else the machine computes meanwhile does not count.
    """
    began_at = time.process_time()
    for _ in range(count):
        assert (await running.ask(_GOOD)).status == 200
    return time.process_time() - began_at


async def test_a_thousand_slow_clients_do_not_slow_a_good_one(settings: SettingsFactory) -> None:
    """Thirds are silent, stand in their headers, stand in their body: 100 deliveries pass, and cost what they did."""
    async with ready(settings) as running, AsyncExitStack() as slow:
        await cost(running, 20)  # What is made once, at the first ones, is made.
        alone = await cost(running, 100)
        for number in range(_SLOW):
            slow.enter_context(await begin(running.port, _BEGUN[number % 3]))
        await until(lambda: running.open == _SLOW)
        beside = await cost(running, 100)
        await until(lambda: running.open == _SLOW)
        assert beside < 3 * alone


async def test_a_thousand_slow_clients_end(settings: SettingsFactory) -> None:
    """Each third for its own reason, one by one, and no byte of theirs is held any longer."""
    lines = "header_timeout_ms = 1_000\nbody_timeout_ms = 1_000\nbody_bytes_per_second_min = 0"
    async with ready(settings, lines) as running, AsyncExitStack() as slow:
        for number in range(_SLOW):
            slow.enter_context(await begin(running.port, _BEGUN[number % 3]))
        await until(lambda: running.closed("silent") + running.closed("headers_too_slow") == 667)
        await until(lambda: running.requests("acme", "body_too_slow") == 333 and running.open == 0)
        assert (running.closed("silent"), running.closed("headers_too_slow")) == (334, 333)
        assert running.ingress.budget.held_bytes == 0
