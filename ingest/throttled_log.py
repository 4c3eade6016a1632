"""Logs a line per kind of refusal, not per request, so that a stranger who sends rubbish cannot fill the log."""

from collections.abc import Callable

import structlog

from ingest.answers import Outcome

_SILENCE_S = 10.0
# These refusals are the trouble of this side, all others that of the sender.
_ASKS_FOR_A_HUMAN = frozenset({Outcome.CONNECTIONS_FULL, Outcome.IN_FLIGHT_FULL, Outcome.UNAVAILABLE})


class ThrottledLog:
    """Logs the first refusal of a kind at once, then at most one line in 10 s, with the number of those in between.

    `now` is monotonic, in seconds. The metrics count those that never get a line.
    """

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self._log = structlog.get_logger("ingest")
        self._counts: dict[tuple[str, Outcome, str], int] = {}
        self._quiet_until: dict[tuple[str, Outcome, str], float] = {}

    def note(self, outcome: Outcome, endpoint: str) -> None:
        """Notes a request of `endpoint` (a configured name, or "") that had this outcome."""
        if count := self._due(("requests_refused", outcome, endpoint)):
            log = self._log.warning if outcome in _ASKS_FOR_A_HUMAN else self._log.info
            log("requests_refused", outcome=outcome.value, endpoint=endpoint, count=count)

    def note_unreadable_address(self, endpoint: str) -> None:
        """Notes a request that `allow_from` refused because a trusted proxy named no address that can be read.

        It may have been the provider's, so a human should look at what the proxy writes.
        """
        if count := self._due(("forwarded_for_unreadable", Outcome.ADDRESS_REFUSED, endpoint)):
            self._log.warning("forwarded_for_unreadable", endpoint=endpoint, count=count)

    def _due(self, key: tuple[str, Outcome, str]) -> int:
        """How many of this kind a line tells of now; 0 where it is too early for another line."""
        self._counts[key] = self._counts.get(key, 0) + 1
        now = self._now()
        if now < self._quiet_until.get(key, now):
            return 0
        self._quiet_until[key] = now + _SILENCE_S
        return self._counts.pop(key)
