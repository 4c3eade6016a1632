"""The admin port of every long-running part: `/livez`, `/readyz` and `/metrics`.

For probes and scrapers inside the fence; it has no authentication and shows no secret.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from schemas.errors import DropstreamError
from schemas.health import Health

_SHUTDOWN_S = 1.0


@asynccontextmanager
async def admin(
    *, host: str, port: int, registry: CollectorRegistry, health: Callable[[], Health]
) -> AsyncIterator[int]:
    """Serves inside, and gives the port that it really listens on.

    Raises:
        DropstreamError: the port cannot be had.
    """

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return _answer(request, registry, health)

    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        try:
            await site.start()
        except OSError as error:
            raise DropstreamError(
                f"admin_port: cannot listen on {host}:{port}: {error.strerror or error}\n"
                "Set admin_host and admin_port to an address of this machine that is free."
            ) from error
        yield site.port
    finally:
        await runner.cleanup()


def _answer(request: web.BaseRequest, registry: CollectorRegistry, health: Callable[[], Health]) -> web.Response:
    if request.method not in {"GET", "HEAD"}:
        return web.Response(status=405, headers={"Allow": "GET, HEAD"})
    match request.path:
        case "/livez":
            now = health()
            return _state(now.live, now)
        case "/readyz":
            now = health()
            return _state(now.ready, now)
        case "/metrics":
            return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
        case _:
            return web.Response(status=404)


def _state(good: bool, health: Health) -> web.Response:
    body = {"live": health.live, "ready": health.ready, **health.facts}
    return web.Response(status=200 if good else 503, body=orjson.dumps(body), content_type="application/json")
