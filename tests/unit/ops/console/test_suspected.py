"""What the page says of ids in their grace time, which the processors alone know."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ops.console.acting.shown_acts import ShownActs
from ops.console.memory import Memory
from ops.console.page_state import page_state
from ops.console.watch import Watch
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from tests.support.waiting import until

METRICS = """# TYPE dropstream_process_suspected_ids gauge
dropstream_process_suspected_ids{endpoint="acme"} 3.0
"""


@asynccontextmanager
async def processors() -> AsyncIterator[str]:
    """The address of an admin port of processors."""

    async def ready(_request: web.Request) -> web.Response:
        return web.json_response({"ready": True})

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(text=METRICS)

    app = web.Application()
    app.add_routes([web.get("/readyz", ready), web.get("/metrics", metrics)])
    async with TestServer(app) as server:
        yield f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(("silent", "known"), [([], True), (["127.0.0.1:1"], False)])
async def test_what_a_silent_processor_knows_is_called_unknown(silent: list[str], known: bool) -> None:
    """Where one of the processors does not answer, the page does not take its silence for no id."""
    async with processors() as address:
        text = f"""
[kafka]
bootstrap_servers = "127.0.0.1:1"
[console]
ingest_admin = ["127.0.0.1:1"]
process_admin = {orjson.dumps([address, *silent]).decode()}
[endpoints]
"""
        settings = read_configuration(text, source="here.toml", context=Context(environ={}, providers=discover()))
        watch = Watch(settings, Memory(frozenset()))
        assert suspected(watch) == {"known": False, "ids": 0, "endpoints": []}
        running = asyncio.create_task(watch.run())
        try:
            await until(lambda: bool(watch.metrics.suspected))
            assert suspected(watch) == {"known": known, "ids": 3, "endpoints": [{"endpoint": "acme", "count": 3}]}
        finally:
            watch.stopping = True
            running.cancel()


def suspected(watch: Watch) -> object:
    return orjson.loads(page_state(watch.settings, watch, ShownActs(), now_ms=0))["gaps"]["suspected"]
