"""What the consumer groups count; the label `group` tells them apart."""

from collections import Counter as Counted
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import product
from typing import Any, Protocol
from weakref import WeakSet

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from processors.runtime.state_store import StateStore
from processors.sequence.state import SequenceState
from schemas.notes.gaps import GapState
from schemas.notes.rejections import Reason
from schemas.records import Record
from schemas.settings import EndpointSettings
from schemas.vocabulary import TimeQuality

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PREFIX = "dropstream_process_"
# Why a group could not go on and tries again; each is the event of a log line too.
ROUND_FAILURES = ("kafka_away", "partition_not_opened", "round_incomplete", "position_out_of_range", "fetch_failed")


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
        open_holes = GaugeMetricFamily(
            f"{_PREFIX}open_holes", "Runs of missing sequence ids that are reported open.", labels=["endpoint"]
        )
        missing = GaugeMetricFamily(f"{_PREFIX}missing_ids", "Ids in open holes of a sequence.", labels=["endpoint"])
        oldest = GaugeMetricFamily(
            f"{_PREFIX}oldest_hole_seconds", "Age of the oldest open hole; 0 without one.", labels=["endpoint"]
        )
        now = self._clock()
        for tracked in self._watched:
            for state in tracked.shown:
                holes = state.holes[: state.reported_count()]
                open_holes.add_metric([state.endpoint], len(holes))
                missing.add_metric([state.endpoint], sum(hole.last - hole.first + 1 for hole in holes))
                age_s = (now - holes[0].suspected_at).total_seconds() if holes else 0.0
                oldest.add_metric([state.endpoint], age_s)
        return open_holes, missing, oldest


class SecretGauges(Collector):
    """How long the secrets of each endpoint are good for, computed when somebody looks."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._endpoints: Callable[[], Mapping[str, EndpointSettings]] = dict

    def watch(self, endpoints: Callable[[], Mapping[str, EndpointSettings]]) -> None:
        """Shows those that these are when somebody looks."""
        self._endpoints = endpoints

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One gauge for every endpoint that will be without a secret some day."""
        left = GaugeMetricFamily(
            f"{_PREFIX}secrets_left_seconds",
            "Until the last secret of the endpoint expires, below 0 after it; absent where one never does.",
            labels=["endpoint"],
        )
        now = self._clock()
        for name, endpoint in self._endpoints().items():
            ends = [secret.expires for secret in endpoint.secrets]
            last = max((end for end in ends if end is not None), default=None)
            if endpoint.enabled and last is not None and None not in ends:
                left.add_metric([name], (last - now).total_seconds())
        return (left,)


class ProcessMetrics:
    """The metrics of a process, made once on a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._records = Counter(f"{_PREFIX}records", "Input records committed.", ["group"], registry=registry)
        self._outputs = Counter(
            f"{_PREFIX}outputs", "Records written, by their topic.", ["group", "topic"], registry=registry
        )
        self._rejected = Counter(
            f"{_PREFIX}rejected",
            "Deliveries rejected; `endpoint` is empty where it is not configured.",
            ["group", "endpoint", "reason"],
            registry=registry,
        )
        self.transaction_seconds = Histogram(
            f"{_PREFIX}transaction_seconds",
            "A transaction, from its begin to its end.",
            ["group"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.transactions_failed = Counter(
            f"{_PREFIX}transactions_failed", "Transactions given up, to be done again.", ["group"], registry=registry
        )
        self.opening_seconds = Histogram(
            f"{_PREFIX}opening_seconds",
            "Opening a partition: fencing, offset, memory.",
            ["group"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.rounds_failed = Counter(
            f"{_PREFIX}rounds_failed", "Attempts to go on that failed, by why.", ["group", "reason"], registry=registry
        )
        self.partitions_open = Gauge(
            f"{_PREFIX}partitions_open", "Partitions in work here.", ["group"], registry=registry
        )
        self.partitions_opening = Gauge(
            f"{_PREFIX}partitions_opening",
            "Partitions that are ours, and not in work yet.",
            ["group"],
            registry=registry,
        )
        partition = ["group", "partition"]
        self._lag = Gauge(
            f"{_PREFIX}lag_records", "Records that were there and not processed.", partition, registry=registry
        )
        self._remembered = Gauge(
            f"{_PREFIX}remembered", "Entries of the partition's memory.", partition, registry=registry
        )
        self._evicted = Gauge(
            f"{_PREFIX}evicted", "Entries forgotten early, for want of room.", partition, registry=registry
        )
        self._duplicates = Counter(
            f"{_PREFIX}duplicates", "A provider's retries, dropped.", ["group", "endpoint"], registry=registry
        )
        self._differing = Counter(
            f"{_PREFIX}bodies_differing",
            "Deliveries with a known key and another body, processed all the same.",
            ["group", "endpoint"],
            registry=registry,
        )
        self._gaps = Counter(
            f"{_PREFIX}gaps",
            "Records of gaps written, by the state they tell.",
            ["endpoint", "state"],
            registry=registry,
        )
        self._provider_ahead = Gauge(
            f"{_PREFIX}provider_ahead_seconds",
            "How far the provider's own time of a delivery is past our time of its receipt; below 0 as a rule.",
            ["endpoint"],
            registry=registry,
        )
        clock_gauge = Gauge(
            f"{_PREFIX}clock_timestamp_seconds",
            "This machine's time; against the scraper's own it shows a clock that is wrong.",
            registry=registry,
        )
        clock_gauge.set_function(lambda: clock().timestamp())
        self.secrets = SecretGauges(clock)
        registry.register(self.secrets)
        self.holes = HoleGauges(clock)
        registry.register(self.holes)

    def expect_group(self, group: str) -> None:
        """What can happen to a group is counted from 0: what has no sample before its first event has no rate at it."""
        self._records.labels(group)
        self.transactions_failed.labels(group)
        self.partitions_open.labels(group)
        self.partitions_opening.labels(group)
        for reason in ROUND_FAILURES:
            self.rounds_failed.labels(group, reason)

    def expect_endpoints(self, group: str, endpoints: Iterable[str]) -> None:
        """The same for what can happen to the deliveries of these endpoints in this group."""
        if group == "sequence":
            for endpoint, state in product(endpoints, GapState):
                self._gaps.labels(endpoint, state.value)
            return
        for endpoint in endpoints:
            self._duplicates.labels(group, endpoint)
            self._differing.labels(group, endpoint)
            for reason in set(Reason) - {Reason.ENDPOINT_UNKNOWN}:
                self._rejected.labels(group, endpoint, reason.value)
        self._rejected.labels(group, "", Reason.ENDPOINT_UNKNOWN.value)

    def count_input(self, group: str, records: int) -> None:
        """Counts the input of one committed transaction."""
        self._records.labels(group).inc(records)

    def count_outputs(self, group: str, outputs: Collection[Record]) -> None:
        """Counts what one committed transaction wrote; an endpoint not configured, which has any name, as ""."""
        latest: dict[bytes, Record] = {}
        for topic, count in Counted([output.topic for output in outputs]).items():
            self._outputs.labels(group, topic).inc(count)
        for output in outputs:
            if output.topic == "rejected":
                self._count_rejected(group, dict(output.headers))
            elif output.topic == "duplicates":
                self._duplicates.labels(group, output.key.decode()).inc()
            elif output.topic == "gaps":
                self._gaps.labels(output.key.decode(), orjson.loads(output.value)["state"]).inc()
            elif endpoint := dict(output.headers).get("endpoint"):
                latest[endpoint] = output
                if ("bodydiffers", b"true") in output.headers:
                    self._differing.labels(group, endpoint.decode()).inc()
        for endpoint, event in latest.items():
            self._show_time(endpoint.decode(), orjson.loads(event.value))

    def _count_rejected(self, group: str, headers: Mapping[str, bytes]) -> None:
        reason = headers["dropstream-reason"].decode()
        endpoint = b"" if reason == Reason.ENDPOINT_UNKNOWN else headers.get("dropstream-endpoint", b"")
        self._rejected.labels(group, endpoint.decode(), reason).inc()

    def _show_time(self, endpoint: str, event: Mapping[str, Any]) -> None:
        """One event of an endpoint and transaction is looked at, for that is enough to see a clock that is wrong."""
        if event["timequality"] == TimeQuality.EXACT:
            ahead = datetime.fromisoformat(event["time"]) - datetime.fromisoformat(event["recordedtime"])
            self._provider_ahead.labels(endpoint).set(ahead.total_seconds())

    def show_partition(self, group: str, partition: int, *, lag: int, store: StateStore) -> None:
        """Shows how one partition stands."""
        self._lag.labels(group, str(partition)).set(lag)
        self._remembered.labels(group, str(partition)).set(store.entries)
        self._evicted.labels(group, str(partition)).set(store.evicted)

    def hide_partition(self, group: str, partition: int) -> None:
        """It is another process's now; what we last knew of it is no news."""
        for gauge in (self._lag, self._remembered, self._evicted):
            with suppress(KeyError):
                gauge.remove(group, str(partition))
