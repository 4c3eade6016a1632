"""One consumer group in this process: it connects, goes round, and ends.

A round: open the partitions assigned since the last one -> fetch once for all -> one transaction per partition, side by
side. A slow cluster is waited for here, with growing pauses; an error that no wait mends ends the process, and its
supervisor starts it anew.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from processors.runtime.assignment import Assignment, Batches
from processors.runtime.connection import Connection
from processors.runtime.group_spec import GroupSpec
from processors.runtime.state_store import StoreT
from schemas.errors import DropstreamError
from schemas.health import Health
from schemas.kafka.arguments import GROUP_FETCH_WAIT_MS, group_consumer_arguments
from schemas.kafka.cancellation import stopped_within
from schemas.kafka.futures import retrieve_exception
from schemas.kafka.layout_watch import LayoutWatch
from schemas.notes.layout_faults import layout_fault, may_process, readable_partitions

_log = structlog.get_logger()

_FETCH_WAIT_MS = 200
# Longer than a fetch that finds nothing: the client's next one waits for it.
_MORE_WAIT_MS = GROUP_FETCH_WAIT_MS + 25
_PUNCTUATE_S = 1.0
_TURN_S = 1.0
# Consecutive failures after which an error that no retry mends ends the process.
_FAILURES_MAX = 5
_BACKOFF_FIRST_S = 0.2
_BACKOFF_MAX_S = 5.0
_STOP_TIMEOUT_S = 5.0
_MIGRATION_S = 1.0
# Longer than any healthy round: opening and a transaction are each bounded by the transaction's time-out.
_SILENT_AFTER_S = 60.0


@dataclass
class Group(Generic[StoreT]):
    """A consumer group in this process. `run` ends when `stopping` is set."""

    spec: GroupSpec[StoreT]
    stopping: asyncio.Event
    _assignment: Assignment[StoreT] | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _failures: int = 0
    _punctuate_at: float = 0.0
    _turned_at: float | None = None
    _has_paused: bool = False
    _waiter: "asyncio.Task[bool] | None" = None
    _connection: Connection = field(init=False)

    def __post_init__(self) -> None:
        self._connection = Connection(self.spec.name)
        self.spec.metrics.show_connection(self.spec.name, self._connection)

    async def run(self) -> None:
        """Processes until `stopping` is set.

        Raises:
            FencedError: another process took a partition over; end this process and start anew.
            DropstreamError: a topic that the group reads or writes is missing.
        """
        async with LayoutWatch(self.spec.settings).running() as watch:
            try:
                while not self.stopping.is_set():
                    await self._take_part(watch)
            finally:
                if self._waiter is not None:
                    self._waiter.cancel()

    async def _take_part(self, watch: LayoutWatch) -> None:
        """Is a member of the group until `stopping` is set, or a migration wants the group empty.

        Raises as `run` does.
        """
        consumer = await self._connected(watch)
        if consumer is None:
            return
        readable = readable_partitions(watch.layout)
        assignment: Assignment[StoreT] = Assignment(self.spec, consumer, readable=readable)
        self._assignment = assignment
        self._connection.begin(consumer)
        try:
            consumer.subscribe([self.spec.source_topic], listener=assignment)
            # Where a whole migration went by unseen, the group begins anew too.
            while (
                not self.stopping.is_set() and self._may_go_on(watch) and readable == readable_partitions(watch.layout)
            ):
                await self._round(consumer, assignment)
        finally:
            self._connection.end()
            await assignment.close(_STOP_TIMEOUT_S)
            await stopped_within(_STOP_TIMEOUT_S, consumer.stop())

    def health(self) -> Health:
        """Live while rounds turn, be Kafka there or not; ready when it answers and every assigned partition is open."""
        if self._assignment is None or self._turned_at is None:
            return Health(live=True, ready=False, facts={"connected": False})
        live = asyncio.get_running_loop().time() - self._turned_at < _SILENT_AFTER_S
        connected, complete = self._connection.is_up, self._assignment.is_complete
        return Health(
            live=live,
            ready=live and connected and complete and not self._failures and not self.stopping.is_set(),
            facts={
                "connected": connected,
                "kafka_silent_seconds": round(self._connection.silent_s or 0.0, 1),
                "partitions_open": self._assignment.open_count,
                "partitions_opening": self._assignment.pending_count,
            },
        )

    def _may_go_on(self, watch: LayoutWatch) -> bool:
        """Whether the group may read now; False while a migration moves its state.

        Raises:
            DropstreamError: the partitions are not those of the layout.
        """
        if fault := layout_fault(watch.layout, watch.counts, self.spec.settings.kafka.topic_prefix):
            raise DropstreamError(fault)
        if may_process(watch.layout):
            return True
        _log.info("migration_waited_for", group=self.spec.name)
        return False

    async def _connected(self, watch: LayoutWatch) -> AIOKafkaConsumer | None:
        """A started consumer, however long the cluster or a migration takes; None when `stopping` is set meanwhile."""
        while not self.stopping.is_set():
            if watch.is_known and not self._may_go_on(watch):
                await self._pause(_MIGRATION_S)
                continue
            consumer = AIOKafkaConsumer(**group_consumer_arguments(self.spec.settings, group=self.spec.id))
            try:
                await consumer.start()
                topics = await consumer.topics()
            except KafkaError as error:
                await stopped_within(_STOP_TIMEOUT_S, consumer.stop())
                await self._back_off("kafka_away", error)
                continue
            # Without one that it only writes to, no transaction would ever be committed: a new version may need more.
            missing = [topic for topic in self.spec.topics if topic not in topics]
            if not missing:
                self._failures = 0
                # Read before the first record is: a topic that has grown meanwhile must not be.
                await watch.known()
                if self._may_go_on(watch):
                    return consumer
                await stopped_within(_STOP_TIMEOUT_S, consumer.stop())
                continue
            await stopped_within(_STOP_TIMEOUT_S, consumer.stop())
            which = "it" if len(missing) == 1 else "them"
            raise DropstreamError(
                f"there is no topic {', '.join(missing)}; create {which} with: dropstream topics apply"
            )
        return None

    async def _round(self, consumer: AIOKafkaConsumer, assignment: Assignment[StoreT]) -> None:
        loop = asyncio.get_running_loop()
        process = self.spec.settings.process
        failures = self._failures
        if (error := await assignment.open_pending()) is not None:
            await self._back_off("partition_not_opened", error)
        batches = await self._fetch(consumer, assignment)
        began = loop.time()
        if batches and not await assignment.process(batches):
            await self._back_off("round_incomplete", None)
            return
        if self._punctuate_at <= began:
            self._punctuate_at = began + _PUNCTUATE_S
            await assignment.punctuate(self.clock())
        if self._failures == failures:
            # A round in which nothing failed, be there something to read or not.
            self._failures = 0
        self._has_paused = bool(batches) and _count(batches) < process.records_per_round_max
        if self._has_paused:
            await self._pause(began + process.commit_interval_ms / 1000 - loop.time())

    async def _fetch(self, consumer: AIOKafkaConsumer, assignment: Assignment[StoreT]) -> Batches:
        """The fetched records; none where the cluster is away or `stopping` is set.

        Raises:
            DropstreamError: fetching fails for good.
        """
        # A cancelled fetch never leaves its fetch context, and one waits without bound while the group rebalances.
        fetch = asyncio.ensure_future(self._fetched(consumer))
        while not fetch.done() and not self.stopping.is_set():
            self._turned_at = asyncio.get_running_loop().time()
            self._connection.observe()
            await asyncio.wait({fetch, self._stop_waiter()}, timeout=_TURN_S, return_when=asyncio.FIRST_COMPLETED)
        if not fetch.done():
            fetch.add_done_callback(retrieve_exception)
            return {}
        try:
            return fetch.result()
        except OffsetOutOfRangeError as error:
            await assignment.reopen(error.args[0])
            await self._back_off("position_out_of_range", error)
            return {}
        except KafkaError as error:
            if not error.retriable and self._failures > _FAILURES_MAX:
                raise DropstreamError(f"group {self.spec.name} cannot fetch any more: {error!r}") from error
            await self._back_off("fetch_failed", error)
            return {}

    async def _fetched(self, consumer: AIOKafkaConsumer) -> Batches:
        """The records that have come, of all partitions.

        During a pause the client holds what came at the beginning of it, and asks for more only when that is taken. So
        after a pause there are two fetches, or the rest would lie until the next round.
        """
        left = self.spec.settings.process.records_per_round_max
        first: Batches = await consumer.getmany(timeout_ms=_FETCH_WAIT_MS, max_records=left)
        left -= _count(first)
        if not (first and self._has_paused and left > 0):
            return first
        try:
            more: Batches = await consumer.getmany(timeout_ms=_MORE_WAIT_MS, max_records=left)
        except KafkaError:
            return first  # The client will not give these again; the error comes again with the next fetch.
        return {source: [*first.get(source, ()), *more.get(source, ())] for source in {**first, **more}}

    def _stop_waiter(self) -> "asyncio.Task[bool]":
        """One task for the whole run that ends when `stopping` is set."""
        if self._waiter is None:
            self._waiter = asyncio.create_task(self.stopping.wait())
        return self._waiter

    async def _back_off(self, event: str, error: BaseException | None) -> None:
        delay_s = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1)  # noqa: S311 jitter
        self._failures += 1
        self.spec.metrics.rounds_failed.labels(self.spec.name, event).inc()
        _log.warning(event, group=self.spec.name, error=repr(error), retry_in_s=round(delay_s, 1))
        await self._pause(delay_s)

    async def _pause(self, seconds: float) -> None:
        """Waits, but not past `stopping`."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.stopping.wait()


def _count(batches: Batches) -> int:
    return sum(map(len, batches.values()))
