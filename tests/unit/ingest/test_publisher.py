"""The publisher without anything to publish to."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from ingest.budgets import ByteBudget, Reservation
from ingest.kafka.batches import DeliveryReport, Report
from ingest.kafka.publisher import Publisher
from ingest.kafka.supervisor import ProducerSupervisor
from ingest.metrics import IngestMetrics
from schemas.delivery import PendingRecord
from schemas.kafka.batch_producer import BatchProducer
from schemas.kafka.layout_watch import LayoutWatch
from tests.conftest import SettingsFactory

_RECORD = PendingRecord("acme", b"acme", b"{}", [], 1_774_747_800_000)


class _Blind(ProducerSupervisor):
    """Connected at once, with a producer to which no partition of `raw` is known."""

    def start(self, on_connected: Callable[[BatchProducer], None]) -> None:
        self.producer = BatchProducer()
        on_connected(self.producer)


async def test_without_a_partition_there_is_no_producer(settings: SettingsFactory) -> None:
    """What is published is not taken, and nothing is held for it."""
    mine, metrics = settings(bootstrap_servers="127.0.0.1:1"), IngestMetrics(CollectorRegistry())
    layout = LayoutWatch(mine)
    supervisor = _Blind(mine, layout=layout, metrics=metrics)
    publisher = Publisher(mine.ingest, supervisors=[supervisor], layout=layout, metrics=metrics)
    publisher.start()
    budget, reports = ByteBudget(1_000), list[Report]()
    reservation = Reservation(budget)
    reservation.grow(10)
    assert not publisher.connected
    assert not publisher.publish(_RECORD, reservation, reports.append)
    assert await publisher.publish_and_wait(_RECORD, reservation) is DeliveryReport.UNKNOWN
    assert (reports, budget.held_bytes) == ([], 0)
    await publisher.stop(within_s=0)
