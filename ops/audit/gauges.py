"""Shows how the last audit ended and how old the last clean one is, as `dropstream process` exports it.

The state is read from Kafka every minute, beside the consumer groups. Where it cannot be read for some minutes the
verdict is `unknown`: what was good then may not be good now.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ops.audit.state import AuditState, read_state
from ops.audit.verdict import FindingKind
from ops.event_loop import running_beside
from schemas.settings import Settings

READ_EVERY_S = 60.0
_READ_WITHIN_S = 30.0
# So many attempts to read may fail, one after the other, before the verdict is unknown.
KNOWN_FOR_S = 5 * READ_EVERY_S
_PREFIX = "dropstream_audit_"
_VERDICTS = ("clean", "exceptions", "unknown", "none")

_log = structlog.get_logger()


class AuditGauges(Collector):
    """Metrics of the state that was read last, computed at each scrape; `clock` is in seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._state = AuditState()
        self._read_at: float | None = None

    @property
    def state(self) -> AuditState:
        """The state that was read last."""
        return self._state

    def show(self, state: AuditState) -> None:
        """Shows `state` from now on, as read now."""
        self._state, self._read_at = state, self._clock()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The verdict always; times and counts where they are known."""
        finished = GaugeMetricFamily(
            f"{_PREFIX}finished_timestamp_seconds", "When the last audit of everything ended; absent without one."
        )
        clean = GaugeMetricFamily(
            f"{_PREFIX}clean_timestamp_seconds",
            "Up to when everything was audited and clean: when the last such audit began; absent without one.",
        )
        verdict = GaugeMetricFamily(
            f"{_PREFIX}verdict",
            "1 for what the last audit of everything said; `none` without one, `unknown` also where it cannot be read.",
            labels=["verdict"],
        )
        exceptions = GaugeMetricFamily(
            f"{_PREFIX}exceptions", "Exceptions of the last audit of everything, by kind.", labels=["kind"]
        )
        result, checkpoint = self._state.result, self._state.checkpoint
        said = self._verdict()
        for word in _VERDICTS:
            verdict.add_metric([word], float(word == said))
        if result is not None:
            finished.add_metric([], _seconds(result.finished_at))
            for kind in FindingKind:
                exceptions.add_metric([kind], result.exceptions.get(kind, 0))
        if checkpoint is not None:
            clean.add_metric([], _seconds(checkpoint.looked_at))
        return finished, clean, verdict, exceptions

    def _verdict(self) -> str:
        is_known = self._read_at is not None and self._clock() - self._read_at <= KNOWN_FOR_S
        if not (is_known and self._state.is_readable):
            return "unknown"
        return "none" if self._state.result is None else self._state.result.status


@asynccontextmanager
async def audits_shown(
    settings: Settings, registry: CollectorRegistry, *, every_s: float = READ_EVERY_S
) -> AsyncIterator[None]:
    """Inside, `registry` shows what the topic `audit-state` says."""
    gauges = AuditGauges()
    registry.register(gauges)
    async with running_beside(_follow(settings, gauges, every_s)):
        yield


async def _follow(settings: Settings, gauges: AuditGauges, every_s: float) -> None:
    is_reported = False
    while True:
        try:
            async with asyncio.timeout(_READ_WITHIN_S):
                gauges.show(await read_state(settings, gauges.state))
        except Exception as error:  # noqa: BLE001 whatever it is, the groups go on, and the verdict becomes unknown
            if not is_reported:
                _log.warning("audit_state_not_read", error=str(error) or repr(error))
            is_reported = True
        else:
            is_reported = False
        await asyncio.sleep(every_s)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
