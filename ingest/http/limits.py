"""How long a connection may take for each thing it does; aiohttp's server has no such limits.

The server sweeps over its open connections, so a request costs no timer, and a limit is noticed up to one period late.
Nothing here closes a connection or knows a clock.

Each connection is an open file, and a server that has no file left accepts no connection. So the process raises its own
limit of open files as far as the system allows, and lowers the number of connections to what the limit permits.
"""

import dataclasses
import resource
from dataclasses import dataclass
from enum import StrEnum

import structlog

from schemas.sections.programs import IngestSettings

# The open files of Kafka, the admin port, the spool, the logs and refused connections.
_OTHER_FILES = 256
_SWEEP_S_MIN = 0.05
_SWEEP_S_MAX = 1.0


class Closed(StrEnum):
    """The reason why a connection ended."""

    ENDED = "ended"  # Its client left, or an answer said that it is the last.
    SILENT = "silent"  # Its client never sent a byte.
    HEADERS_TOO_SLOW = "headers_too_slow"
    ANSWER_UNREAD = "answer_unread"
    IDLE = "idle"  # Its client sent nothing after its last request.
    GAVE_WAY = "gave_way"  # Its place or its bytes were needed, and it had held them for the longest time.
    REFUSED = "refused"  # There were too many connections; it was answered 503.


class Doing(StrEnum):
    """What a connection does, as far as its time is limited."""

    ARRIVING = "arriving"  # No request yet.
    HEADERS = "headers"  # Its next request has begun.
    IDLE = "idle"
    BODY = "body"
    ANSWER = "answer"  # The client does not read its answers, or not to the end of a connection that closes.
    HANDLED = "handled"  # The watchdog skips it; the request has a deadline of its own.


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Says how many connections there may be, and how long each may take; all times in seconds.

    A body must bring `body_bytes_per_second_min` on average in each window of `body_window_s`.
    """

    connections_max: int
    unread_bytes_max: int
    headers_s: float
    answer_s: float
    idle_s: float
    body_window_s: float
    body_bytes_per_second_min: int

    @property
    def sweep_s(self) -> float:
        """The time between two sweeps: a quarter of the shortest limit, and a second at most."""
        shortest = min(self.headers_s, self.answer_s, self.idle_s, self.body_window_s)
        return min(max(shortest / 4, _SWEEP_S_MIN), _SWEEP_S_MAX)


def connection_limits(settings: IngestSettings) -> ConnectionLimits:
    """Reads the limits from the settings; the window of a body is a quarter of its time, and a second at least."""
    return ConnectionLimits(
        connections_max=settings.connections_max,
        unread_bytes_max=settings.unread_bytes_max,
        headers_s=settings.header_timeout_ms / 1000,
        answer_s=settings.answer_timeout_ms / 1000,
        idle_s=settings.keep_alive_ms / 1000,
        body_window_s=max(1.0, settings.body_timeout_ms / 4000),
        body_bytes_per_second_min=settings.body_bytes_per_second_min,
    )


class Watchdog:
    """Measures how long one connection has been at what it does. Times are monotonic, in seconds."""

    __slots__ = ("_body_bytes", "_doing", "_limits", "_number", "_since")

    def __init__(self, limits: ConnectionLimits, now: float) -> None:
        self._limits = limits
        self._doing = Doing.ARRIVING
        self._number = 0
        self._since = now
        self._body_bytes = 0

    def enter(self, doing: Doing, number: int, now: float) -> None:
        """Notes what the connection does from `now` on, unless it did so before; `number` is its last request."""
        if self._doing is not doing or self._number != number:
            self._doing, self._number, self._since = doing, number, now
            self._body_bytes = 0

    @property
    def since(self) -> float:
        """The time since when the connection does what it does."""
        return self._since

    def in_headers(self, number: int) -> bool:
        """Returns whether the request after `number` has begun."""
        return self._doing is Doing.HEADERS and self._number == number

    def overdue(self, now: float, *, heard: bool) -> Closed | None:
        """Returns why the connection must end now, or None; `heard` says whether the client ever sent a byte."""
        took_s = now - self._since
        match self._doing:
            case Doing.ARRIVING if took_s > self._limits.headers_s:
                return Closed.HEADERS_TOO_SLOW if heard else Closed.SILENT
            case Doing.HEADERS if took_s > self._limits.headers_s:
                return Closed.HEADERS_TOO_SLOW
            case Doing.IDLE if took_s > self._limits.idle_s:
                return Closed.IDLE
            case Doing.ANSWER if took_s > self._limits.answer_s:
                return Closed.ANSWER_UNREAD
            case _:
                return None

    def body_is_slow(self, received_bytes: int, now: float) -> bool:
        """Returns whether the window that ends now brought too little; the next window begins where this one ends."""
        took_s = now - self._since
        if took_s < self._limits.body_window_s:
            return False
        slow = received_bytes - self._body_bytes < self._limits.body_bytes_per_second_min * took_s
        self._since, self._body_bytes = now, received_bytes
        return slow


def allowed_limits(limits: ConnectionLimits) -> ConnectionLimits:
    """Returns `limits` with as many connections as the process may have open files for; warns if these are fewer."""
    wanted = limits.connections_max + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits
    connections_max = max(soft - _OTHER_FILES, soft // 2)
    structlog.get_logger("ingest").warning(
        "open_files_limited", open_files_max=soft, connections_max=connections_max, wanted=limits.connections_max
    )
    return dataclasses.replace(limits, connections_max=connections_max)
