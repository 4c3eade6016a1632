"""How long a stranger may hold a connection, and how many there may be; raw sockets against a running ingress."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from tests.conftest import SettingsFactory
from tests.integration.raw_http import RawClient, post
from tests.integration.serving import Serving, create_raw, read_raw, ready, take_raw_away, until

pytestmark = pytest.mark.kafka

_GOOD = post("/webhooks/acme", b"good")
_SLOW = 1_000


async def took(client: RawClient) -> float:
    """The seconds until the server closes the connection, with nothing said."""
    began_at = time.monotonic()
    assert await client.closed()
    return time.monotonic() - began_at


async def trickle(client: RawClient, content: bytes, *, every_s: float) -> None:
    """A byte now and then, as long as there are any."""
    for byte in content:
        await client.send(bytes([byte]))
        await asyncio.sleep(every_s)


async def test_who_says_nothing_is_closed(settings: SettingsFactory) -> None:
    """A connection without a byte ends after header_timeout_ms."""
    async with ready(settings, "header_timeout_ms = 400") as running, RawClient(running.port) as client:
        assert 0.3 <= await took(client) < 3
        assert (running.closed("silent"), running.open) == (1, 0)


@pytest.mark.parametrize("first", [b"", _GOOD], ids=["first", "second"])
async def test_headers_that_trickle_are_not_waited_for(settings: SettingsFactory, first: bytes) -> None:
    """Time runs from accept, or from the first byte of a later request, and a byte now and then does not renew it."""
    async with ready(settings, "header_timeout_ms = 400") as running, RawClient(running.port) as client:
        if first:
            await client.send(first)
            assert (await client.answer()).status == 200
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(trickle(client, _GOOD, every_s=0.1))
            assert 0.3 <= await took(client) < 3
            sending.cancel()
        assert running.closed("headers_too_slow") == 1
        assert await running.bodies() == [*([b"good"] if first else []), b"the last"]


async def test_an_idle_connection_is_kept_for_a_while(settings: SettingsFactory) -> None:
    """It is good for a second request after header_timeout_ms, and ends after keep_alive_ms."""
    async with ready(settings, "header_timeout_ms = 200\nkeep_alive_ms = 1200") as running:
        async with RawClient(running.port) as client:
            for _ in range(2):
                await client.send(_GOOD)
                assert (await client.answer()).status == 200
                await asyncio.sleep(0.6)
            assert 0.3 <= await took(client) < 4
        assert (running.closed("idle"), running.closed("headers_too_slow")) == (1, 0)


async def test_a_body_that_trickles_is_answered_408(settings: SettingsFactory) -> None:
    """Below body_bytes_per_second_min it ends long before body_timeout_ms, and nothing of it stays."""
    async with ready(settings, "body_timeout_ms = 4_000") as running, RawClient(running.port) as client:
        await client.send(post("/webhooks/acme", bytes(1_000))[:-1_000])
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(trickle(client, bytes(1_000), every_s=0.05))
            began_at = time.monotonic()
            answer = await client.answer()
            sending.cancel()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert 0.9 <= time.monotonic() - began_at < 3.5
        assert await client.closed()
        assert running.requests("acme", "body_too_slow") == 1
        assert running.ingress.budget.held_bytes == 0
        assert await running.bodies() == [b"the last"]


async def test_a_body_at_a_fair_rate_is_taken(settings: SettingsFactory) -> None:
    """Slow is not too slow: 400 bytes a second over more than a window are stored."""
    async with ready(settings, "body_timeout_ms = 8_000") as running, RawClient(running.port) as client:
        await client.send(post("/webhooks/acme", bytes(1_200))[:-1_200])
        for _ in range(30):
            await client.send(bytes(40))
            await asyncio.sleep(0.1)
        assert (await client.answer()).status == 200
        assert await running.bodies() == [bytes(1_200), b"the last"]


async def test_who_was_refused_and_left_costs_nothing_more(settings: SettingsFactory) -> None:
    """What lingers for the rest of a refused body ends with its client, not 2 s later."""
    async with ready(settings) as running:
        before = len(asyncio.all_tasks())
        for _ in range(50):
            async with RawClient(running.port) as client:
                await client.send(post("/webhooks/nobody", bytes(100))[:-50])
                assert (await client.answer()).status == 404
        began_at = time.monotonic()
        await until(lambda: running.open == 0 and len(asyncio.all_tasks()) <= before)
        assert time.monotonic() - began_at < 1


async def test_who_sends_ahead_waits(settings: SettingsFactory) -> None:
    """While a delivery waits for Kafka, the 15 MB behind it stay with their sender; then all are stored, in order."""
    bodies = [bytes([number]) * 500_000 for number in range(31)]
    async with ready(settings, "body_timeout_ms = 20_000") as running, RawClient(running.port) as client:
        await take_raw_away(running.settings)
        await client.send(_GOOD)
        await until(lambda: running.ingress.receiver.in_progress == 1)
        before = client.unsent_bytes
        async with asyncio.TaskGroup() as sending:
            sending.create_task(client.send(b"".join(post("/webhooks/acme", body) for body in bodies)))
            await asyncio.sleep(1)
            assert before == 0
            assert client.unsent_bytes > 5_000_000
            await create_raw(running.settings)
        assert [(await client.answer()).status for _ in range(32)] == [200] * 32
        assert [record.value for record in await read_raw(running.settings, 32)] == [b"good", *bodies]


async def test_one_connection_too_many_is_told(settings: SettingsFactory) -> None:
    """It gets 503 and when to come again, asked or not, while those inside are served; then there is room again."""
    async with ready(settings, "connections_max = 2") as running, AsyncExitStack() as inside:
        clients = [await inside.enter_async_context(RawClient(running.port)) for _ in range(2)]
        await until(lambda: running.open == 2)
        for request in (_GOOD, b"", post("/webhooks/acme", bytes(200_000))):
            async with RawClient(running.port) as late:
                await late.send(request)
                answer = await late.answer()
                assert (answer.status, answer.headers["retry-after"], answer.body) == (503, "5", b"")
                assert answer.headers["connection"] == "close"
                assert await late.closed()
        await clients[0].send(_GOOD)
        assert (await clients[0].answer()).status == 200
        assert (running.closed("refused"), running.requests("", "connections_full")) == (3, 3)
        await inside.aclose()
        await until(lambda: running.open == 0)
        assert await running.bodies() == [b"good", b"the last"]


async def test_a_flood_beyond_the_limit_ends(settings: SettingsFactory) -> None:
    """Of 300 that hold on without a word beyond the limit every one is closed, and the next good client is served."""
    async with ready(settings, "connections_max = 1\nheader_timeout_ms = 400") as running, AsyncExitStack() as flood:
        clients = [await flood.enter_async_context(RawClient(running.port)) for _ in range(300)]
        for client in clients:
            assert b"200 OK" not in await client.rest()
        await until(lambda: running.open == 0)
        assert (await running.ask(_GOOD)).status == 200


async def good_client(running: Serving, count: int) -> float:
    """The longest wait, in seconds, of `count` deliveries on connections of their own."""
    longest_s = 0.0
    for _ in range(count):
        began_at = time.monotonic()
        assert (await running.ask(_GOOD)).status == 200
        longest_s = max(longest_s, time.monotonic() - began_at)
    return longest_s


async def test_a_thousand_slow_clients_do_not_slow_a_good_one(settings: SettingsFactory) -> None:
    """Thirds are silent, stand in their headers, stand in their body: 100 deliveries pass meanwhile; then all end."""
    begun = [b"", _GOOD[:20], post("/webhooks/acme", bytes(100))[:-50]]
    lines = "header_timeout_ms = 14_000\nbody_timeout_ms = 14_000\nbody_bytes_per_second_min = 0"
    async with ready(settings, lines) as running, AsyncExitStack() as slow:
        for number in range(_SLOW):
            client = await slow.enter_async_context(RawClient(running.port))
            await client.send(begun[number % 3])
        await until(lambda: running.open == _SLOW)
        assert await good_client(running, 100) < 1
        await until(lambda: running.open == 0)
        assert (running.closed("silent"), running.closed("headers_too_slow")) == (334, 333)
        assert running.requests("acme", "body_too_slow") == 333
        assert running.ingress.budget.held_bytes == 0
