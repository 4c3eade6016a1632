"""A line per class of occurrence, not per request: a stranger who sends rubbish must not fill the log."""

from collections.abc import Callable

import structlog

from ingest.answers import Outcome

_SILENCE_S = 10.0
# The others are the sender's business; these are ours.
_ASKS_FOR_A_HUMAN = frozenset({Outcome.CONNECTIONS_FULL, Outcome.IN_FLIGHT_FULL, Outcome.UNAVAILABLE})


class ThrottledLog:
    """Logs the first of a class at once, then at most one line in 10 s that counts those in between.

    `now` is monotonic, in seconds. What never gets a line is in the metrics.
    """

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self._log = structlog.get_logger("ingest")
        self._counts: dict[tuple[Outcome, str], int] = {}
        self._quiet_until: dict[tuple[Outcome, str], float] = {}

    def note(self, outcome: Outcome, endpoint: str) -> None:
        """One more request of `endpoint` (a configured name, or "") had this outcome."""
        key = (outcome, endpoint)
        self._counts[key] = self._counts.get(key, 0) + 1
        now = self._now()
        if now < self._quiet_until.get(key, now):
            return
        self._quiet_until[key] = now + _SILENCE_S
        tell = self._log.warning if outcome in _ASKS_FOR_A_HUMAN else self._log.info
        tell("requests_refused", outcome=outcome.value, endpoint=endpoint, count=self._counts.pop(key))
