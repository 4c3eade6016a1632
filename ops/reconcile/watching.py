"""`dropstream reconcile --watch` as a service: it fetches what is lost, looks at ends of sequences, and tells of both.

One such process is enough. Of two the one that began a run later ends the other's, and nothing is done twice.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from prometheus_client import CollectorRegistry

from ops.kafka.reader import full_name, open_reader
from ops.reconcile.gauges import ReconcileMetrics
from ops.reconcile.sources import api_key, source_of
from ops.reconcile.tail_gaps import Tails, find_all
from ops.reconcile.watch import ReconcileWatch
from ops.reconcile.work import carry_out
from ops.service.admin import admin
from ops.service.announcement import announce, listening
from ops.service.metrics_page import describe_process
from ops.service.reload import reloading
from ops.service.run import Signals
from ops.service.running_configuration import begun
from ops.service.source import LoadedConfiguration, SettingsSource
from schemas.errors import DropstreamError
from schemas.late_log import LateLog
from schemas.notes.reconciliations import ReconcileRun
from schemas.settings import Settings

# Each look is one request for each endpoint.
_LOOK_EVERY_S = 600.0
_AGAIN_S = 5.0

_log = LateLog()


async def watch_and_reconcile(source: SettingsSource, first: LoadedConfiguration, signals: Signals) -> None:
    """Watches until it is told to stop; a run that is under way then is ended, and resumed by the next process.

    Raises:
        DropstreamError: the admin port is taken.
    """
    current, running = first.settings, begun(source.file, first.text)
    registry = CollectorRegistry()
    describe_process(registry)
    metrics = ReconcileMetrics(registry)

    def use(settings: Settings) -> None:
        nonlocal current
        current = settings

    def prepare(loaded: LoadedConfiguration) -> Callable[[], None]:
        return partial(use, first.settings.model_copy(update={"endpoints": loaded.settings.endpoints}))

    async def perform(run: ReconcileRun) -> ReconcileRun:
        kind = source_of(current, run.endpoint)
        key = api_key(current, run.endpoint, source=str(source.file))
        return await carry_out(current, kind, key, run, lambda _run: None)

    watch = ReconcileWatch(lambda: current, signals.stopping, perform, metrics)
    port = first.settings.reconcile
    async with (
        admin(
            host=port.admin_host, port=port.admin_port, registry=registry, health=watch.health, running=running
        ) as at,
        reloading(source, first.settings, signals.reload, registry=registry, prepare=prepare, running=running),
    ):
        announce("reconcile", first.settings, source.file, listening({"admin": (port.admin_host, at)}))
        await _until(signals.stopping, watch.run(), TailWatch(lambda: current, metrics).run())


async def _until(stopping: asyncio.Event, *watches: Coroutine[None, None, None]) -> None:
    """Runs the watches until `stopping` is set, or one of them fails."""
    tasks = [asyncio.ensure_future(one) for one in (*watches, stopping.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for one in ended:
        if isinstance(one, Exception):
            raise one


@dataclass(slots=True)
class TailWatch:
    """Looks at the ends of sequences again and again, and shows what it finds; `settings` gives those of the moment."""

    settings: Callable[[], Settings]
    metrics: ReconcileMetrics
    _told: dict[str, str] = field(default_factory=dict)

    async def run(self) -> None:
        """Watches until it is cancelled, however often Kafka goes."""
        while True:
            try:
                await self._follow()
            except DropstreamError as error:
                _log.warning("sequence_unread", why=str(error).splitlines()[0])
                await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        settings, seen, next_at = self.settings(), Tails(), 0.0
        async with open_reader(settings, [full_name("sequence", settings)], "beginning") as reader:
            while True:
                for record in await reader.fetch():
                    seen.add(record.value)
                if time.monotonic() >= next_at and await reader.is_at_end():
                    await self._look(seen)
                    next_at = time.monotonic() + _LOOK_EVERY_S

    async def _look(self, seen: Tails) -> None:
        now = datetime.now(UTC)
        found = await find_all(self.settings(), seen, now)
        self.metrics.show_tails({one.endpoint: one.level != "ok" for one in found}, now.timestamp())
        for one in found:
            if one.level != "ok" and self._told.get(one.endpoint) != one.sentence:
                _log.warning("tail_doubtful", endpoint=one.endpoint, why=one.sentence)
        self._told = {one.endpoint: one.sentence for one in found if one.level != "ok"}
