"""A connection that is one too many: told so, and closed.

It costs no parser and no task. It says that it is done and reads on for a moment, for a socket closed with bytes unread
is reset, and a reset takes the answer away from a client that has not read it yet.
"""

import asyncio
from typing import cast

from ingest.answers import UNAVAILABLE_RETRY_AFTER_S

_ANSWER = (
    "HTTP/1.1 503 Service Unavailable\r\nServer: dropstream\r\n"
    f"Retry-After: {UNAVAILABLE_RETRY_AFTER_S}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
).encode()


class Refusal(asyncio.Protocol):
    """Says 503 at once and ends when the client does, or at the second look; unanswered it ends at once.

    It is in `held` as long as it is open.
    """

    __slots__ = ("_answered", "_held", "_line", "_looked_at")

    def __init__(self, held: set["Refusal"], *, answered: bool) -> None:
        self._held = held
        self._answered = answered
        self._looked_at = False
        self._line: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The answer needs no request: every request would get it."""
        self._line = cast(asyncio.Transport, transport)
        if not self._answered:
            self._line.abort()
            return
        self._held.add(self)
        self._line.write(_ANSWER)
        self._line.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 asyncio's own signature
        """Its place is free."""
        self._held.discard(self)

    def end_in_second_sweep(self) -> None:
        """One sweep to be read in, no more."""
        if self._looked_at:
            self.end()
        self._looked_at = True

    def end(self) -> None:
        """Closed, whatever the client has read."""
        if self._line is not None:
            self._line.abort()
