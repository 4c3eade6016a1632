"""The ingress in front of a broker of its own that freezes: connections stay open and nothing answers."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tests.conftest import ClusterFactory, SettingsFactory
from tests.support.raw_http import RawClient, post
from tests.support.serving import create_raw, read_raw, serving, serving_settings
from tests.support.waiting import PATIENCE_S, UNHURRIED_MS, until


async def test_a_frozen_broker_costs_refusals_and_nothing_else(
    settings: SettingsFactory, cluster: ClusterFactory
) -> None:
    """While it is frozen the answer is 503 at the deadline; thawed, it has what it was sent, and 200 is back."""
    broker = await cluster()
    mine = serving_settings(
        settings,
        f"kafka_deadline_ms = 300\nproducer_hung_ms = {UNHURRIED_MS}",
        bootstrap_servers=broker.bootstrap_servers,
    )
    await create_raw(mine)
    async with serving(mine) as running:
        await running.stored(b"before")
        await until(lambda: running.ingress.health().ready)
        broker.nodes[0].freeze()
        began_at = time.monotonic()
        assert (await running.ask(post("/webhooks/acme", b"meanwhile"))).status == 503
        assert time.monotonic() - began_at >= 0.3
        assert not running.ingress.health().ready
        broker.nodes[0].thaw()
        await until(lambda: running.ingress.health().ready)
        await running.stored(b"after")
        records = [record.value for record in await read_raw(mine, 3)]
        assert list(dict.fromkeys(records)) == [b"before", b"meanwhile", b"after"]
        assert records.count(b"meanwhile") == 1


async def test_a_frozen_broker_does_not_hold_the_ingress(settings: SettingsFactory, cluster: ClusterFactory) -> None:
    """Stopping ends soon after stop_grace_ms, with every byte given back, although the client's own stop would wait."""
    broker = await cluster()
    mine = serving_settings(
        settings,
        "stop_grace_ms = 300",
        bootstrap_servers=broker.bootstrap_servers,
    )
    await create_raw(mine)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(serving(mine))
        broker.nodes[0].freeze()
        async with RawClient(running.port) as client:
            await client.send(post("/webhooks/acme", b"waiting"))
            await until(lambda: running.ingress.receiver.in_progress == 1)
            async with asyncio.timeout(PATIENCE_S):
                await stack.pop_all().aclose()
    assert running.requests("acme", "stored") == 0
    assert running.ingress.budget.held_bytes == 0


async def test_a_stop_waits_for_nothing_that_is_on_disk(
    settings: SettingsFactory, cluster: ClusterFactory, tmp_path: Path
) -> None:
    """With Kafka frozen and every delivery in the spool, stopping ends long before stop_grace_ms."""
    broker = await cluster()
    mine = serving_settings(
        settings,
        f"kafka_deadline_ms = 300\nproducer_hung_ms = {UNHURRIED_MS}\nstop_grace_ms = {UNHURRIED_MS}",
        bootstrap_servers=broker.bootstrap_servers,
        spool=tmp_path / "spool",
    )
    await create_raw(mine)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(serving(mine))
        broker.nodes[0].freeze()
        assert (await running.ask(post("/webhooks/acme", b"waiting"))).status == 200
        assert running.requests("acme", "spooled") == 1
        async with asyncio.timeout(PATIENCE_S):
            await stack.pop_all().aclose()
    assert running.ingress.budget.held_bytes == 0
