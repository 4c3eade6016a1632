"""One consumer group in this process: it connects, goes round, and ends.

A round: open the partitions noted since the last one -> fetch once for all -> one transaction per partition, side by
side. The world being slow is waited for here, with growing pauses; being wrong ends the process, and its supervisor
starts it anew.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from processors.assignment import Assignment
from processors.state import StateT
from processors.work import Work
from schemas.errors import DropstreamError
from schemas.health import Health
from schemas.kafka import group_consumer_arguments

_log = structlog.get_logger()

_FETCH_WAIT_MS = 200
_TICK_S = 1.0
_BACKOFF_FIRST_S = 0.2
_BACKOFF_MAX_S = 5.0
_STOP_TIMEOUT_S = 5.0
# Longer than any healthy round: opening and a transaction are each bounded by the transaction's time-out.
_SILENT_AFTER_S = 60.0


@dataclass
class Group(Generic[StateT]):
    """A consumer group in this process. `run` ends when `stopping` is set."""

    work: Work[StateT]
    stopping: asyncio.Event
    _assignment: Assignment[StateT] | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _failures: int = 0
    _tick_at: float = 0.0
    _round_at: float | None = None

    async def run(self) -> None:
        """Processes until `stopping` is set.

        Raises:
            FencedError: another process took a partition over; end this process and start anew.
            DropstreamError: the source topic is missing.
        """
        consumer = await self._connected()
        if consumer is None:
            return
        assignment: Assignment[StateT] = Assignment(self.work, consumer)
        self._assignment = assignment
        try:
            consumer.subscribe([self.work.source_topic], listener=assignment)
            while not self.stopping.is_set():
                await self._round(consumer, assignment)
        finally:
            await assignment.close(_STOP_TIMEOUT_S)
            await _within(_STOP_TIMEOUT_S, consumer.stop())

    def health(self) -> Health:
        """Live while rounds go on; ready when every assigned partition is open."""
        if self._assignment is None or self._round_at is None:
            return Health(live=True, ready=False, facts={"connected": False})
        live = asyncio.get_running_loop().time() - self._round_at < _SILENT_AFTER_S
        opening = self._assignment.noted_count
        return Health(
            live=live,
            ready=live and not opening and not self.stopping.is_set(),
            facts={"connected": True, "partitions_open": self._assignment.open_count, "partitions_opening": opening},
        )

    async def _connected(self) -> AIOKafkaConsumer | None:
        """A started consumer, however long the cluster is away; None when told to stop meanwhile."""
        while not self.stopping.is_set():
            consumer = AIOKafkaConsumer(**group_consumer_arguments(self.work.settings, group=self.work.id))
            try:
                await consumer.start()
                topics = await consumer.topics()
            except KafkaError as error:
                await _within(_STOP_TIMEOUT_S, consumer.stop())
                await self._back_off("kafka_away", error)
                continue
            if self.work.source_topic in topics:
                self._failures = 0
                return consumer
            await _within(_STOP_TIMEOUT_S, consumer.stop())
            raise DropstreamError(
                f"there is no topic {self.work.source_topic}; create it with: dropstream topics apply"
            )
        return None

    async def _round(self, consumer: AIOKafkaConsumer, assignment: Assignment[StateT]) -> None:
        loop = asyncio.get_running_loop()
        process = self.work.settings.process
        if (error := await assignment.open_noted()) is not None:
            await self._back_off("partition_not_opened", error)
        try:
            batches = await consumer.getmany(timeout_ms=_FETCH_WAIT_MS, max_records=process.records_per_round_max)
        except KafkaError as error:
            await self._back_off("fetch_failed", error)
            return
        began = self._round_at = loop.time()
        if batches:
            await assignment.process(batches)
            self._failures = 0
        if self._tick_at <= began:
            self._tick_at = began + _TICK_S
            await assignment.tick(self.clock())
        if batches and sum(map(len, batches.values())) < process.records_per_round_max:
            await self._pause(began + process.commit_interval_ms / 1000 - loop.time())

    async def _back_off(self, event: str, error: BaseException) -> None:
        delay_s = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2**self._failures) * random.uniform(0.5, 1)  # noqa: S311 jitter
        self._failures = min(self._failures + 1, 10)
        _log.warning(event, group=self.work.name, error=repr(error), retry_in_s=round(delay_s, 1))
        await self._pause(delay_s)

    async def _pause(self, seconds: float) -> None:
        """Waits, but not past `stopping`."""
        if seconds > 0:
            await _within(seconds, self.stopping.wait())


async def _within(seconds: float, what: Awaitable[object]) -> None:
    """Awaits `what`, at most so long; a cluster that is away must not keep us."""
    with contextlib.suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(seconds):
            await what
