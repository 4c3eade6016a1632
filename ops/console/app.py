"""Runs the console: serves the pages at their port, the watch beside them, and acts in tasks of their own."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from ingest.client_address import ClientAddresses
from ops.console.access import Guard, Sessions, add_headers, loopback_names
from ops.console.acts import Acts
from ops.console.logins import Logins
from ops.console.memory import Memory
from ops.console.pages import ConsolePages
from ops.console.watch import Watch
from ops.service.connection_log import ConnectionLog
from schemas.errors import DropstreamError
from schemas.secrets import Secret
from schemas.settings import Settings, is_loopback

_REQUEST_BYTES_MAX = 65_536
_SHUTDOWN_S = 3.0


@dataclass(frozen=True, slots=True)
class RunningConsole:
    """A console that serves on `port`."""

    port: int
    pages: ConsolePages

    def apply(self, settings: Settings) -> None:
        """Uses the endpoints of `settings` from now on, with their secrets."""
        merged = self.pages.settings.model_copy(update={"endpoints": settings.endpoints})
        self.pages.settings = self.pages.acts.settings = merged
        self.pages.watch.memory.known = frozenset(settings.endpoints)


@asynccontextmanager
async def console(settings: Settings, token: Secret | None) -> AsyncIterator[RunningConsole]:
    """Serves the console as long as the block.

    Raises:
        DropstreamError: the port is taken.
    """
    watch = Watch(settings, Memory(frozenset(settings.endpoints)))
    sessions, logins = Sessions(begin_alone=token is None), Logins(token.value if token else None)
    addresses = ClientAddresses(settings.console.trusted_proxies)
    running: set[asyncio.Task[None]] = set()
    try:
        async with asyncio.TaskGroup() as together:

            def start(work: Coroutine[None, None, None]) -> None:
                running.add(task := together.create_task(work))
                task.add_done_callback(running.discard)

            start(watch.run())
            try:
                pages = ConsolePages(settings, watch, Acts(settings, watch, start), sessions, logins, addresses)
                async with _served(settings, pages, sessions) as port:
                    try:
                        yield RunningConsole(port, pages)
                    finally:
                        watch.stopping = True  # Open streams end by themselves then, before the server does.
            finally:
                for task in running:
                    task.cancel()
    except* DropstreamError as group:
        raise group.exceptions[0] from None  # A person needs one reason.


@asynccontextmanager
async def _served(settings: Settings, pages: ConsolePages, sessions: Sessions) -> AsyncIterator[int]:
    ours = settings.console
    names = loopback_names(ours.names) if is_loopback(ours.host) else None
    app = web.Application(middlewares=[Guard(sessions, names).middleware()], client_max_size=_REQUEST_BYTES_MAX)
    app.on_response_prepare.append(add_headers)
    app.add_routes(pages.routes())
    runner = web.AppRunner(app, access_log=None, logger=ConnectionLog("console"), shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, ours.host, ours.port)
        try:
            await site.start()
        except OSError as error:
            raise DropstreamError(
                f"console.port: cannot listen on {ours.host}:{ours.port}: {error.strerror or error}\n"
                "Set console.host and console.port to an address of this machine that is free."
            ) from error
        yield site.port
    finally:
        await runner.cleanup()
