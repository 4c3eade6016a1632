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
        self._counts: dict[tuple[Outcome, str], int] = {}
        self._quiet_until: dict[tuple[Outcome, str], float] = {}

    def note(self, outcome: Outcome, endpoint: str) -> None:
        """Notes a request of `endpoint` (a configured name, or "") that had this outcome."""
        key = (outcome, endpoint)
        self._counts[key] = self._counts.get(key, 0) + 1
        now = self._now()
        if now < self._quiet_until.get(key, now):
            return
        self._quiet_until[key] = now + _SILENCE_S
        log = self._log.warning if outcome in _ASKS_FOR_A_HUMAN else self._log.info
        log("requests_refused", outcome=outcome.value, endpoint=endpoint, count=self._counts.pop(key))
