"""Runs the console: serves the pages at their port, the watch beside them, and acts in tasks of their own."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from ingest.client_address import ClientAddresses
from ops.console.acting.acts import Acts
from ops.console.memory import Memory
from ops.console.pages import ConsolePages
from ops.console.watch import Watch
from ops.people.access import Guard, Sessions, add_headers, loopback_names
from ops.people.act_log import ActLog
from ops.people.logins import Logins
from ops.people.person import Person
from ops.people.proxy_login import ProxyLogin
from ops.people.writing import write_act
from ops.service.connection_log import ConnectionLog
from schemas.errors import DropstreamError
from schemas.secrets import Secret
from schemas.sections.values import is_loopback
from schemas.settings import Settings

_REQUEST_BYTES_MAX = 65_536
_SHUTDOWN_S = 3.0


@dataclass(frozen=True, slots=True)
class RunningConsole:
    """A console that serves on `port`."""

    port: int
    pages: ConsolePages

    def apply(self, settings: Settings, tokens: Mapping[Person, Secret]) -> None:
        """Uses the endpoints of `settings` from now on, with their secrets; and lets in those people alone."""
        merged = self.pages.settings.model_copy(update={"endpoints": settings.endpoints})
        self.pages.settings = self.pages.acts.settings = merged
        self.pages.watch.memory.known = frozenset(settings.endpoints)
        if self.pages.settings.console.needs_login:
            logins, now = self.pages.logins, _values(tokens)
            self.pages.sessions.keep({person for person, token in now.items() if logins.tokens.get(person) == token})
            logins.tokens = now


@asynccontextmanager
async def console(settings: Settings, tokens: Mapping[Person, Secret]) -> AsyncIterator[RunningConsole]:
    """Serves the console as long as the block.

    Raises:
        DropstreamError: the port is taken.
    """
    watch = Watch(settings, Memory(frozenset(settings.endpoints)))
    sessions = Sessions(begin_alone=not settings.console.needs_login)
    addresses = ClientAddresses(settings.console.trusted_proxies)
    log = ActLog(partial(write_act, settings))
    running: set[asyncio.Task[None]] = set()
    try:
        async with asyncio.TaskGroup() as together:

            def start(work: Coroutine[None, None, None]) -> None:
                running.add(task := together.create_task(work))
                task.add_done_callback(running.discard)

            start(watch.run())
            start(log.run())
            try:
                acts = Acts(settings, watch, start, log)
                pages = ConsolePages(settings, watch, acts, sessions, Logins(_values(tokens)), addresses)
                async with _served(settings, pages, _guard(settings, pages)) as port:
                    try:
                        yield RunningConsole(port, pages)
                    finally:
                        watch.stopping = True  # Open streams end by themselves then, before the server does.
            finally:
                for task in running:
                    task.cancel()
    except* DropstreamError as group:
        raise group.exceptions[0] from None  # A person needs one reason.


def _values(tokens: Mapping[Person, Secret]) -> dict[Person, bytes]:
    return {person: token.value for person, token in tokens.items()}


def _guard(settings: Settings, pages: ConsolePages) -> Guard:
    ours = settings.console
    names = loopback_names(ours.names) if is_loopback(ours.host) else None
    proxy = ProxyLogin(ours.proxy_login, ours.trusted_proxies) if ours.proxy_login is not None else None
    return Guard(pages.sessions, names, pages.addresses, proxy, pages.acts.log.note_login)


@asynccontextmanager
async def _served(settings: Settings, pages: ConsolePages, guard: Guard) -> AsyncIterator[int]:
    ours = settings.console
    app = web.Application(middlewares=[guard.middleware()], client_max_size=_REQUEST_BYTES_MAX)
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
