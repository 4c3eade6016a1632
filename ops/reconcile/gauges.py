"""What `dropstream reconcile --watch` counts: runs, what they published, what is lost still, and ends of sequences."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from schemas.notes.reconciliations import ReconcileCounts

_PREFIX = "dropstream_reconcile_"


class ReconcileMetrics:
    """The metrics, made once on a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter(
            f"{_PREFIX}runs",
            "Runs that ended, by result: `finished` or `failed`.",
            ["endpoint", "result"],
            registry=registry,
        )
        self._published = Counter(
            f"{_PREFIX}published",
            "States published as events, by kind: `order` or `sku`.",
            ["endpoint", "kind"],
            registry=registry,
        )
        self._failures = Gauge(
            f"{_PREFIX}failures",
            "Runs of the endpoint that failed in a row; 0 after one that finished. A failed run is resumed by itself.",
            ["endpoint"],
            registry=registry,
        )
        self._lost = Gauge(
            f"{_PREFIX}lost_ids",
            "Sequence ids of the endpoint that are lost, neither reconciled nor dismissed.",
            ["endpoint"],
            registry=registry,
        )
        self._tail = Gauge(
            f"{_PREFIX}tail_doubtful",
            "1 where deliveries seem to be missing at the end of the endpoint's sequence, or its webhook is inactive.",
            ["endpoint"],
            registry=registry,
        )
        self._looked_at = Gauge(
            f"{_PREFIX}tails_looked_timestamp_seconds",
            "When the ends of sequences were looked at last.",
            registry=registry,
        )

    def begin(self, endpoint: str) -> None:
        """Begins what alerts look at with 0."""
        self._runs.labels(endpoint, "finished")
        self._runs.labels(endpoint, "failed")
        self._failures.labels(endpoint)

    def finished(self, endpoint: str, counts: ReconcileCounts) -> None:
        """Counts a run that came to its end."""
        self._runs.labels(endpoint, "finished").inc()
        self._failures.labels(endpoint).set(0)
        self._published.labels(endpoint, "order").inc(counts.orders)
        self._published.labels(endpoint, "sku").inc(counts.skus)

    def failed(self, endpoint: str) -> None:
        """Counts a run that failed."""
        self._runs.labels(endpoint, "failed").inc()
        self._failures.labels(endpoint).inc()

    def show_lost(self, ids: Mapping[str, int]) -> None:
        """Shows how many ids are lost still, by endpoint, as it is now; one that is not named stays as it was."""
        for endpoint, count in ids.items():
            self._lost.labels(endpoint).set(count)

    def show_tails(self, doubtful: Mapping[str, bool], at: float) -> None:
        """Shows what was found at `at`, in seconds since 1970, of the ends of sequences, by endpoint."""
        self._tail.clear()
        for endpoint, is_doubtful in doubtful.items():
            self._tail.labels(endpoint).set(is_doubtful)
        self._looked_at.set(at)
