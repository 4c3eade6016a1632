"""The full path through the server: aiohttp's connection, for everything in HTTP that the fast path leaves out.

aiohttp logs a traceback for each malformed request and shows its bytes in the answer; a full connection counts the
request and answers with an empty body. aiohttp waits for slow clients for ever; here `ingest.http.limits` ends that.
"""

import asyncio
from typing import cast

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError, RawRequestMessage

from ingest.answers import Answer, Outcome, response
from ingest.http.body import DEADLINE
from ingest.http.host import ConnectionHost
from ingest.http.limits import Closed, Doing, Watchdog

# aiohttp's own timer for idle connections is not counted in the metrics; the watchdog ends them earlier.
_NEVER_S = 86_400.0
# How long a refused client that still sends is read, so that it sees the answer instead of a reset connection.
_LINGER_S = 2.0


class FullConnection(web.RequestHandler):
    """Serves one connection; counts every request that never reached the receiver, and reports its end to the host."""

    __slots__ = ("_heard", "_host", "_line", "_watchdog", "closed_for")

    def __init__(self, server: web.Server, host: ConnectionHost, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            auto_decompress=False,
            keepalive_timeout=_NEVER_S,
            lingering_time=_LINGER_S,
            access_log=None,  # type: ignore[arg-type] # None turns it off
        )
        self._host = host
        self._watchdog = Watchdog(host.limits, loop.time())
        self._heard = False
        self._line: asyncio.Transport | None = None  # aiohttp forgets its transport too early, when it begins to close.
        self.closed_for = Closed.ENDED

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Registers the connection with the host, which watches it from now on."""
        super().connection_made(transport)
        self._line = cast(asyncio.Transport, transport)
        self._host.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Reports the end; cancels a task that only reads on after a refusal, but none that handles a request."""
        lingering = None if self._request_in_progress or self._waiter is not None else self._task_handler
        super().connection_lost(exc)
        if lingering is not None:
            lingering.cancel()
        self._host.lost(self)

    def data_received(self, data: bytes) -> None:
        """Passes the bytes to aiohttp, and fails a body that broke; aiohttp would wait for bytes that never come.

        Bytes that do not complete the head of the next request start the time limit of its headers.
        """
        self._heard = True
        waiting, number = self._waiter is not None, self._request_count
        super().data_received(data)
        if waiting and number and number == self._request_count:
            self._watchdog.enter(Doing.HEADERS, number, self._loop.time())
        request = self._current_request
        if request is None or not self._messages:
            return
        if isinstance(self._messages[-1][0], RawRequestMessage):
            # No budget bounds the requests behind the one that is handled, and aiohttp would read 32 of them with their
            # bodies. aiohttp resumes reading with the next request.
            if not self._buffer_paused:
                self._pause_reading_for_buffer()
            return
        if not request.content.is_eof() and request.content.exception() is None:
            request.content.set_exception(web.RequestPayloadError("malformed body"))

    def end_if_overdue(self, now: float) -> None:
        """Ends the connection if it takes too long, or the wait for a slow body, which is answered 408."""
        self._observe(now)
        request = self._current_request
        if request is not None and not request.content.is_eof():
            if self._watchdog.body_is_slow(request.content.total_bytes, now) and DEADLINE in request:
                # An exception on the stream would stop the reading, and the client would never see its 408.
                request[DEADLINE].reschedule(now)
            return
        closed_for = self._watchdog.overdue(now, heard=self._heard)
        if closed_for is not None and self._line is not None:
            self.closed_for = closed_for
            # close() would wait until the client has read its answers.
            self._line.abort()

    def _observe(self, now: float) -> None:
        number, watchdog = self._request_count, self._watchdog
        if self._paused or (self._line is not None and self._line.is_closing()):
            watchdog.enter(Doing.ANSWER, number, now)
        elif self._current_request is not None:
            reading = not self._current_request.content.is_eof()
            watchdog.enter(Doing.BODY if reading else Doing.HANDLED, number, now)
        elif self._waiter is None or self._messages:
            # Number 0 is a new connection, which does not wait for a request yet; its time runs since accept.
            if number:
                watchdog.enter(Doing.HANDLED, number, now)
        elif number and not watchdog.in_headers(number):
            watchdog.enter(Doing.IDLE, number, now)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers a request on which the handler or the parser failed: malformed, or a fault of this program."""
        if isinstance(exc, HttpProcessingError):
            answer = Answer(Outcome.MALFORMED)
        else:
            structlog.get_logger("ingest").error("request_failed", status=status, message=message, exc_info=exc)
            answer = Answer(Outcome.FAILED)
        self._host.receiver.count(answer)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun; no other can follow on this connection")
        made = response(answer)
        made.force_close()
        return made

    def log_exception(self, *args: object, **kw: object) -> None:
        """Logs what aiohttp logs, but for broken bodies and clients that left, which are counted elsewhere."""
        error = kw.get("exc_info")
        if isinstance(error, (web.RequestPayloadError, ConnectionError)):
            return
        structlog.get_logger("ingest").error("connection_failed", message=str(args[0]) if args else "", exc_info=error)
