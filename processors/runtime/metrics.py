"""What every consumer group counts; the label `group` tells the groups apart."""

from collections import Counter as Counted
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from processors.runtime.connection import Connection
from processors.runtime.state_store import StateStore
from schemas.records import Record

PREFIX = "dropstream_process_"
TRANSACTION_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Why a group could not go on and tries again; each is the event of a log line too.
ROUND_FAILURES = ("kafka_away", "partition_not_opened", "round_incomplete", "position_out_of_range", "fetch_failed")


class GroupMetrics:
    """The metrics of the runtime, made once on a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, labelnames=["group"], registry=registry)
        gauge = partial(Gauge, labelnames=["group"], registry=registry)
        histogram = partial(Histogram, labelnames=["group"], buckets=TRANSACTION_SECONDS, registry=registry)
        of_partition = partial(Gauge, labelnames=["group", "partition"], registry=registry)
        self._records = counter(f"{PREFIX}records", "Input records committed.")
        self._outputs = counter(f"{PREFIX}outputs", "Records written, by their topic.", labelnames=["group", "topic"])
        self.transaction_seconds = histogram(
            f"{PREFIX}transaction_seconds", "A transaction, from its begin to its end."
        )
        self.transactions_failed = counter(f"{PREFIX}transactions_failed", "Transactions given up, to be done again.")
        self.opening_seconds = histogram(f"{PREFIX}opening_seconds", "Opening a partition: fencing, offset, memory.")
        self.rounds_failed = counter(
            f"{PREFIX}rounds_failed", "Attempts to go on that failed, by why.", labelnames=["group", "reason"]
        )
        self.partitions_open = gauge(f"{PREFIX}partitions_open", "Partitions in work here.")
        self.partitions_opening = gauge(f"{PREFIX}partitions_opening", "Partitions that are ours, and not in work yet.")
        self._connected = gauge(f"{PREFIX}connected", "1 while Kafka answers the group, busy or idle.")
        self._lag = of_partition(f"{PREFIX}lag_records", "Records that were there and not processed.")
        self._remembered = of_partition(f"{PREFIX}remembered", "Entries of the partition's memory.")
        self._share = of_partition(
            f"{PREFIX}remembered_share", "How much of its budget the partition's memory has used; beyond 1 it forgets."
        )
        self._stuck = of_partition(
            f"{PREFIX}partition_stuck_seconds",
            "For how long a partition that is ours does not get on; there is no series for one that does.",
        )
        self._shown: dict[tuple[str, int], list[Gauge]] = {}
        self._shown_stuck: dict[str, set[int]] = {}
        self._evicted = of_partition(f"{PREFIX}evicted", "Entries forgotten early, for want of room.")

    def expect_group(self, group: str) -> None:
        """Begins every count of the group at 0: without a sample before its first event a counter has no rate at it."""
        self._records.labels(group)
        self.transactions_failed.labels(group)
        self.partitions_open.labels(group)
        self.partitions_opening.labels(group)
        self._connected.labels(group)
        for reason in ROUND_FAILURES:
            self.rounds_failed.labels(group, reason)

    def show_connection(self, group: str, connection: Connection) -> None:
        """Shows at each scrape whether the cluster answers the group then."""
        self._connected.labels(group).set_function(lambda: float(connection.is_up))

    def count_input(self, group: str, records: int) -> None:
        """Counts the input of one committed transaction."""
        self._records.labels(group).inc(records)

    def count_outputs(self, group: str, outputs: Collection[Record]) -> None:
        """Counts the records that one committed transaction wrote, by topic."""
        for topic, count in Counted([output.topic for output in outputs]).items():
            self._outputs.labels(group, topic).inc(count)

    def show_partition(self, group: str, partition: int, *, lag: int, store: StateStore) -> None:
        """Shows the lag and the store of one partition."""
        shown = self._shown.get((group, partition))
        if shown is None:
            gauges = (self._lag, self._remembered, self._share, self._evicted)
            # To look a gauge up by its labels takes longer than all else that is shown.
            shown = self._shown[group, partition] = [one.labels(group, str(partition)) for one in gauges]
        for gauge, value in zip(shown, (lag, store.entries, store.fullness, store.evicted), strict=True):
            gauge.set(value)

    def show_stuck(self, group: str, seconds: Mapping[int, float]) -> None:
        """Shows the partitions that do not get on, and no others."""
        for partition in self._shown_stuck.get(group, set()) - seconds.keys():
            self._stuck.remove(group, str(partition))
        for partition, stuck_s in seconds.items():
            self._stuck.labels(group, str(partition)).set(stuck_s)
        self._shown_stuck[group] = set(seconds)

    def hide_partition(self, group: str, partition: int) -> None:
        """Shows nothing of a partition that another process has now."""
        self._shown.pop((group, partition), None)
        for gauge in (self._lag, self._remembered, self._share, self._evicted):
            with suppress(KeyError):
                gauge.remove(group, str(partition))
