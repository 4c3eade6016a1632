"""The HTTP server under the receiver: aiohttp's low-level one, with strangers kept quiet and in bounds.

A connection begins as a lean one (`ingest.http.fast_connection`) and becomes a full one, here, with the first request
that needs it.

aiohttp logs a traceback for each malformed request and shows its bytes in the answer; here it is counted and answered
with nothing. It waits for ever for who is slow; here `ingest.http.limits` says when that ends. No Application and no
router: they cost more than all the rest of a request.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError, RawRequestMessage

from ingest.answers import Answer, Outcome, response
from ingest.http.body import DEADLINE
from ingest.http.fast_connection import Begins, FastConnection
from ingest.http.limits import Closed, ConnectionLimits, Doing, Watchdog
from ingest.http.refusal import Refusal
from ingest.http.request_parser import RequestParser
from ingest.metrics import IngestMetrics

# aiohttp's own timer for idle connections counts nothing; the watchdog is earlier.
_NEVER_S = 86_400.0
# For a client that still sends when it was refused: reading on lets it see the answer instead of a reset connection.
_LINGER_S = 2.0
# Those who are told 503 take a place too, for a moment; beyond these a connection is closed unanswered.
_REFUSALS_MAX = 128

HttpHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class FullConnection(web.RequestHandler):
    """One connection; its server is told of every request that never reached the handler whole, and of its end."""

    __slots__ = ("_heard", "_line", "_server", "_watchdog", "closed_for")

    def __init__(self, server: "ConnectionServer", *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            auto_decompress=False,
            keepalive_timeout=_NEVER_S,
            lingering_time=_LINGER_S,
            access_log=None,  # type: ignore[arg-type] # None turns it off
        )
        self._server = server
        self._watchdog = Watchdog(server.limits, loop.time())
        self._heard = False
        self._line: asyncio.Transport | None = None  # aiohttp forgets its own when it closes, not when it is closed.
        self.closed_for = Closed.ENDED

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From here on it is watched."""
        super().connection_made(transport)
        self._line = cast(asyncio.Transport, transport)
        self._server.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Until here; who was refused and has left is not waited for, while one whose request is handled is."""
        lingering = None if self._request_in_progress or self._waiter is not None else self._task_handler
        super().connection_lost(exc)
        if lingering is not None:
            lingering.cancel()
        self._server.lost(self)

    def data_received(self, data: bytes) -> None:
        """Tells the request being read that its body broke; aiohttp would let it wait for bytes that never come.

        Bytes that come while a request is awaited, and do not make it whole, begin the time of its headers.
        """
        self._heard = True
        waiting, number = self._waiter is not None, self._request_count
        super().data_received(data)
        if waiting and number and number == self._request_count:
            self._watchdog.begin(Doing.HEADERS, number, self._loop.time())
        request = self._current_request
        if request is None or not self._messages:
            return
        if isinstance(self._messages[-1][0], RawRequestMessage):
            # Requests behind the one that is handled are held by nobody's budget; aiohttp would take 32 of them, bodies
            # and all. It reads on with the next one.
            if not self._buffer_paused:
                self._pause_reading_for_buffer()
            return
        if not request.content.is_eof() and request.content.exception() is None:
            request.content.set_exception(web.RequestPayloadError("malformed body"))

    def look(self, now: float) -> None:
        """Ends what takes too long: the connection; or the wait for a slow body, which is answered 408."""
        self._note(now)
        request = self._current_request
        if request is not None and not request.content.is_eof():
            if self._watchdog.body_is_slow(request.content.total_bytes, now) and DEADLINE in request:
                # Not an exception on the stream: what still comes must be read away, or the client never sees its 408.
                request[DEADLINE].reschedule(now)
            return
        overdue = self._watchdog.look(now, heard=self._heard)
        if overdue is not None and self._line is not None:
            self.closed_for = overdue
            # Not close(), which waits until the client has read what is left for it.
            self._line.abort()

    def _note(self, now: float) -> None:
        number, watchdog = self._request_count, self._watchdog
        if self._paused or (self._line is not None and self._line.is_closing()):
            watchdog.begin(Doing.ANSWER, number, now)
        elif self._current_request is not None:
            reading = not self._current_request.content.is_eof()
            watchdog.begin(Doing.BODY if reading else Doing.HANDLED, number, now)
        elif self._waiter is None or self._messages:
            # A connection just made is not waiting yet either, and its time runs already.
            if number:
                watchdog.begin(Doing.HANDLED, number, now)
        elif number and not watchdog.in_headers(number):
            watchdog.begin(Doing.IDLE, number, now)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what the handler did not answer: the sender's fault, or else ours."""
        if isinstance(exc, HttpProcessingError):
            answer = Answer(Outcome.MALFORMED)
        else:
            structlog.get_logger("ingest").error("request_failed", status=status, message=message, exc_info=exc)
            answer = Answer(Outcome.FAILED)
        self._server.count(answer)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun; nothing else can be said on this connection")
        made = response(answer)
        made.force_close()
        return made

    def log_exception(self, *args: object, **kw: object) -> None:
        """Silent about a body that broke or a client that left, for these are counted where they were noticed."""
        error = kw.get("exc_info")
        if isinstance(error, (web.RequestPayloadError, ConnectionError)):
            return
        structlog.get_logger("ingest").error("connection_failed", message=str(args[0]) if args else "", exc_info=error)


class ConnectionServer(web.Server):
    """Makes a `FullConnection` for each that is accepted, up to `connections_max`, and looks after all of them.

    `count` is told of every request that never reached the handler whole, and of every connection too many.
    """

    def __init__(
        self,
        handler: HttpHandler,
        *,
        begins: Begins,
        limits: ConnectionLimits,
        count: Callable[[Answer], None],
        metrics: IngestMetrics,
    ) -> None:
        super().__init__(handler)
        self._begins = begins
        self._requests = RequestParser()
        self.limits = limits
        self.count = count
        self.closing = False
        self._closed = metrics.connections_closed
        for reason in Closed:
            self._closed.labels(reason.value)
        self._open: set[FullConnection | FastConnection] = set()
        self._refused: set[Refusal] = set()
        self._sweep: asyncio.TimerHandle | None = None
        metrics.connections_open.set_function(lambda: len(self._open))

    def __call__(self) -> web.RequestHandler:
        # The event loop wants a protocol; only aiohttp's types want this one.
        if len(self._open) < self.limits.connections_max:
            return cast(web.RequestHandler, FastConnection(self, self._begins, self._requests, loop=self._loop))
        self.count(Answer(Outcome.CONNECTIONS_FULL))
        self._closed.labels(Closed.REFUSED.value).inc()
        return cast(web.RequestHandler, Refusal(self._refused, answered=len(self._refused) < _REFUSALS_MAX))

    @property
    def open_count(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def full_connection(self) -> FullConnection:
        """One that knows all of HTTP, to go on where a lean one ends."""
        return FullConnection(self, loop=self._loop)

    def replaced(self, connection: FastConnection) -> None:
        """Its place is taken by a full one; nothing has ended."""
        self._open.discard(connection)

    def opened(self, connection: FullConnection | FastConnection) -> None:
        """Watched from now on; the first one starts the sweep."""
        self._open.add(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(self.limits.sweep_s, self._look)

    def lost(self, connection: FullConnection | FastConnection) -> None:
        """Counted by its reason; once."""
        if connection in self._open:
            self._open.remove(connection)
            self._closed.labels(connection.closed_for.value).inc()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 aiohttp's own signature
        """Closes what is left, within `timeout` seconds, and looks no more."""
        self.closing = True
        for connection in tuple(self._open):
            if isinstance(connection, FastConnection):
                connection.close_when_idle()
        await super().shutdown(timeout)
        if self._sweep is not None:
            self._sweep.cancel()
        for refusal in tuple(self._refused):
            refusal.end()

    def _look(self) -> None:
        self._sweep = self._loop.call_later(self.limits.sweep_s, self._look)
        now = self._loop.time()
        for connection in tuple(self._open):
            connection.look(now)
        for refusal in tuple(self._refused):
            refusal.look()
