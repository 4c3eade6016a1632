"""The HTTP server under the receiver: aiohttp's low-level server, with a limit for everything that a client can take.

A connection begins as a `FastConnection`, which hands over to a `FullConnection` with the first request that needs it.
There is no Application and no router; they cost more than all the rest of a request.
"""

import asyncio
from functools import partial
from operator import itemgetter
from typing import cast

from aiohttp import web

from ingest.answers import Answer, Outcome
from ingest.http.fast_connection import FastConnection
from ingest.http.full_connection import FullConnection
from ingest.http.host import HostedConnection, RequestReceiver
from ingest.http.limits import Closed, ConnectionLimits
from ingest.http.refusal import Refusal
from ingest.http.request_parser import RequestParser
from ingest.http.unread_bytes import UnreadBytes, UnreadKind
from ingest.metrics import IngestMetrics

# A look at all connections costs their number. So one that finds less than an eighth of them idle is not soon repeated.
_FEW = 8
_LOOK_S = 0.05
# So many connections beyond the limit are answered 503 at a time; further ones are closed unanswered.
_REFUSALS_MAX = 128


class ConnectionServer(web.Server):
    """Makes a connection for each client, up to `connections_max`, and ends those that are overdue or give way.

    `receiver` answers the requests, and counts the connections that are refused.
    """

    def __init__(self, receiver: RequestReceiver, *, limits: ConnectionLimits, metrics: IngestMetrics) -> None:
        super().__init__(receiver)
        self.limits = limits
        self.receiver = receiver
        self.closing = False
        self.unread_bytes = UnreadBytes(limits.unread_bytes_max)
        self._parser = RequestParser()
        self._closed = metrics.connections_closed
        for reason in Closed:
            self._closed.labels(reason.value)
        self._open: set[HostedConnection] = set()
        # Connections that were idle at the last look, each with since when; the one that gives way next is the last.
        self._idle: list[tuple[float, HostedConnection]] = []
        self._look_at = 0.0
        self._refused: set[Refusal] = set()
        self._sweep_timer: asyncio.TimerHandle | None = None
        for kind in UnreadKind:
            metrics.unread_bytes.labels(kind.value).set_function(partial(self.unread_bytes.held_bytes, kind))
        metrics.connections_open.set_function(lambda: len(self._open))

    def __call__(self) -> web.RequestHandler:
        # The event loop takes any protocol; only aiohttp's types ask for its own.
        if len(self._open) < self.limits.connections_max or self._make_place():
            return cast(web.RequestHandler, FastConnection(self, self._parser, loop=self._loop))
        self.receiver.counter.count(Answer(Outcome.CONNECTIONS_FULL))
        self._closed.labels(Closed.REFUSED.value).inc()
        return cast(web.RequestHandler, Refusal(self._refused, answered=len(self._refused) < _REFUSALS_MAX))

    @property
    def open_count(self) -> int:
        """Counts the open connections."""
        return len(self._open)

    def opened(self, connection: HostedConnection) -> None:
        """Watches the connection from now on; the first connection starts the sweeps."""
        self._open.add(connection)
        if self._sweep_timer is None:
            self._sweep_timer = self._loop.call_later(self.limits.sweep_s, self._sweep)

    def full_connection(self, instead_of: HostedConnection) -> FullConnection:
        """Makes a full connection, and forgets the fast one whose transport it takes over; nothing has ended."""
        self._open.discard(instead_of)
        full = FullConnection(self, self, loop=self._loop)
        full.delivered = instead_of.delivered
        return full

    def lost(self, connection: HostedConnection) -> None:
        """Counts the end of the connection by its reason; once."""
        if connection in self._open:
            self._open.remove(connection)
            self._closed.labels(connection.closed_for.value).inc()

    def _make_place(self) -> bool:
        """Ends the connection that has been idle for the longest time; returns whether one was idle.

        Those that never brought a delivery go first, so that strangers do not take the places of providers.
        """
        if not self._idle:
            self._find_idle(self._loop.time())
        while self._idle:
            since, connection = self._idle.pop()
            if connection in self._open and connection.idle_since() == since:
                connection.give_way()
                self.lost(connection)
                return True
        return False

    def _find_idle(self, now: float) -> None:
        """Finds idle connections that never brought a delivery, or else those that did; rarely, where few are idle."""
        if now < self._look_at:
            return
        idle = [(since, one) for one in self._open if (since := one.idle_since()) is not None]
        idle.sort(key=itemgetter(0), reverse=True)
        self._idle = [found for found in idle if not found[1].delivered] or idle
        self._look_at = now + (_LOOK_S if len(self._idle) * _FEW < len(self._open) else 0.0)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 aiohttp's own signature
        """Closes all connections within `timeout` seconds, and stops the sweeps."""
        self.closing = True
        for connection in tuple(self._open):
            if isinstance(connection, FastConnection):
                connection.close_when_idle()
        await super().shutdown(timeout)
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for refusal in tuple(self._refused):
            refusal.end()

    def _sweep(self) -> None:
        self._sweep_timer = self._loop.call_later(self.limits.sweep_s, self._sweep)
        now = self._loop.time()
        for connection in tuple(self._open):
            connection.end_if_overdue(now)
        for refusal in tuple(self._refused):
            refusal.end_in_second_sweep()
