"""What group `sequence` counts of gaps, by endpoint."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from itertools import product
from weakref import WeakSet

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from processors.runtime.metrics import PREFIX
from processors.runtime.plain_counts import PlainCounts
from processors.sequence.store import SequenceStore
from schemas.notes.gaps import TRACKED_STATES, read_gap
from schemas.records import Record


class HoleGauges(Collector):
    """The holes that are reported open, by endpoint, counted when the metrics are asked for.

    A store is shown for as long as it is in use: where a partition went to another process, that process shows it.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._stores: WeakSet[SequenceStore] = WeakSet()

    def watch(self, store: SequenceStore) -> None:
        """Shows the sequences of the store, and does not keep it alive."""
        self._stores.add(store)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Five gauges for every endpoint with a sequence; all are 0 where nothing is missing and one counter runs."""
        open_holes = GaugeMetricFamily(
            f"{PREFIX}open_holes", "Runs of missing sequence ids that are reported open.", labels=["endpoint"]
        )
        missing = GaugeMetricFamily(f"{PREFIX}missing_ids", "Ids in open holes of a sequence.", labels=["endpoint"])
        suspected = GaugeMetricFamily(
            f"{PREFIX}suspected_ids",
            "Ids in holes of a sequence that are in their grace time, and not reported yet.",
            labels=["endpoint"],
        )
        oldest = GaugeMetricFamily(
            f"{PREFIX}oldest_hole_seconds", "Age of the oldest open hole; 0 without one.", labels=["endpoint"]
        )
        mixed = GaugeMetricFamily(
            f"{PREFIX}mixed_counters",
            "1 where two counters share an endpoint, so that what is missing cannot be known.",
            labels=["endpoint"],
        )
        now = self._clock()
        for store in self._stores:
            for state in store.shown:
                reported = state.reported_count()
                holes = state.holes[:reported]
                in_grace = sum(hole.last - hole.first + 1 for hole in state.holes[reported:])
                suspected.add_metric([state.endpoint], in_grace)
                open_holes.add_metric([state.endpoint], len(holes))
                mixed.add_metric([state.endpoint], 0 if state.mixed is None else 1)
                missing.add_metric([state.endpoint], sum(hole.last - hole.first + 1 for hole in holes))
                age_s = (now - holes[0].suspected_at).total_seconds() if holes else 0.0
                oldest.add_metric([state.endpoint], age_s)
        return open_holes, missing, suspected, oldest, mixed


class SequenceMetrics:
    """The metrics of group `sequence`, made once on a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], datetime]) -> None:
        self._gaps = PlainCounts(
            f"{PREFIX}gaps", "Records of gaps written, by the state they tell.", ["endpoint", "state"], registry
        )
        self.holes = HoleGauges(clock)
        registry.register(self.holes)

    def expect_endpoints(self, endpoints: Iterable[str]) -> None:
        """Begins every count of these endpoints at 0."""
        for endpoint, state in product(endpoints, TRACKED_STATES):
            self._gaps.begin(endpoint, state.value)

    def count_outputs(self, outputs: Collection[Record]) -> None:
        """Counts the gaps that one committed transaction wrote."""
        for gap in [read_gap(output.value) for output in outputs]:
            if gap is not None:
                self._gaps.add(gap.endpoint, gap.state.value)
