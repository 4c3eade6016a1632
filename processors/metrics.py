"""All metrics of a process that runs consumer groups: the runtime's, and those of each group's own."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Gauge

from processors.deliver.metrics import DeliverMetrics
from processors.runtime.metrics import PREFIX, GroupMetrics
from processors.sequence.metrics import SequenceMetrics


class ProcessMetrics:
    """The metrics of a process, made once on a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.groups = GroupMetrics(registry)
        self.deliver = DeliverMetrics(registry, clock)
        self.sequence = SequenceMetrics(registry, clock)
        clock_gauge = Gauge(
            f"{PREFIX}clock_timestamp_seconds",
            "This machine's time; against the scraper's own it shows a clock that is wrong.",
            registry=registry,
        )
        clock_gauge.set_function(lambda: clock().timestamp())

    def expect_endpoints(self, group: str, endpoints: Iterable[str]) -> None:
        """Begins every count of these endpoints in this group at 0."""
        (self.sequence if group == "sequence" else self.deliver).expect_endpoints(endpoints)
