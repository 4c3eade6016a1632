"""The ingress as one thing to start and stop: `async with ingress(settings, ...)`.

Everything is put together here and nowhere else; signals and the admin port are the caller's.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry

from ingest.budgets import ByteBudget
from ingest.endpoints import EndpointTable
from ingest.failure_budget import FailureBudgets
from ingest.http.limits import allowed_limits, connection_limits
from ingest.http.server import ConnectionServer
from ingest.kafka.publisher import Publisher
from ingest.kafka.supervisor import ProducerSupervisor
from ingest.metrics import IngestMetrics
from ingest.receive import Receiver, Stamps
from ingest.storage import Storage
from ingest.throttled_log import ThrottledLog
from schemas.errors import DropstreamError
from schemas.health import Health
from schemas.retry_policy import RetryPolicy
from schemas.settings import EndpointSettings, IngestSettings, Settings

_BACKLOG = 1024
# For connections that are still busy when the grace time is over.
_CUT_S = 0.5


@dataclass(frozen=True, slots=True)
class Ingress:
    """A running ingress; `port` is the one really bound, `endpoints` takes a new snapshot while it runs."""

    port: int
    endpoints: EndpointTable
    receiver: Receiver
    publisher: Publisher
    storage: Storage
    budget: ByteBudget

    def replace_endpoints(self, endpoints: Mapping[str, EndpointSettings]) -> None:
        """These endpoints from now on."""
        self.endpoints.replace(endpoints)
        self.receiver.count_from_zero(self.endpoints.providers())

    def health(self) -> Health:
        """Ready while Kafka or the spool takes deliveries and we do not stop.

        Live until the background work broke. That the event loop runs is proven by the answer itself: one that hangs
        answers no probe.
        """
        spool = self.storage.figures()
        return Health(
            live=not self.storage.broken,
            ready=self.storage.usable and not self.receiver.stopping,
            facts={
                "kafka_connected": self.publisher.connected,
                "in_flight_bytes": self.budget.held_bytes,
                "stopping": self.receiver.stopping,
                "spool_usable": spool.usable,
                "spool_deliveries": spool.deliveries,
                "spool_refused": spool.refused,
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
) -> AsyncIterator[Ingress]:
    """Serves inside; on leaving stops accepting, answers what came and flushes, within `ingest.stop_grace_ms`.

    Starts without Kafka, and then keeps deliveries in the spool until it is there. `reuse_port` lets several processes
    share the port. `retry_policies` has the policy of each provider by its name; a provider without one has no budget.

    Raises:
        DropstreamError: the port cannot be had.
    """
    metrics = IngestMetrics(registry)
    budget = ByteBudget(settings.ingest.in_flight_bytes_max)
    supervisor = ProducerSupervisor(settings, metrics=metrics)
    publisher = Publisher(settings.ingest, supervisor=supervisor, metrics=metrics)
    storage = Storage(settings.ingest, publisher=publisher, metrics=metrics)
    endpoints = EndpointTable(settings.endpoints, now=time.monotonic)
    failure_budgets = FailureBudgets(retry_policies or {}, providers=endpoints.providers, now=time.time)
    receiver = Receiver(
        settings.ingest,
        endpoints=endpoints,
        store=storage,
        budget=budget,
        stamps=stamps,
        metrics=metrics,
        throttled_log=ThrottledLog(now=time.monotonic),
        failure_budgets=failure_budgets,
    )
    metrics.observe(
        in_flight_bytes=lambda: budget.held_bytes,
        producer_connected=lambda: publisher.connected,
        spool=storage.figures,
        answers=failure_budgets.figures,
        clock=time.time,
    )
    receiver.count_from_zero(endpoints.providers())
    limits = allowed_limits(connection_limits(settings.ingest))
    server = ConnectionServer(receiver, limits=limits, metrics=metrics)
    runner = web.ServerRunner(server, shutdown_timeout=_CUT_S)
    await runner.setup()
    try:
        await storage.start()
        site = await _listen(runner, settings.ingest, reuse_port=reuse_port)
        yield Ingress(site.port, endpoints, receiver, publisher, storage, budget)
    finally:
        grace_s = settings.ingest.stop_grace_ms / 1000
        stop_at = time.monotonic() + grace_s
        try:
            await _stop_serving(runner, receiver, within_s=grace_s)
        finally:
            await storage.stop(within_s=max(0.0, stop_at - time.monotonic()))


async def _listen(runner: web.ServerRunner, settings: IngestSettings, *, reuse_port: bool) -> web.TCPSite:
    site = web.TCPSite(runner, settings.host, settings.port, backlog=_BACKLOG, reuse_port=reuse_port or None)
    try:
        await site.start()
    except OSError as error:
        raise DropstreamError(
            f"ingest.port: cannot listen on {settings.host}:{settings.port}: {error.strerror or error}\n"
            "Set ingest.host and ingest.port to an address of this machine that is free."
        ) from error
    return site


async def _stop_serving(runner: web.ServerRunner, receiver: Receiver, *, within_s: float) -> None:
    """Closes the port, lets requests that came be answered, then closes the connections.

    In this order: once its connections are told to close, aiohttp drops the rest of a body that still arrives.
    """
    for site in runner.sites:
        await site.stop()
    # One turn of the loop, so that what has arrived has begun.
    await asyncio.sleep(0)
    await receiver.stop(within_s=within_s)
    await runner.cleanup()
