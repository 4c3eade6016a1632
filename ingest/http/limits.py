"""How long a connection may take for each thing it does; aiohttp's server has no such limits.

One sweep over the open connections asks each, so a request costs no timer; what is noticed is up to one period late.
Nothing here closes a connection or knows a clock.

Each connection is an open file, and a process may have only so many: a server that runs out accepts nobody. So the
process raises its own limit as far as the system allows; what it still lacks lowers the number of connections.
"""

import dataclasses
import resource
from dataclasses import dataclass
from enum import StrEnum

import structlog

from schemas.settings import IngestSettings

# Kafka, the admin port, the spool, logs, refusals.
_OTHER_FILES = 256
_SWEEP_S_MIN = 0.05
_SWEEP_S_MAX = 1.0


class Closed(StrEnum):
    """Why a connection ended."""

    ENDED = "ended"  # Its client left, or an answer said that it is the last.
    SILENT = "silent"  # Accepted, and never a byte.
    HEADERS_TOO_SLOW = "headers_too_slow"
    ANSWER_UNREAD = "answer_unread"
    IDLE = "idle"  # Nothing since its last request.
    REFUSED = "refused"  # One too many: answered 503.


class Doing(StrEnum):
    """What a connection is at, as far as time matters."""

    ARRIVING = "arriving"  # No request yet.
    HEADERS = "headers"  # Its next request has begun.
    IDLE = "idle"
    BODY = "body"
    ANSWER = "answer"  # More of it waits than the client's side takes; or it is closing, and the rest is not taken.
    HANDLED = "handled"  # Ours to end: whatever it waits for has its own deadline.


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections, and how long each may take; all times in seconds.

    A body must bring `body_bytes_per_second_min` on average in each window of `body_window_s`.
    """

    connections_max: int
    headers_s: float
    answer_s: float
    idle_s: float
    body_window_s: float
    body_bytes_per_second_min: int

    @property
    def sweep_s(self) -> float:
        """How often to look: late by a quarter of the shortest limit at most, and once a second is often enough."""
        shortest = min(self.headers_s, self.answer_s, self.idle_s, self.body_window_s)
        return min(max(shortest / 4, _SWEEP_S_MIN), _SWEEP_S_MAX)


def connection_limits(settings: IngestSettings) -> ConnectionLimits:
    """The limits that the settings give; the window of a body is a quarter of its whole time, and a second at least."""
    return ConnectionLimits(
        connections_max=settings.connections_max,
        headers_s=settings.header_timeout_ms / 1000,
        answer_s=settings.answer_timeout_ms / 1000,
        idle_s=settings.keep_alive_ms / 1000,
        body_window_s=max(1.0, settings.body_timeout_ms / 4000),
        body_bytes_per_second_min=settings.body_bytes_per_second_min,
    )


class Watchdog:
    """The time one connection takes; `overdue` in every sweep. Times are monotonic, in seconds."""

    __slots__ = ("_body_bytes", "_doing", "_limits", "_number", "_since")

    def __init__(self, limits: ConnectionLimits, now: float) -> None:
        self._limits = limits
        self._doing = Doing.ARRIVING
        self._number = 0
        self._since = now
        self._body_bytes = 0

    def enter(self, doing: Doing, number: int, now: float) -> None:
        """It has been at this since `now`, unless it was already; `number` is that of its last request."""
        if self._doing is not doing or self._number != number:
            self._doing, self._number, self._since = doing, number, now
            self._body_bytes = 0

    def in_headers(self, number: int) -> bool:
        """Whether the request after `number` has begun."""
        return self._doing is Doing.HEADERS and self._number == number

    def overdue(self, now: float, *, heard: bool) -> Closed | None:
        """Why the connection must end now, if it must; `heard` says whether it ever sent a byte."""
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
        """Whether the window that ends now brought too little; each window begins where the last one ended."""
        took_s = now - self._since
        if took_s < self._limits.body_window_s:
            return False
        slow = received_bytes - self._body_bytes < self._limits.body_bytes_per_second_min * took_s
        self._since, self._body_bytes = now, received_bytes
        return slow


def allowed_limits(limits: ConnectionLimits) -> ConnectionLimits:
    """`limits` with as many connections as this process may have open files for; a warning where these are fewer."""
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
