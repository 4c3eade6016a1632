"""What monitoring and a person do to a busy ingress of many endpoints: scrapes without a pause, and reloads."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tests.chaos.obligations import ENDPOINTS, Load
from tests.chaos.stage import Stage
from tests.support.waiting import PATIENCE_S

_SCRAPERS = 3
_SCRAPES = 20
_RELOADS = 3
_AT_ONCE = 20


async def scrape_storm(stage: Stage, _load: Load, chance: random.Random) -> None:
    """Three scrapers without a pause, and three SIGHUPs; each page tells of every endpoint, `/livez` says 200."""
    async with aiohttp.ClientSession() as client, _asked_all_the_while(stage, client):
        await _delivered_to_each(stage, client, chance.randbytes(8))
        names = {f'endpoint="{name}"' for name in stage.settings.endpoints}

        async def scrape() -> None:
            for _ in range(_SCRAPES):
                page = await _page(stage, client, "/metrics")
                told = {label for line in page.splitlines() for label in line.partition("{")[2].partition(",")[:1]}
                assert names <= told, f"{len(names - told)} endpoints are missing"

        async with asyncio.TaskGroup() as storm:
            for _ in range(_SCRAPERS):
                storm.create_task(scrape())
            for _ in range(_RELOADS):
                await _reloaded(stage)


async def _delivered_to_each(stage: Stage, client: aiohttp.ClientSession, body: bytes) -> None:
    """Gives each endpoint that has no senders a delivery, so that there is something to tell of it."""

    async def deliver(first: int) -> None:
        for number in range(ENDPOINTS + first, len(stage.settings.endpoints), _AT_ONCE):
            async with client.post(f"{stage.url}/webhooks/e{number}", data=body) as response:
                assert response.status == 200

    await asyncio.gather(*(deliver(first) for first in range(_AT_ONCE)))


async def _reloaded(stage: Stage) -> None:
    """Has the configuration read again, and returns when it is in use."""
    said = stage.log.read_text().count("configuration_reloaded")
    stage.kill_ingress(signal.SIGHUP)
    await stage.until(lambda: stage.log.read_text().count("configuration_reloaded") > said)


@asynccontextmanager
async def _asked_all_the_while(stage: Stage, client: aiohttp.ClientSession) -> AsyncIterator[None]:
    """Inside, `/livez` is asked again and again."""
    ended = asyncio.Event()

    async def ask() -> None:
        while not ended.is_set():
            await _page(stage, client, "/livez")
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as asking:
        asking.create_task(ask())
        try:
            yield
        finally:
            ended.set()


async def _page(stage: Stage, client: aiohttp.ClientSession, path: str) -> str:
    address = f"http://127.0.0.1:{stage.settings.ingest.admin_port}{path}"
    async with client.get(address, timeout=aiohttp.ClientTimeout(PATIENCE_S)) as response:
        assert response.status == 200, f"{path} was answered {response.status}"
        return await response.text()
