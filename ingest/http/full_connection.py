"""The full path through the server: aiohttp's connection, for everything in HTTP that the fast path leaves out.

aiohttp logs a traceback for each malformed request and shows its bytes in the answer; a full connection counts the
request and answers with an empty body. aiohttp waits for slow clients for ever; here `ingest.http.limits` ends that.
"""

import asyncio
from typing import Any, cast

import structlog
from aiohttp import StreamReader, web
from aiohttp.http import HttpProcessingError, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo, _RequestHandler

from ingest.answers import DELIVERY_HEADER, Answer, Outcome, response
from ingest.http.body import DEADLINE, ON_READ
from ingest.http.host import ConnectionHost
from ingest.http.limits import Closed, Doing, Watchdog
from ingest.http.read_ledger import ReadLedger, empty

# aiohttp's own timer for idle connections is not counted in the metrics; the watchdog ends them earlier.
_NEVER_S = 86_400.0
# How long a refused client that still sends is read, so that it sees the answer instead of a reset connection.
_LINGER_S = 2.0
# Stands for a request that the parser refused, without a byte of it.
_BROKEN = _ErrInfo(status=400, exc=HttpProcessingError(code=400), message="")


class FullConnection(web.RequestHandler):
    """Serves one connection; counts every request that never reached the receiver, and reports its end to the host."""

    __slots__ = ("_ended", "_heard", "_host", "_ledger", "_line", "_taken", "_watchdog", "closed_for", "delivered")

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
        self._ledger = ReadLedger()
        # The request that aiohttp has taken from its queue and handles in the next turn of the event loop.
        self._taken: web.BaseRequest | None = None
        make = self._request_factory

        def take(*given: Any) -> web.BaseRequest:
            self._taken = make(*given) if make is not None else None
            return cast(web.BaseRequest, self._taken)

        self._request_factory = take
        self._line: asyncio.Transport | None = None  # aiohttp forgets its transport too early, when it begins to close.
        self.closed_for = Closed.ENDED
        self.delivered = False
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Registers the connection with the host, which watches it from now on."""
        super().connection_made(transport)
        self._line = cast(asyncio.Transport, transport)
        self._host.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Reports the end; cancels a task that only reads on after a refusal, but none that handles a request."""
        lingering = None if self._is_handling or self._waiter is not None else self._task_handler
        super().connection_lost(exc)
        if lingering is not None:
            lingering.cancel()
        self._host.unread_bytes.let_go(self)
        self._host.lost(self)

    def data_received(self, data: bytes) -> None:
        """Passes the bytes to aiohttp, and fails a body that broke; aiohttp would wait for bytes that never come.

        Bytes that do not complete the head of the next request start the time limit of its headers.
        """
        self._heard = True
        if self._parser is None:
            return  # The connection has failed or gives way; nothing that it still sends matters.
        waiting, number = self._waiter is not None, self._request_count
        super().data_received(data)
        self._note_read(len(data), number)
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

    def idle_since(self) -> float | None:
        """Returns since when no request is handled, None while one is; what lingers after a refusal is idle."""
        if self._is_handling or self._messages:
            return None
        self._observe(self._loop.time())
        return self._watchdog.since

    def is_known(self) -> bool:
        """Returns whether the last request whose head is whole is for an endpoint."""
        return self._ledger.path != "" and self._host.receiver.knows(self._ledger.path)

    def give_way(self) -> None:
        """Frees what the connection holds at once, and ends it, after the answer to a request that is whole."""
        self.closed_for = Closed.GAVE_WAY
        request = self._current_request or self._taken
        self.close()
        self._messages.clear()
        self._message_tail, self._parser = b"", None
        if self._is_handling and (request is None or request.content.is_eof()):
            self._pause_transport_reading()
            return
        if self._ledger.body is not None:
            empty(self._ledger.body)
        if request is not None:
            request.content.set_exception(ConnectionResetError("the connection gave way"))
        elif self._task_handler is not None:
            self._task_handler.cancel()
        if self._line is not None:
            self._line.abort()

    async def _handle_request(
        self, request: web.BaseRequest, start_time: float | None, request_handler: _RequestHandler
    ) -> tuple[web.StreamResponse, bool]:
        """Handles a request as aiohttp does, and notes what is still unread while it is handled and afterwards."""
        self._taken = None
        request[ON_READ] = self._note_unread
        try:
            made, reset = await super()._handle_request(request, start_time, request_handler)
            self.delivered = self.delivered or DELIVERY_HEADER in made.headers
            return made, reset
        finally:
            # aiohttp parses here what stands behind an upgrade.
            if not self._forget_broken() and not self._messages:
                self._ledger.queued_bytes = 0
            self._note_unread()

    @property
    def _is_handling(self) -> bool:
        """Whether a request is handled, or will be in the next turn of the event loop."""
        return self._request_in_progress or self._taken is not None

    def _note_read(self, count: int, number: int) -> None:
        """Enters a read of `count` bytes into the ledger; `number` counts the requests before it."""
        new = [*self._messages][len(self._messages) - (self._request_count - number) :]
        if not self._forget_broken():
            messages = cast("list[tuple[RawRequestMessage, StreamReader]]", new)
            self._ledger.read(count, messages, parser_holds_bytes=self._reading_paused or self._buffer_paused)
        self._note_unread()

    def _forget_broken(self) -> bool:
        """Returns whether the parser has refused a request; then nothing that it read is kept, nor anything more read.

        The parser's error quotes the read, and holds it once more through its traceback: the frame there holds the
        error, a circle that only the garbage collection ends, after hundreds of such reads.
        """
        last = self._messages[-1][0] if self._messages else None
        if not isinstance(last, _ErrInfo):
            return False
        last.exc.__traceback__ = None
        self._messages[-1] = (_BROKEN, EMPTY_PAYLOAD)
        self._message_tail, self._parser = b"", None
        self._ledger.broke()
        return True

    def _note_unread(self) -> None:
        """Brings the account of unread bytes up to date."""
        if self._parser is None and not self._messages:
            self._host.unread_bytes.let_go(self)
            return
        request = self._current_request
        bodies = [body for _, body in self._messages]
        if request is not None:
            bodies.append(request.content)
        self._host.unread_bytes.hold(self, self._ledger.held(bodies))

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio asks for a bool; aiohttp never keeps it open
        """Returns whether the connection stays open: requests that came whole are answered first, nothing else is."""
        request = self._current_request or self._taken
        self._ended = self._is_handling or bool(self._messages)
        if request is not None and not request.content.is_eof():
            self._ended = False
        return self._ended

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Answers as aiohttp does; the last answer to a client that sends no more closes the connection."""
        if self._ended and not self._messages and not self._buffer_paused:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def end_if_overdue(self, now: float) -> None:
        """Ends the connection if it takes too long, or the wait for a slow body, which is answered 408."""
        self._observe(now)
        request = self._current_request
        if request is not None and not request.content.is_eof():
            if self._watchdog.body_is_slow(request.content.total_bytes, now) and DEADLINE in request:
                # An exception on the stream would stop the reading, and the client would never see its 408.
                request[DEADLINE].reschedule(now)
            return
        if self._ended and self._waiter is not None and not self._messages and self._line is not None:
            self._line.close()  # The client ended its side while its last answer was on the way.
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
            # The next head may have come with the last request, in one read.
            watchdog.enter(Doing.HEADERS if self._ledger.head_begun else Doing.IDLE, number, now)

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
        self._host.receiver.counter.count(answer)
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
