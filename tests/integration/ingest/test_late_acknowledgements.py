"""The ingress in front of a Kafka that acknowledges everything, and later than the deadline for an answer."""

import asyncio
from collections import Counter
from pathlib import Path

from tests.chaos.ingress import wired
from tests.conftest import ClusterFactory, SettingsFactory
from tests.support.raw_http import post
from tests.support.serving import Serving, create_raw, read_raw, serving, serving_settings
from tests.support.waiting import UNHURRIED_MS, until


async def deliver_all(running: Serving, numbers: range, *, overlapping: bool) -> None:
    """Gives a delivery of each number to two endpoints; every answer is 200."""
    bodies = [(name, b"%s %d" % (name.encode(), number)) for number in numbers for name in ("acme", "laned")]
    asking = [running.ask(post(f"/webhooks/{name}", body)) for name, body in bodies]
    answers = await asyncio.gather(*asking) if overlapping else [await one for one in asking]
    assert {answer.status for answer in answers} == {200}


async def test_acknowledgements_that_are_late_cost_no_copies(
    settings: SettingsFactory, cluster: ClusterFactory, tmp_path: Path
) -> None:
    """The spool empties while Kafka is slow; what it acknowledges after the deadline is not sent again."""
    broker = await cluster()
    async with wired(broker) as wire:
        mine = serving_settings(
            settings,
            f"kafka_deadline_ms = 500\nproducer_hung_ms = {UNHURRIED_MS}",
            bootstrap_servers=f"127.0.0.1:{wire.port}",
            spool=tmp_path / "spool",
        )
        await create_raw(mine)
        async with serving(mine) as running:
            wire.delay_s = 0.4
            await deliver_all(running, range(3), overlapping=False)
            await deliver_all(running, range(3, 18), overlapping=True)
            assert running.requests("acme", "spooled") > 0
            await until(lambda: not running.ingress.storage.figures().deliveries)
            assert wire.delay_s
            wire.delay_s = 0.0
            await running.stored(b"the last")
            records = Counter(record.value for record in await read_raw(mine, 37))
    records.pop(b"the last")
    assert len(records) == 36
    assert max(records.values()) <= 2
    assert records.total() < 1.2 * len(records)
