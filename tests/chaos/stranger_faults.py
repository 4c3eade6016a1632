"""What strangers do to an ingress on the open internet: floods of bytes, of idle connections, of large bodies.

Each fault raises `AssertionError` where the harm is not the stranger's own.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests.bench.gauge import peak_rss_kib
from tests.chaos.obligations import Load
from tests.chaos.stage import Stage

_NOBODY = b"POST /webhooks/nobody HTTP/1.1\r\nHost: x\r\n"
_UNFINISHED = _NOBODY + (b"X-Long: " + b"y" * 8_000 + b"\r\n") * 50
_MEGABYTE = 1_048_576
_AT_ONCE = 50
_MEMORY_KIB_MAX = 192 * 1_024


async def strangers_flood(stage: Stage, _load: Load, chance: random.Random) -> None:
    """12 bursts of 300 connections with 400 KB each, malformed or unfinished; the ingress stays below 192 MB."""
    for _ in range(12):
        contents = [chance.choice((bytes(400_000), _UNFINISHED)) for _ in range(300)]
        async with AsyncExitStack() as burst:
            for content in contents:
                await burst.enter_async_context(_sent(stage, content))
            await asyncio.sleep(0.5)
    assert stage.process is not None
    assert peak_rss_kib([stage.process.pid]) < _MEMORY_KIB_MAX


async def idle_flood(stage: Stage, load: Load, _chance: random.Random) -> None:
    """Connections with one GET each hold all places, and more of them come; no provider is told 503."""
    refused = load.answers["503"]
    look = b"GET /webhooks/nobody HTTP/1.1\r\nHost: x\r\n\r\n"
    async with AsyncExitStack() as strangers:
        for _ in range(0, stage.settings.ingest.connections_max + 500, _AT_ONCE):
            await asyncio.gather(*(strangers.enter_async_context(_sent(stage, look)) for _ in range(_AT_ONCE)))
        accepted = load.count
        await stage.until(lambda: load.count > accepted + 500)
    assert load.answers["503"] == refused


async def big_bodies_one_endpoint(stage: Stage, load: Load, _chance: random.Random) -> None:
    """65 connections hold back the end of 1 MiB for one endpoint; the other 19 senders go on as if nothing were."""
    head = b"POST /webhooks/e0 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % _MEGABYTE
    async with AsyncExitStack() as hogs:
        for _ in range(65):
            await hogs.enter_async_context(_sent(stage, head + bytes(_MEGABYTE - 1)))
        accepted = {name: len(bodies) for name, bodies in load.acknowledged.items() if name != "e0"}
        await stage.until(lambda: all(len(load.acknowledged[name]) > count + 20 for name, count in accepted.items()))


@asynccontextmanager
async def _sent(stage: Stage, content: bytes) -> AsyncIterator[None]:
    """A connection that has this to say, as far as the ingress listens, and then waits; the ingress may close it."""
    writer: asyncio.StreamWriter | None = None
    with contextlib.suppress(OSError, TimeoutError):
        _, writer = await asyncio.open_connection("127.0.0.1", stage.settings.ingest.port)
        writer.write(content)
    try:
        yield
    finally:
        if writer is not None:
            writer.transport.abort()
