"""`dropstream reconcile --watch`: fetches by itself what is lost at the endpoints that say `automatic`, one at a time.

A run that fails is resumed later, after a pause that grows. What was lost and is reconciled stands in `gaps`; so a new
process goes on where another ended.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ops.kafka.reader import full_name, open_reader
from ops.reconcile.gauges import ReconcileMetrics
from ops.reconcile.plan import LostGaps, begin_of, new_run
from ops.reconcile.store import new_run_id, read_reconcile_state
from schemas.errors import DropstreamError
from schemas.health import Health
from schemas.late_log import LateLog
from schemas.notes.gaps import Gap, read_gap
from schemas.notes.reconciliations import ReconcileRun
from schemas.settings import Settings

_AGAIN_S = 5.0
_PAUSE_S = 30.0
_PAUSE_MAX_S = 3_600.0

_log = LateLog()


@dataclass(slots=True)
class _Pause:
    """How long an endpoint is left alone after failures in a row; `until` is of the monotonic clock."""

    failures: int = 0
    until: float = 0.0

    def fail(self) -> float:
        """Notes a failure; the seconds until the next try."""
        pause_s: float = min(_PAUSE_MAX_S, _PAUSE_S * 2 ** min(self.failures, 10))
        self.failures += 1
        self.until = time.monotonic() + pause_s
        return pause_s


@dataclass(slots=True)
class ReconcileWatch:
    """Watches `gaps`; `settings` gives those of the moment, `perform` carries a run out."""

    settings: Callable[[], Settings]
    stopping: asyncio.Event
    perform: Callable[[ReconcileRun], Awaitable[ReconcileRun]]
    metrics: ReconcileMetrics
    _lost: LostGaps = field(default_factory=LostGaps)
    _pauses: dict[str, _Pause] = field(default_factory=dict)
    # Every record of `gaps` has been read; False again when they cannot be.
    _is_read: bool = False
    _reconciling: str = ""
    # The endpoints that have a count of lost ids.
    _shown: set[str] = field(default_factory=set)

    def health(self) -> Health:
        """Ready while it knows what is lost; live always, for a run may take hours."""
        return Health(
            live=True,
            ready=self._is_read and not self.stopping.is_set(),
            facts={"gaps_read": self._is_read, "reconciling": self._reconciling},
        )

    async def run(self) -> None:
        """Watches until it is told to stop, however often Kafka goes."""
        while not self.stopping.is_set():
            try:
                await self._follow()
            except DropstreamError as error:
                self._is_read = False
                _log.warning("gaps_unread", why=str(error).splitlines()[0])
                await self._sleep()

    async def _follow(self) -> None:
        self._lost = LostGaps()
        settings = self.settings()
        async with open_reader(settings, [full_name("gaps", settings)], "beginning") as reader:
            while not self.stopping.is_set():
                for record in await reader.fetch():
                    if (gap := read_gap(record.value)) is not None:
                        self._lost.add(gap)
                if not await reader.is_at_end():
                    continue
                self._is_read = True
                self._show_lost()
                for endpoint, gaps in self._due().items():
                    await self._reconcile(endpoint, gaps)

    def _due(self) -> Mapping[str, list[Gap]]:
        """What is lost at the endpoints that reconcile by themselves, and that are not left alone now."""
        found: dict[str, list[Gap]] = {}
        for gap in self._lost.all():
            configured = self.settings().endpoints.get(gap.endpoint)
            pause = self._pauses.setdefault(gap.endpoint, _Pause())
            if configured is not None and configured.reconcile == "automatic" and time.monotonic() >= pause.until:
                found.setdefault(gap.endpoint, []).append(gap)
        return found

    def _show_lost(self) -> None:
        lost = dict.fromkeys(self._shown, 0)
        for gap in self._lost.all():
            lost[gap.endpoint] = lost.get(gap.endpoint, 0) + gap.last - gap.first + 1
        self._shown = set(lost)
        self.metrics.show_lost(lost)

    async def _reconcile(self, endpoint: str, gaps: list[Gap]) -> None:
        self.metrics.begin(endpoint)
        self._reconciling = endpoint
        try:
            run = await self._run_for(endpoint, gaps)
            _log.info("reconciling", endpoint=endpoint, run=run.id, gaps=len(run.gaps))
            finished = await self.perform(run)
        except DropstreamError as error:
            again_s = self._pauses[endpoint].fail()
            self.metrics.failed(endpoint)
            _log.warning("not_reconciled", endpoint=endpoint, why=str(error).splitlines()[0], again_s=round(again_s))
            return
        finally:
            self._reconciling = ""
        counts = finished.counts
        self.metrics.finished(endpoint, counts)
        self._pauses[endpoint] = _Pause()
        # Its record in `gaps` comes to this reader too; until then nothing is due.
        self._lost.remove(finished.gaps)
        _log.info("reconciled", endpoint=endpoint, run=run.id, orders=counts.orders, skus=counts.skus)

    async def _run_for(self, endpoint: str, gaps: list[Gap]) -> ReconcileRun:
        """The endpoint's run that ended early, where it is for one of these gaps; else a new one."""
        before = (await read_reconcile_state(self.settings())).newest_of(endpoint)
        if before is not None and not before.finished and set(before.gaps) & set(gaps):
            return before
        now = datetime.now(UTC)
        begin = await begin_of(self.settings(), endpoint, gaps)
        return new_run(new_run_id(now), endpoint, begin=begin, end=None, gaps=gaps, now=now)

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(_AGAIN_S):
                await self.stopping.wait()
        except TimeoutError:
            return
