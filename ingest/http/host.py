"""What a connection needs of the server that hosts it, and the server of its connections and of the receiver."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from ingest.answers import Answer
from ingest.http.limits import Closed, ConnectionLimits
from ingest.http.request_parser import WholeRequest


class RequestReceiver(Protocol):
    """Answers requests: `accept` is the fast path, the call is the full path."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to one request."""

    def accept(self, request: WholeRequest, *, peer: str, on_answer: Callable[[Answer], None]) -> bool:
        """Whether the request is accepted; then `on_answer` is called once. Else nothing has happened."""

    def count(self, answer: Answer) -> None:
        """Counts the answer to a request that the receiver never saw whole."""


class HostedConnection(Protocol):
    """A connection as its host sees it."""

    closed_for: Closed

    def end_if_overdue(self, now: float) -> None:
        """Ends the connection, or what it waits for, if that takes too long; the host asks in every sweep."""


class ConnectionHost(Protocol):
    """The server that made the connection."""

    limits: ConnectionLimits
    receiver: RequestReceiver
    closing: bool

    def opened(self, connection: HostedConnection) -> None:
        """Watches the connection from now on."""

    def lost(self, connection: HostedConnection) -> None:
        """Counts the end of the connection by its reason."""

    def replaced(self, connection: HostedConnection) -> None:
        """Forgets a connection whose transport a full connection takes over; nothing has ended."""

    def full_connection(self) -> asyncio.Protocol:
        """A new connection that knows all of HTTP."""
