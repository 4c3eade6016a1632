"""Says in the log when the ingress begins to write deliveries to its spool, and when the spool is empty again."""

from collections.abc import Callable
from pathlib import Path

import structlog

_log = structlog.get_logger()


class SpoolingEpisode:
    """From the first delivery in the spool until none waits: one line at its beginning and one at its end.

    `look` is called every second or so, and so a Kafka that comes and goes writes at most two lines a second.
    """

    def __init__(self, folder: Path, *, now: Callable[[], float]) -> None:
        self._folder, self._now = folder, now
        self._began: float | None = None
        self._spooled = 0

    def note_spooled(self, *, kafka_connected: bool) -> None:
        """A delivery was written to the spool."""
        self._spooled += 1
        if self._began is not None:
            return
        self._began = self._now()
        why = "Kafka is late, or older deliveries wait" if kafka_connected else "Kafka cannot be reached"
        _log.warning("spooling_began", path=str(self._folder), why=why)

    def look(self, waiting: int) -> None:
        """`waiting` deliveries are in the spool now."""
        if self._began is None or waiting:
            return
        _log.info("spooling_ended", deliveries=self._spooled, lasted_s=round(self._now() - self._began, 1))
        self._began, self._spooled = None, 0
