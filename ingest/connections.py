"""The HTTP server under the receiver: aiohttp's low-level one, with what strangers get wrong kept quiet.

aiohttp logs a traceback for each malformed request and shows its bytes in the answer; here it is counted and answered
with nothing. No Application and no router: they cost more than all the rest of a request.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError, RawRequestMessage

from ingest.answers import Answer, Outcome, response

# Longer than the 60 s that load balancers keep an idle connection, so that they close first.
KEEP_ALIVE_S = 75.0
# For a client that still sends when it was refused: reading on lets it see the answer instead of a reset connection.
_LINGER_S = 2.0

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    """One connection; `count` is told of every request that never reached the handler whole."""

    __slots__ = ("_count",)

    def __init__(self, server: web.Server, *, loop: asyncio.AbstractEventLoop, count: Callable[[Answer], None]) -> None:
        super().__init__(
            server,
            loop=loop,
            auto_decompress=False,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=_LINGER_S,
            access_log=None,  # type: ignore[arg-type] # None turns it off
        )
        self._count = count

    def data_received(self, data: bytes) -> None:
        """Tells the request being read that its body broke; aiohttp would let it wait for bytes that never come."""
        super().data_received(data)
        request = self._current_request
        if request is None or not self._messages or isinstance(self._messages[-1][0], RawRequestMessage):
            return
        if not request.content.is_eof() and request.content.exception() is None:
            request.content.set_exception(web.RequestPayloadError("malformed body"))

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
        self._count(answer)
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
    """Makes a `Connection` for each that is accepted."""

    def __init__(self, handler: Handler, *, count: Callable[[Answer], None]) -> None:
        super().__init__(handler)
        self._count = count

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, count=self._count)
