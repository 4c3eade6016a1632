"""What a connection and the server that hosts it need of each other, and both of the receiver."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from ingest.answer_counter import AnswerCounter
from ingest.answers import Answer
from ingest.http.limits import Closed, ConnectionLimits
from ingest.http.request_parser import WholeRequest
from ingest.http.unread_bytes import UnreadBytes


class RequestReceiver(Protocol):
    """Answers requests: `accept` on the fast path, a call on the full path; `counter` counts each answer."""

    counter: AnswerCounter

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Returns the response to one request."""

    def accept(self, request: WholeRequest, *, peer: str, on_answer: Callable[[Answer], None]) -> bool:
        """Returns whether the request is accepted; then `on_answer` is called once, else nothing has changed."""

    def knows(self, path: str) -> bool:
        """Returns whether the path, as written, is that of an endpoint, with its token."""


class HostedConnection(Protocol):
    """A connection, as its host sees it; `closed_for` says why it ended, `delivered` whether it brought a delivery."""

    closed_for: Closed
    delivered: bool

    def idle_since(self) -> float | None:
        """Returns since when the connection handles no request, in seconds of the loop; None while it handles one."""

    def end_if_overdue(self, now: float) -> None:
        """Ends the connection, or its wait for a body, if that takes too long; the host calls this in every sweep."""

    def is_known(self) -> bool:
        """Returns whether the connection's request is for an endpoint, as far as its head is there."""

    def give_way(self) -> None:
        """Frees what the connection holds at once, and ends it, after the answer to a request that is whole."""


class ConnectionHost(Protocol):
    """The server, as a connection sees it."""

    limits: ConnectionLimits
    unread_bytes: UnreadBytes
    receiver: RequestReceiver
    closing: bool

    def opened(self, connection: HostedConnection) -> None:
        """Watches the connection from now on."""

    def lost(self, connection: HostedConnection) -> None:
        """Counts the end of the connection by its reason."""

    def full_connection(self, instead_of: HostedConnection) -> asyncio.Protocol:
        """Makes a connection that knows all of HTTP, and forgets the one whose transport it takes over."""
