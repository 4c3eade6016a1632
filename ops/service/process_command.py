"""`dropstream process`: runs the consumer groups until a signal stops them."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import structlog
import typer
from prometheus_client import CollectorRegistry

from ops.audit.gauges import audits_shown
from ops.configuration import ConfigFile, configuration_file
from ops.service.admin import admin
from ops.service.announcement import announce, listening
from ops.service.metrics_page import describe_process
from ops.service.reload import reloading
from ops.service.run import Signals, run_service
from ops.service.running_configuration import begun
from ops.service.source import LoadedConfiguration, SettingsSource
from ops.service.workers.parent import ParentPlan, supervise
from ops.service.workers.worker import ParentLink, Worker, WorkerCount, WorkerPath
from ops.tracing.exporting import exporting
from processors.deliver.keys.folder import state_dir_fault
from processors.groups import deliver_group, sequence_group
from processors.metrics import ProcessMetrics
from processors.providers import discover
from processors.runtime.byte_account import ByteAccount
from schemas.errors import ConfigurationError, DropstreamError
from schemas.health import Health
from schemas.sections.endpoints import EndpointSettings
from schemas.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from ops.tracing.steps import StepTracer

GROUPS = ("deliver", "sequence")
# What closing the partitions and leaving the group take, after the open transaction.
_LEAVE_S = 12.0

_log = structlog.get_logger()


class Runner(Protocol):
    """A consumer group that runs in this process."""

    async def run(self) -> None:
        """Processes records until it is told to stop."""

    def health(self) -> Health:
        """Whether the group lives and is ready."""


def process(
    groups: Annotated[
        list[str] | None, typer.Argument(help="deliver, sequence; both by default.", show_default=False)
    ] = None,
    config: ConfigFile = None,
    *,
    workers: WorkerCount = 1,
    path: WorkerPath = None,
) -> None:
    """Turns raw deliveries into events, exactly once, and reports gaps. Example: dropstream process deliver"""
    unknown = [name for name in groups or () if name not in GROUPS]
    if unknown:
        there_is = ", ".join(GROUPS)
        raise ConfigurationError("process", tuple(f"no such group: {name}; there is: {there_is}" for name in unknown))
    worker = Worker(path) if path else None
    parent_link = ParentLink(worker) if worker else None
    source = SettingsSource(configuration_file(config), signing_secrets=True, folder=worker.folder if worker else None)
    first = source.read()
    names, settings = groups or GROUPS, first.settings
    if workers > 1 and worker is None:
        verb = ("process", *names)
        supervise(ParentPlan(verb, workers, source, first, ports=settings.process, grace_s=_grace_s(settings)))
        return

    async def main(signals: Signals) -> None:
        if parent_link:
            parent_link.attach(signals, grace_s=_grace_s(settings))
        async with exporting("process", os.environ, samples_itself=False) as spans:
            await _run_groups(source, first, names, worker, signals, tracing=_tracing(settings, spans))

    run_service(main, settings, reloads=True)


async def _run_groups(
    source: SettingsSource,
    first: LoadedConfiguration,
    names: Sequence[str],
    worker: Worker | None,
    signals: Signals,
    *,
    tracing: "StepTracer | None",
) -> None:
    settings, running = first.settings, begun(source.file, first.text)
    registry = _described_registry()
    metrics = ProcessMetrics(registry)
    mine = settings if worker is None else worker_settings(settings, worker.number)
    known: Mapping[str, EndpointSettings] = settings.endpoints

    def prepare(loaded: LoadedConfiguration) -> Callable[[], None]:
        # A count of 0 more does no harm before the endpoint is used.
        for name in groups:
            metrics.expect_endpoints(name, loaded.settings.endpoints)
        return partial(use, loaded.settings.endpoints)

    def use(endpoints: Mapping[str, EndpointSettings]) -> None:
        nonlocal known
        known = endpoints

    groups = _groups(names, mine, metrics, signals.stopping, endpoints=lambda: known, tracing=tracing)
    ports = settings.process
    async with (
        admin(
            host=ports.admin_host,
            port=ports.admin_port,
            registry=registry,
            health=lambda: joint_health(groups),
            running=running,
            worker=worker,
            exemplars=tracing.exemplars if tracing else None,
        ) as admin_port,
        reloading(source, settings, signals.reload, registry=registry, prepare=prepare, running=running),
        audits_shown(mine, registry),
    ):
        if worker is None:
            places = listening({"admin": (ports.admin_host, admin_port)})
            announce("process", settings, source.file, places, groups=", ".join(names))
        await run_together(list(groups.values()), signals.stopping)


def _groups(
    names: Sequence[str],
    settings: Settings,
    metrics: ProcessMetrics,
    stopping: asyncio.Event,
    *,
    endpoints: Callable[[], Mapping[str, EndpointSettings]],
    tracing: "StepTracer | None",
) -> dict[str, Runner]:
    """The groups of these names; they share the bytes that the process may hold."""
    account = ByteAccount(settings.process.bytes_in_hand_max)
    groups: dict[str, Runner] = {}
    if "deliver" in names:
        _check_state_dir(settings)
        groups["deliver"] = deliver_group(
            settings, discover(), metrics, stopping, endpoints=endpoints, account=account, tracing=tracing
        )
    if "sequence" in names:
        groups["sequence"] = sequence_group(settings, metrics, stopping, account=account, tracing=tracing)
    return groups


def _tracing(settings: Settings, spans: "TracerProvider | None") -> "StepTracer | None":
    if spans is None:
        return None
    from ops.tracing.steps import StepTracer  # noqa: PLC0415 the extra may be missing

    return StepTracer(spans.get_tracer("dropstream"), settings.kafka.topic_prefix)


def _described_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    describe_process(registry)
    return registry


def worker_settings(settings: Settings, number: int) -> Settings:
    """The settings of one worker of several: each is a member of the groups under a name of its own."""
    if settings.process.instance_id is None:
        return settings
    own = settings.process.model_copy(update={"instance_id": f"{settings.process.instance_id}-{number}"})
    return settings.model_copy(update={"process": own})


def _grace_s(settings: Settings) -> float:
    return settings.process.transaction_timeout_ms / 1000 + _LEAVE_S


def joint_health(groups: Mapping[str, Runner]) -> Health:
    """Live and ready when all are; each fact carries the name of its group."""
    each = {name: group.health() for name, group in groups.items()}
    return Health(
        live=all(one.live for one in each.values()),
        ready=all(one.ready for one in each.values()),
        facts={f"{name}_{fact}": value for name, one in each.items() for fact, value in one.facts.items()},
    )


async def run_together(groups: Sequence[Runner], stopping: asyncio.Event) -> None:
    """Runs the groups until `stopping` is set; the first that fails sets it, and the others end in good order.

    Raises:
        DropstreamError: of several failures the first that is one, for it says what to do.
    """

    async def run(group: Runner) -> None:
        try:
            await group.run()
        finally:
            stopping.set()

    # No TaskGroup: it would cancel the others in the middle of their transactions.
    ended = await asyncio.gather(*map(run, groups), return_exceptions=True)
    failures = [one for one in ended if one is not None]
    first = next((one for one in failures if isinstance(one, DropstreamError)), next(iter(failures), None))
    for failure in failures:
        if failure is not first:
            _log.error("group_failed", error=repr(failure))
    if first is not None:
        raise first


def _check_state_dir(settings: Settings) -> None:
    """Raises `ConfigurationError` where what is remembered of deliveries could not be kept when it grows."""
    state_dir = settings.process.state_dir
    fault = state_dir_fault(Path(state_dir)) if state_dir else None
    if fault is not None:
        raise ConfigurationError("process.state_dir", (f'{fault}; state_dir = "" keeps all in memory',))
