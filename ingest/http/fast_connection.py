"""The fast path through the server, for what providers send: one whole POST in one read, on a connection kept open.

The fast path answers without a task, a request object or a response object, which cost more than all the rest. A
request that is not that simple - a body in parts, pipelining, another method, anything malformed - goes to a full
connection with its bytes untouched, and so does the rest of that connection.
"""

import asyncio
from typing import cast

from aiohttp.base_protocol import BaseProtocol
from aiohttp.helpers import rfc822_formatted_time

from ingest.answers import Answer, response_bytes
from ingest.http.host import ConnectionHost
from ingest.http.limits import Closed
from ingest.http.request_parser import RequestParser
from ingest.http.unread_bytes import UnreadKind

# How much is read while a request is handled or the client does not read its answers; the rest waits in the socket.
_DEFERRED_BYTES_MAX = 65_536
# How many bytes of answers wait in the process for a client that does not read; then nothing more is read of it.
_UNREAD_ANSWERS_BYTES = 8_192


class FastConnection(BaseProtocol):
    """Serves one connection as long as its requests are simple."""

    __slots__ = (
        "_busy",
        "_deferred",
        "_heard",
        "_host",
        "_last",
        "_parse",
        "_peer",
        "_receiver",
        "_since",
        "closed_for",
        "delivered",
    )

    def __init__(self, host: ConnectionHost, parser: RequestParser, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._host = host
        self._receiver = host.receiver
        self._parse = parser.read
        self._peer = ""
        self._busy = False
        self._deferred = b""
        self._since = loop.time()
        self._heard = False
        self._last = False
        self.closed_for = Closed.ENDED
        self.delivered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Registers the connection with the host, which watches it from now on."""
        super().connection_made(transport)
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=_UNREAD_ANSWERS_BYTES)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        self._host.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Reports the end of the connection; an accepted request is stored all the same."""
        super().connection_lost(exc)
        if self._deferred:
            self._host.unread_bytes.let_go(self)
        self._host.lost(self)

    def data_received(self, data: bytes) -> None:
        """Accepts a request, hands over to a full connection, or defers the bytes while the connection is busy."""
        self._heard = True
        if self._busy or self._paused:
            self._defer(data)
            return
        request = self._parse(data)
        self._busy = True
        if request is None or not self._receiver.accept(request, peer=self._peer, on_answer=self._write_answer):
            self._busy = False
            self._hand_over(data)

    def eof_received(self) -> bool:
        """Returns whether the connection stays open: a client that has sent all may still read its answers."""
        self._last = True
        return self._busy or bool(self._deferred)

    def resume_writing(self) -> None:
        """Reads the deferred bytes once the client reads its answers again."""
        super().resume_writing()
        if self._deferred and not self._busy:
            self._read_deferred()

    def end_if_overdue(self, now: float) -> None:
        """Ends a connection that is silent or idle, or whose client does not read its answers."""
        if self._busy or self.transport is None:
            return  # A busy connection is left alone; its request has a deadline of its own.
        limits = self._host.limits
        if self.transport.get_write_buffer_size():
            limit_s, reason = limits.answer_s, Closed.ANSWER_UNREAD
        elif not self._heard:
            limit_s, reason = limits.headers_s, Closed.SILENT
        else:
            limit_s, reason = limits.idle_s, Closed.IDLE
        if now - self._since > limit_s:
            self.closed_for = reason
            self.transport.abort()

    def idle_since(self) -> float | None:
        """Returns since when no request is handled, None while one is."""
        return None if self._busy else self._since

    def is_known(self) -> bool:
        """Returns True: what is deferred stands behind a request for an endpoint."""
        return True

    def give_way(self) -> None:
        """Drops the deferred bytes and closes the connection, after the answer where a request is handled."""
        self._deferred = b""
        self.closed_for = Closed.GAVE_WAY
        self._last = True
        if self._busy:
            self._pause_transport_reading()
        elif self.transport is not None:
            self.transport.abort()

    def close_when_idle(self) -> None:
        """Closes the connection, after the answer where a request is handled."""
        if not self._busy and self.transport is not None:
            self.transport.close()

    def _write_answer(self, answer: Answer) -> None:
        self._busy = False
        self.delivered = True
        self._since = self._loop.time()
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        transport.write(response_bytes(answer, date=rfc822_formatted_time()))
        if self._deferred:
            self._read_deferred()
        elif self._last or self._host.closing:
            transport.close()

    def _defer(self, data: bytes) -> None:
        if self._last:
            return
        self._deferred += data
        # Bytes left unread at the close would reset the connection, and its last answer would be lost.
        if len(self._deferred) > _DEFERRED_BYTES_MAX:
            self._pause_transport_reading()
        self._host.unread_bytes.hold(self, {UnreadKind.DEFERRED: len(self._deferred)})

    def _read_deferred(self) -> None:
        data, self._deferred = self._deferred, b""
        self._host.unread_bytes.let_go(self)
        self._resume_transport_reading()
        self.data_received(data)

    def _hand_over(self, data: bytes) -> None:
        """Replaces this connection by a full one, which begins with these bytes."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        full = self._host.full_connection(instead_of=self)
        self.transport = None
        transport.set_protocol(full)
        full.connection_made(transport)
        full.data_received(data)
        if self._last and not full.eof_received():
            transport.close()
