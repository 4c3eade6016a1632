"""`dropstream reconcile --watch` as a service: it fetches what is lost, looks at ends of sequences, and tells of both.

One such process is enough. Of two the one that began a run later ends the other's, and nothing is done twice.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial

from prometheus_client import CollectorRegistry

from ops.reconcile.gauges import ReconcileMetrics
from ops.reconcile.sources import api_key, source_of
from ops.reconcile.tail_gaps import TailWatch
from ops.reconcile.watch import ReconcileWatch
from ops.reconcile.work import carry_out
from ops.service.admin import admin
from ops.service.announcement import announce, listening
from ops.service.metrics_page import describe_process
from ops.service.reload import LoadedConfiguration, SettingsSource, reloading
from ops.service.run import Signals
from ops.service.running_configuration import begun
from schemas.notes.reconciliations import ReconcileRun
from schemas.settings import Settings


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
