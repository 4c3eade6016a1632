"""The floor under every aiohttp program: its low-level server, a handler that reads the body and keeps nothing."""

import asyncio
import sys

import uvloop
from aiohttp import web

from tests.bench.place import read_settings


async def handle(request: web.BaseRequest) -> web.Response:
    await request.read()
    return web.Response()


async def main(config: str) -> None:
    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", read_settings(config).ingest.port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
