"""The admin port of every long-running service: `/livez`, `/readyz`, `/metrics` and `/configuration`.

It is for probes and scrapers inside the network; it has no authentication and shows no secret. A worker serves the same
pages on a socket in its parent's folder, for its parent alone.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS

from ops.service import running_configuration
from ops.service.connection_log import ConnectionLog
from ops.service.metrics_page import SharedPage, page_of
from ops.service.running_configuration import RunningConfiguration
from ops.service.workers.worker import Worker
from ops.tracing.exemplars import Exemplars, takes_openmetrics
from schemas.errors import DropstreamError
from schemas.health import Health

_SHUTDOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class WorkersHealth:
    """The health of all workers: live and ready when every worker is; one that does not answer is neither."""

    live: bool
    ready: bool
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AdminPages:
    """What the pages show, called at each request; `metrics` gives Prometheus text, `configuration` its facts.

    `exemplars` are there where traces are recorded.
    """

    health: Callable[[], Awaitable[Health | WorkersHealth]]
    metrics: Callable[[], Awaitable[bytes]]
    configuration: Callable[[], Mapping[str, object]]
    exemplars: Exemplars | None = None


def admin(
    *,
    host: str,
    port: int,
    registry: CollectorRegistry,
    health: Callable[[], Health],
    running: RunningConfiguration,
    worker: Worker | None = None,
    exemplars: Exemplars | None = None,
) -> AbstractAsyncContextManager[int]:
    """Serves the pages of this process inside: at host and port, or for a worker at its socket; gives the port.

    Raises:
        DropstreamError: the port, or the worker's socket, is taken.
    """

    async def own_health() -> Health:
        return health()

    number = None if worker is None else str(worker.number)
    pages = AdminPages(own_health, SharedPage(lambda: page_of(registry, worker=number)).text, running.facts, exemplars)
    return admin_port(host, port, pages) if worker is None else _admin_socket(worker.socket, pages)


@asynccontextmanager
async def admin_port(host: str, port: int, pages: AdminPages) -> AsyncIterator[int]:
    """Serves `pages` inside, and gives the port that it really listens on.

    Raises:
        DropstreamError: the port is taken.
    """
    async with _runner(pages) as runner:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise DropstreamError(
                f"admin_port: cannot listen on {host}:{port}: {error.strerror or error}\n"
                "Set admin_host and admin_port to an address of this machine that is free."
            ) from error
        yield site.port


@asynccontextmanager
async def _admin_socket(path: Path, pages: AdminPages) -> AsyncIterator[int]:
    async with _runner(pages) as runner:
        try:
            # Replaces the socket that a killed worker left.
            await web.UnixSite(runner, path).start()
        except OSError as error:
            raise DropstreamError(
                f"cannot listen on {path}: {error.strerror or error}\n"
                "Set TMPDIR to a directory with a short name that can be written."
            ) from error
        yield 0


@asynccontextmanager
async def _runner(pages: AdminPages) -> AsyncIterator[web.ServerRunner]:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await _answer(request, pages)

    runner = web.ServerRunner(
        web.Server(answer, access_log=None, logger=ConnectionLog("admin")), shutdown_timeout=_SHUTDOWN_S
    )
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


async def _answer(request: web.BaseRequest, pages: AdminPages) -> web.Response:
    if request.method not in {"GET", "HEAD"}:
        return web.Response(status=405, headers={"Allow": "GET, HEAD"})
    match request.path:
        case "/livez":
            now = await pages.health()
            return _state(now.live, now)
        case "/readyz":
            now = await pages.health()
            return _state(now.ready, now)
        case "/metrics":
            return await _metrics(pages, accept=request.headers.get("Accept", ""))
        case running_configuration.PATH:
            return web.Response(body=orjson.dumps(pages.configuration()), content_type="application/json")
        case _:
            return web.Response(status=404)


async def _metrics(pages: AdminPages, *, accept: str) -> web.Response:
    page = await pages.metrics()
    if pages.exemplars is None or not takes_openmetrics(accept):
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE_LATEST})
    return web.Response(body=pages.exemplars.openmetrics(page), headers={"Content-Type": OPENMETRICS})


def _state(good: bool, now: Health | WorkersHealth) -> web.Response:
    body = {"live": now.live, "ready": now.ready, **now.facts}
    return web.Response(status=200 if good else 503, body=orjson.dumps(body), content_type="application/json")
