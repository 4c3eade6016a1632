"""What the log has of requests that are no HTTP, on the ports that `ops` serves: counted lines, never a traceback.

aiohttp logs an error with its traceback for each such request, and any stranger who reaches the port can send them.
"""

import time
from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

_SILENCE_S = 10.0
# What clients do: they send what is no HTTP, and they leave.
_BY_CLIENTS = (HttpProcessingError, ConnectionError, web.RequestPayloadError)


class ConnectionLog:
    """Takes the place of aiohttp's logger for one port, called `port` in the log."""

    def __init__(self, port: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self._port, self._now = port, now
        self._count = 0
        self._quiet_until: float | None = None
        self._log = structlog.get_logger()

    def exception(self, message: str, *arguments: object, exc_info: BaseException | None = None) -> None:
        """Counts what a client did; the first is logged at once, then one line in 10 s. Any other error is a fault."""
        if not isinstance(exc_info, _BY_CLIENTS):
            self._log.error("request_failed", port=self._port, message=message % arguments, exc_info=exc_info)
            return
        self._count += 1
        now = self._now()
        if self._quiet_until is None or now >= self._quiet_until:
            self._log.info("requests_malformed", port=self._port, count=self._count)
            self._count, self._quiet_until = 0, now + _SILENCE_S

    def debug(self, *_message: object, **_facts: Any) -> None:
        """Says nothing: aiohttp tells here of each client that left early."""
