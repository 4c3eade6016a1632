"""`dropstream ingest`: runs the HTTP ingress until a signal stops it."""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import uuid_utils
from prometheus_client import CollectorRegistry

from ingest.app import ingress
from ingest.receive import Stamps
from ops.configuration import ConfigFile, configuration_file
from ops.service.admin import admin
from ops.service.announcement import announce, listening
from ops.service.metrics_page import describe_process
from ops.service.reload import reloading
from ops.service.run import Signals, run_service
from ops.service.running_configuration import begun
from ops.service.shared_port import shared_port
from ops.service.source import LoadedConfiguration, SettingsSource
from ops.service.workers.parent import ParentPlan, supervise
from ops.service.workers.worker import ParentLink, Worker, WorkerCount, WorkerPath
from ops.tracing.exporting import exporting
from processors.providers import discover
from schemas.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from ops.tracing.deliveries import DeliveryTracer

# What an orderly end takes beside answering requests and flushing to Kafka.
_LEAVE_S = 3.0


def ingest(config: ConfigFile = None, *, workers: WorkerCount = 1, path: WorkerPath = None) -> None:
    """Takes webhooks in over HTTP and keeps each in Kafka before it answers. Example: dropstream ingest --workers 2"""
    worker = Worker(path) if path else None
    parent_link = ParentLink(worker) if worker else None
    # The ingress may not know the secrets that sign deliveries; it runs where they are not.
    source = SettingsSource(configuration_file(config), signing_secrets=False, folder=worker.folder if worker else None)
    first = source.read()
    if workers > 1 and worker is None:
        _share(source, first, workers)
        return

    async def main(signals: Signals) -> None:
        if parent_link:
            parent_link.attach(signals, grace_s=_grace_s(first.settings))
        async with exporting("ingest", os.environ, samples_itself=True) as spans:
            await _serve(source, first, worker, signals, tracing=_tracing(first.settings, spans))

    run_service(main, first.settings, reloads=True)


def _share(source: SettingsSource, first: LoadedConfiguration, count: int) -> None:
    ports = first.settings.ingest
    with shared_port(ports.host, ports.port) as port:
        # A free port is found once, and all workers listen on it.
        environ = {} if ports.port else {"DROPSTREAM_INGEST__PORT": str(port)}
        supervise(
            ParentPlan(
                verb=("ingest",),
                count=count,
                source=source,
                first=first,
                ports=ports,
                grace_s=_grace_s(first.settings),
                environ=environ,
            )
        )


async def _serve(
    source: SettingsSource,
    first: LoadedConfiguration,
    worker: Worker | None,
    signals: Signals,
    *,
    tracing: "DeliveryTracer | None",
) -> None:
    settings, configuration = first.settings, begun(source.file, first.text)
    registry = CollectorRegistry()
    describe_process(registry)
    stamps = Stamps(new_id=uuid_utils.uuid7, now_us=lambda: time.time_ns() // 1_000)
    ports = settings.ingest
    async with ingress(
        settings,
        registry=registry,
        stamps=stamps,
        reuse_port=worker is not None,
        retry_policies={name: provider.patience for name, provider in discover().items()},
        tracing=tracing,
    ) as running:

        def prepare(loaded: LoadedConfiguration) -> Callable[[], None]:
            return partial(running.take_endpoints, running.endpoints.prepare(loaded.settings.endpoints))

        async with (
            admin(
                host=ports.admin_host,
                port=ports.admin_port,
                registry=registry,
                health=running.health,
                running=configuration,
                worker=worker,
                exemplars=tracing.exemplars if tracing else None,
            ) as admin_port,
            reloading(source, settings, signals.reload, registry=registry, prepare=prepare, running=configuration),
        ):
            if worker is None:
                places = {"webhooks": (ports.host, running.port), "admin": (ports.admin_host, admin_port)}
                announce("ingest", settings, source.file, listening(places), spool=ports.spool_dir)
            await signals.stopping.wait()


def _tracing(settings: Settings, spans: "TracerProvider | None") -> "DeliveryTracer | None":
    if spans is None:
        return None
    from ops.tracing.deliveries import DeliveryTracer  # noqa: PLC0415 the extra may be missing

    return DeliveryTracer(spans.get_tracer("dropstream"), f"{settings.kafka.topic_prefix}raw")


def _grace_s(settings: Settings) -> float:
    return settings.ingest.stop_grace_ms / 1000 + _LEAVE_S
