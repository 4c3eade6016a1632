"""The metrics of the ingress, on the registry that is passed in.

Labels are bounded: `endpoint` is a configured name or "", `outcome` and `reason` are each one of a closed set.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ingest.answer_metrics import AnswerCounts, AnswerFigures, AnswerGauges

# Bounds around the deadline for Kafka (1.5 s by default) and the 5 s in which ShipStream wants its answer:
# https://docs.shipstream.io/merchant-api/webhook
ANSWER_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.5, 5.0, 10.0, 40.0)


@dataclass(frozen=True, slots=True)
class SpoolFigures:
    """The figures of the spool: deliveries that wait for Kafka, those that Kafka refused, the age of the oldest.

    `damaged` deliveries are not as they were written, or cannot be read at all.
    """

    deliveries: int = 0
    refused: int = 0
    damaged: int = 0
    bytes_used: int = 0
    oldest_seconds: float = 0.0
    free_bytes: int = 0
    usable: bool = False
    hung: bool = False
    bytes_max: int = 0
    unread_files: int = 0


class SpoolGauges(Collector):
    """Collects the figures of the spool in each scrape."""

    def __init__(self, figures: Callable[[], SpoolFigures]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yields a gauge for each figure."""
        now = self._figures()
        for name, meaning, value in (
            ("deliveries", "Deliveries on this machine's disk that wait for Kafka.", now.deliveries),
            ("refused", "Deliveries on disk that Kafka refuses; a person must look.", now.refused),
            (
                "damaged",
                "Deliveries on disk that the disk damaged, and that are not sent; a person must look.",
                now.damaged,
            ),
            ("bytes", "What spooled deliveries take of the disk.", now.bytes_used),
            ("bytes_max", "What they may take of it: `ingest.spool_bytes_max`, 0 for no spool.", now.bytes_max),
            ("oldest_seconds", "Age of the oldest spooled delivery; 0 without one.", now.oldest_seconds),
            ("free_bytes", "Free on the spool's disk.", now.free_bytes),
            ("unread_files", "Files in the spool's folder that cannot be read; a person must look.", now.unread_files),
            ("hung", "1 while the disk does not answer in time.", float(now.hung)),
            ("usable", "1 while the disk takes deliveries.", float(now.usable)),
        ):
            gauge = GaugeMetricFamily(f"dropstream_ingest_spool_{name}", meaning)
            gauge.add_metric([], value)
            yield gauge


class IngestMetrics:
    """Holds the metrics of one ingress process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.answers = AnswerCounts(ANSWER_SECONDS)
        registry.register(self.answers)
        self.acknowledge_seconds = Histogram(
            "dropstream_ingest_acknowledge_seconds",
            "From the beginning of a batch of deliveries until all in-sync replicas have it, late ones included.",
            buckets=ANSWER_SECONDS,
            registry=registry,
        )
        self.write_failures = Counter(
            "dropstream_ingest_write_failures",
            "Deliveries that the Kafka client gave up, by its error; one that fails again from the spool counts again.",
            ("error",),
            registry=registry,
        )
        self.producers_replaced = Counter(
            "dropstream_ingest_producers_replaced",
            "Kafka producers given up, by reason: one that refused a batch, or one that hung.",
            ("reason",),
            registry=registry,
        )
        self.drained = Counter(
            "dropstream_ingest_drained", "Deliveries that left the spool because Kafka has them.", registry=registry
        )
        self._registry = registry
        self.connections_open = Gauge(
            "dropstream_ingest_connections_open", "Connections that are open now.", registry=registry
        )
        self.unread_bytes = Gauge(
            "dropstream_ingest_unread_bytes",
            "Bytes held for requests that are not accepted yet, by what they are.",
            ("kind",),
            registry=registry,
        )
        self.connections_closed = Counter(
            "dropstream_ingest_connections_closed",
            "Connections that have ended, by why.",
            ("reason",),
            registry=registry,
        )

    def observe(
        self,
        *,
        in_flight_bytes: Callable[[], int],
        producer_connected: Callable[[], bool],
        partitions_overdue: Callable[[], int],
        spool: Callable[[], SpoolFigures],
        answers: Callable[[], Iterable[AnswerFigures]],
        clock: Callable[[], float],
    ) -> None:
        """Reads these figures in each scrape."""
        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("in_flight_bytes", "Bytes held for deliveries not yet settled.", in_flight_bytes),
            ("producer_connected", "1 while Kafka takes deliveries within the deadline.", producer_connected),
            (
                "partitions_overdue",
                "Partitions of `raw` that take nothing within the deadline; their deliveries wait on disk.",
                partitions_overdue,
            ),
            (
                "clock_timestamp_seconds",
                "This machine's time; against the scraper's own it shows a clock that is wrong.",
                clock,
            ),
        )
        for name, what, function in gauges:
            Gauge(f"dropstream_ingest_{name}", what, registry=self._registry).set_function(function)
        self._registry.register(SpoolGauges(spool))
        self._registry.register(AnswerGauges(answers))
