"""What the consumer groups count; the label `group` tells them apart."""

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import Protocol
from weakref import WeakSet

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from processors.sequence_state import SequenceState
from processors.state import State
from schemas.records import Record

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PREFIX = "dropstream_process_"


class Tracked(Protocol):
    """Something that remembers sequences."""

    @property
    def shown(self) -> Collection[SequenceState]:
        """Those whose holes are to be shown."""


class HoleGauges(Collector):
    """The holes that are reported open, by endpoint, counted when somebody looks.

    What is watched is not kept alive: a partition that went to another process is shown there, and here no more.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._watched: WeakSet[Tracked] = WeakSet()

    def watch(self, tracked: Tracked) -> None:
        """Shows its sequences for as long as it is in use."""
        self._watched.add(tracked)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Three gauges for every endpoint that has a sequence; all are 0 where no hole is open."""
        open_holes = GaugeMetricFamily(f"{_PREFIX}open_holes", "Runs of missing ids.", labels=["endpoint"])
        missing = GaugeMetricFamily(f"{_PREFIX}missing_ids", "Ids in open holes.", labels=["endpoint"])
        oldest = GaugeMetricFamily(f"{_PREFIX}oldest_hole_seconds", "Age of the oldest.", labels=["endpoint"])
        now = self._clock()
        for tracked in self._watched:
            for state in tracked.shown:
                holes = state.holes[: state.reported_count()]
                open_holes.add_metric([state.endpoint], len(holes))
                missing.add_metric([state.endpoint], sum(hole.last - hole.first + 1 for hole in holes))
                age_s = (now - holes[0].suspected_at).total_seconds() if holes else 0.0
                oldest.add_metric([state.endpoint], age_s)
        return open_holes, missing, oldest


class ProcessMetrics:
    """The metrics of a process, made once on a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._records = Counter(f"{_PREFIX}records", "Input records committed.", ["group"], registry=registry)
        self._outputs = Counter(f"{_PREFIX}outputs", "Records written.", ["group", "topic"], registry=registry)
        self._rejected = Counter(f"{_PREFIX}rejected", "Deliveries rejected.", ["group", "reason"], registry=registry)
        self.transaction_seconds = Histogram(
            f"{_PREFIX}transaction_seconds", "A transaction.", ["group"], buckets=_SECONDS, registry=registry
        )
        self.transactions_failed = Counter(
            f"{_PREFIX}transactions_failed", "Given up, to be done again.", ["group"], registry=registry
        )
        self.opening_seconds = Histogram(
            f"{_PREFIX}opening_seconds", "Fencing, then the offset.", ["group"], buckets=_SECONDS, registry=registry
        )
        self.partitions_open = Gauge(f"{_PREFIX}partitions_open", "In work here.", ["group"], registry=registry)
        partition = ["group", "partition"]
        self._lag = Gauge(f"{_PREFIX}lag_records", "Not yet processed.", partition, registry=registry)
        self._remembered = Gauge(f"{_PREFIX}remembered", "Entries of the state.", partition, registry=registry)
        self._evicted = Gauge(f"{_PREFIX}evicted", "Forgotten early, for want of room.", partition, registry=registry)
        self._duplicates = Counter(f"{_PREFIX}duplicates", "Retries dropped.", ["group", "endpoint"], registry=registry)
        self._differing = Counter(
            f"{_PREFIX}bodies_differing", "Known key, other body; processed.", ["group", "endpoint"], registry=registry
        )
        self.holes = HoleGauges()
        registry.register(self.holes)

    def count_input(self, group: str, records: int) -> None:
        """Counts the input of one committed transaction."""
        self._records.labels(group).inc(records)

    def count_outputs(self, group: str, outputs: Iterable[Record]) -> None:
        """Counts what one committed transaction wrote."""
        for output in outputs:
            self._outputs.labels(group, output.topic).inc()
            if output.topic == "rejected":
                self._rejected.labels(group, dict(output.headers)["dropstream-reason"].decode()).inc()
            elif output.topic == "duplicates":
                self._duplicates.labels(group, output.key.decode()).inc()
            elif ("bodydiffers", b"true") in output.headers:
                self._differing.labels(group, dict(output.headers)["endpoint"].decode()).inc()

    def show_partition(self, group: str, partition: int, *, lag: int, state: State) -> None:
        """Shows how one partition stands."""
        self._lag.labels(group, str(partition)).set(lag)
        self._remembered.labels(group, str(partition)).set(state.entries)
        self._evicted.labels(group, str(partition)).set(state.evicted)
