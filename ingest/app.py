"""Starts and stops the ingress: `async with ingress(settings, ...)`.

All parts of the ingress are put together here; the caller handles signals and the admin port.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry

from ingest.answer_counter import AnswerCounter
from ingest.budgets import ByteBudget
from ingest.endpoints import EndpointTable, PreparedEndpoints
from ingest.failure_budget import FailureBudgets
from ingest.http.limits import allowed_limits, connection_limits
from ingest.http.server import ConnectionServer
from ingest.kafka.publisher import Publisher
from ingest.kafka.supervisor import ProducerSupervisor
from ingest.metrics import IngestMetrics
from ingest.receive import Receiver, Stamps
from ingest.storage import Storage
from ingest.throttled_log import ThrottledLog
from ingest.tracing import DeliveryTracing
from schemas.errors import DropstreamError
from schemas.health import Health
from schemas.kafka.layout_watch import LayoutWatch
from schemas.retry_policy import RetryPolicy
from schemas.sections.endpoints import EndpointSettings
from schemas.sections.programs import IngestSettings
from schemas.settings import Settings

_BACKLOG = 1024
# How long connections that are still busy have after the grace time.
_CUT_S = 0.5


@dataclass(frozen=True, slots=True)
class Ingress:
    """A running ingress; `port` is the port really bound."""

    port: int
    endpoints: EndpointTable
    receiver: Receiver
    publisher: Publisher
    storage: Storage
    budget: ByteBudget

    def replace_endpoints(self, endpoints: Mapping[str, EndpointSettings]) -> None:
        """Serves these endpoints from now on."""
        self.take_endpoints(self.endpoints.prepare(endpoints))

    def take_endpoints(self, prepared: PreparedEndpoints) -> None:
        """Serves the prepared endpoints from now on."""
        self.endpoints.take(prepared)
        self.receiver.counter.count_from_zero(self.endpoints.providers())

    def health(self) -> Health:
        """Says ready while Kafka or the spool takes deliveries, until the stop; live until a background task dies.

        The answer itself proves that the event loop runs, for a loop that hangs answers no probe.
        """
        spool = self.storage.figures()
        return Health(
            live=not self.storage.broken,
            ready=self.storage.usable and not self.receiver.stopping,
            facts={
                "kafka_connected": self.publisher.connected,
                "kafka_partitions_overdue": self.publisher.partitions_overdue,
                "in_flight_bytes": self.budget.held_bytes,
                "stopping": self.receiver.stopping,
                "addresses_unreadable": self.receiver.counter.addresses_unreadable,
                "spool_usable": spool.usable,
                "spool_hung": spool.hung,
                "spool_deliveries": spool.deliveries,
                "spool_refused": spool.refused,
                "spool_damaged": spool.damaged,
                "spool_unread_files": spool.unread_files,
                "spool_bytes": spool.bytes_used,
                "spool_oldest_seconds": round(spool.oldest_seconds, 1),
                "spool_free_bytes": spool.free_bytes,
            },
        )


@asynccontextmanager
async def ingress(
    settings: Settings,
    *,
    registry: CollectorRegistry,
    stamps: Stamps,
    reuse_port: bool = False,
    retry_policies: Mapping[str, RetryPolicy] | None = None,
    tracing: DeliveryTracing | None = None,
) -> AsyncIterator[Ingress]:
    """Runs the ingress; at the end stops listening, answers the requests that came, and flushes, all in the grace time.

    The ingress starts without Kafka, and then spools deliveries until Kafka is there. `reuse_port` lets several
    processes share the port. `retry_policies` are by provider; a provider without one has no failure budget.

    Raises:
        DropstreamError: the address cannot be bound.
    """
    metrics = IngestMetrics(registry)
    budget = ByteBudget(settings.ingest.in_flight_bytes_max)
    publisher = _publisher(settings, metrics)
    storage = Storage(settings.ingest, publisher=publisher, metrics=metrics)
    endpoints = EndpointTable(settings.endpoints, now=time.monotonic)
    failure_budgets = FailureBudgets(retry_policies or {}, providers=endpoints.providers, now=time.time)
    receiver = Receiver(
        settings.ingest,
        endpoints=endpoints,
        store=storage,
        budget=budget,
        stamps=stamps,
        counter=AnswerCounter(metrics, throttled_log=ThrottledLog(now=time.monotonic), failure_budgets=failure_budgets),
        tracing=tracing,
    )
    _observe(metrics, budget, publisher, storage, failure_budgets)
    receiver.counter.count_from_zero(endpoints.providers())
    limits = allowed_limits(connection_limits(settings.ingest))
    runner = web.ServerRunner(ConnectionServer(receiver, limits=limits, metrics=metrics), shutdown_timeout=_CUT_S)
    await runner.setup()
    try:
        await storage.start()
        port = await _listen(runner, settings.ingest, reuse_port=reuse_port)
        yield Ingress(port, endpoints, receiver, publisher, storage, budget)
    finally:
        await _stop(runner, receiver, publisher, storage, settings.ingest)


def _publisher(settings: Settings, metrics: IngestMetrics) -> Publisher:
    layout = LayoutWatch(settings, counted=())
    supervisors = [
        ProducerSupervisor(settings, layout=layout, metrics=metrics) for _ in range(settings.ingest.producers)
    ]
    return Publisher(settings.ingest, supervisors=supervisors, layout=layout, metrics=metrics)


def _observe(
    metrics: IngestMetrics,
    budget: ByteBudget,
    publisher: Publisher,
    storage: Storage,
    failure_budgets: FailureBudgets,
) -> None:
    """Shows how the parts stand in each scrape."""
    metrics.observe(
        in_flight_bytes=lambda: budget.held_bytes,
        producer_connected=lambda: publisher.connected,
        partitions_overdue=lambda: publisher.partitions_overdue,
        spool=storage.figures,
        answers=failure_budgets.figures,
        clock=time.time,
    )


async def _listen(runner: web.ServerRunner, settings: IngestSettings, *, reuse_port: bool) -> int:
    """Returns the port that is bound."""
    site = web.TCPSite(runner, settings.host, settings.port, backlog=_BACKLOG, reuse_port=reuse_port or None)
    try:
        await site.start()
    except OSError as error:
        raise DropstreamError(
            f"ingest.port: cannot listen on {settings.host}:{settings.port}: {error.strerror or error}\n"
            "Set ingest.host and ingest.port to an address of this machine that is free."
        ) from error
    return site.port


async def _stop(
    runner: web.ServerRunner, receiver: Receiver, publisher: Publisher, storage: Storage, settings: IngestSettings
) -> None:
    """Stops serving, then the storage, which has what is left of the time, and no more than it needs.

    Once all requests are answered, every delivery is durable or was refused. Then a producer only has copies of what
    the spool has: it may end in order within Kafka's deadline, and one that is late already gets no time.
    """
    grace_s = settings.stop_grace_ms / 1000
    stop_at = time.monotonic() + grace_s
    try:
        await _stop_serving(runner, receiver, within_s=grace_s)
    finally:
        left_s = max(0.0, stop_at - time.monotonic())
        if not receiver.in_progress:
            left_s = min(left_s, settings.kafka_deadline_ms / 1000 if publisher.connected else 0.0)
        await storage.stop(within_s=left_s)


async def _stop_serving(runner: web.ServerRunner, receiver: Receiver, *, within_s: float) -> None:
    """Closes the port, waits for the answers to requests that came, then closes the connections.

    The order matters: aiohttp drops the rest of a body that still arrives on a connection that it closes.
    """
    for site in runner.sites:
        await site.stop()
    # One turn of the loop lets requests begin that have arrived already.
    await asyncio.sleep(0)
    await receiver.stop(within_s=within_s)
    await runner.cleanup()
