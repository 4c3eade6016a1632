"""A connection beyond the limit: answered 503 and closed, without a parser and without a task.

The server ends its own side and reads on for a moment: the system resets a socket that is closed with bytes unread, and
a reset takes the answer away from a client that has not read it yet.
"""

import asyncio
from typing import cast

from ingest.answers import UNAVAILABLE_RETRY_AFTER_S

_ANSWER = (
    "HTTP/1.1 503 Service Unavailable\r\nServer: dropstream\r\n"
    f"Retry-After: {UNAVAILABLE_RETRY_AFTER_S}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
).encode()


class Refusal(asyncio.Protocol):
    """Answers 503 at once and ends with the client, or in the second sweep; without an answer it ends at once.

    The refusal is in `open_refusals` as long as it is open.
    """

    __slots__ = ("_answered", "_line", "_open_refusals", "_swept")

    def __init__(self, open_refusals: set["Refusal"], *, answered: bool) -> None:
        self._open_refusals = open_refusals
        self._answered = answered
        self._swept = False
        self._line: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answers before any request, for every request would get this answer."""
        self._line = cast(asyncio.Transport, transport)
        if not self._answered:
            self._line.abort()
            return
        self._open_refusals.add(self)
        self._line.write(_ANSWER)
        self._line.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 asyncio's own signature
        """Removes the refusal; a closed connection counts no more."""
        self._open_refusals.discard(self)

    def end_in_second_sweep(self) -> None:
        """Ends the connection in the second sweep; until then the client may read its answer."""
        if self._swept:
            self.end()
        self._swept = True

    def end(self) -> None:
        """Ends the connection, whether the client has read its answer or not."""
        if self._line is not None:
            self._line.abort()
