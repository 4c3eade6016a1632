"""The ingress in front of a Kafka that stalls for longer than a producer is given, under deliveries that overlap."""

import asyncio
from pathlib import Path

from tests.conftest import ClusterFactory, SettingsFactory
from tests.support.raw_http import post
from tests.support.serving import Serving, create_raw, read_raw, serving, serving_settings
from tests.support.waiting import until

_PACE_S = 0.02


async def deliver(running: Serving, number: int) -> None:
    """One delivery of the endpoint acme, answered 200."""
    assert (await running.ask(post("/webhooks/acme", b"%02d" % number))).status == 200


async def test_deliveries_that_overlap_keep_their_order_through_a_stall(
    settings: SettingsFactory, cluster: ClusterFactory, tmp_path: Path
) -> None:
    """Those with the client, those that wait for it and those that come later reach `raw` as they were accepted."""
    broker = await cluster()
    mine = serving_settings(
        settings,
        "kafka_deadline_ms = 500\nproducer_hung_ms = 1_000",
        bootstrap_servers=broker.bootstrap_servers,
        spool=tmp_path / "spool",
    )
    await create_raw(mine)
    async with serving(mine) as running, asyncio.TaskGroup() as senders:
        await running.stored(b"before")
        broker.nodes[0].freeze()
        for number in range(50):
            senders.create_task(deliver(running, number))
            await asyncio.sleep(_PACE_S)
        name = "dropstream_ingest_producers_replaced_total"
        await until(lambda: (running.registry.get_sample_value(name, {"reason": "hung"}) or 0.0) > 0)
        broker.nodes[0].thaw()
        await until(lambda: not running.ingress.storage.figures().deliveries)
        records = [record.value for record in await read_raw(mine, 51) if record.value != b"before"]
    assert list(dict.fromkeys(records)) == [b"%02d" % number for number in range(50)]
