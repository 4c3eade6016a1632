"""One connection served by aiohttp: everything in HTTP that the fast path leaves out, within limits of time.

aiohttp logs a traceback for each malformed request and shows its bytes in the answer; here it is counted and answered
with nothing. It waits for ever for who is slow; here `ingest.http.limits` says when that ends.
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

# aiohttp's own timer for idle connections counts nothing; the watchdog is earlier.
_NEVER_S = 86_400.0
# For a client that still sends when it was refused: reading on lets it see the answer instead of a reset connection.
_LINGER_S = 2.0


class FullConnection(web.RequestHandler):
    """One connection; it counts every request that never reached the handler whole, and reports its end to the host."""

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
        self._line: asyncio.Transport | None = None  # aiohttp forgets its own when it closes, not when it is closed.
        self.closed_for = Closed.ENDED

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From here on it is watched."""
        super().connection_made(transport)
        self._line = cast(asyncio.Transport, transport)
        self._host.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Until here; who was refused and has left is not waited for, while one whose request is handled is."""
        lingering = None if self._request_in_progress or self._waiter is not None else self._task_handler
        super().connection_lost(exc)
        if lingering is not None:
            lingering.cancel()
        self._host.lost(self)

    def data_received(self, data: bytes) -> None:
        """Tells the request being read that its body broke; aiohttp would let it wait for bytes that never come.

        Bytes that come while a request is awaited, and do not make it whole, begin the time of its headers.
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
            # Requests behind the one that is handled are held by nobody's budget; aiohttp would take 32 of them, bodies
            # and all. It reads on with the next one.
            if not self._buffer_paused:
                self._pause_reading_for_buffer()
            return
        if not request.content.is_eof() and request.content.exception() is None:
            request.content.set_exception(web.RequestPayloadError("malformed body"))

    def end_if_overdue(self, now: float) -> None:
        """Ends what takes too long: the connection; or the wait for a slow body, which is answered 408."""
        self._observe(now)
        request = self._current_request
        if request is not None and not request.content.is_eof():
            if self._watchdog.body_is_slow(request.content.total_bytes, now) and DEADLINE in request:
                # Not an exception on the stream: what still comes must be read away, or the client never sees its 408.
                request[DEADLINE].reschedule(now)
            return
        closed_for = self._watchdog.overdue(now, heard=self._heard)
        if closed_for is not None and self._line is not None:
            self.closed_for = closed_for
            # Not close(), which waits until the client has read what is left for it.
            self._line.abort()

    def _observe(self, now: float) -> None:
        number, watchdog = self._request_count, self._watchdog
        if self._paused or (self._line is not None and self._line.is_closing()):
            watchdog.enter(Doing.ANSWER, number, now)
        elif self._current_request is not None:
            reading = not self._current_request.content.is_eof()
            watchdog.enter(Doing.BODY if reading else Doing.HANDLED, number, now)
        elif self._waiter is None or self._messages:
            # A connection just made is not waiting yet either, and its time runs already.
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
        """The answer to what the handler did not answer: the sender's fault, or else ours."""
        if isinstance(exc, HttpProcessingError):
            answer = Answer(Outcome.MALFORMED)
        else:
            structlog.get_logger("ingest").error("request_failed", status=status, message=message, exc_info=exc)
            answer = Answer(Outcome.FAILED)
        self._host.receiver.count(answer)
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
