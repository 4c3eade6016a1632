"""The records of one partition, in batches: what comes while a batch is on its way to Kafka goes with the next one.

One at a time is in flight, so order holds, and a busy partition makes large batches by itself. aiokafka's own `send`
costs a future and a search for room per record; a batch has one future for all that wait for it.
"""

import asyncio
from asyncio import Future, TimerHandle
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTimestampError, KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from ingest.limits import Hold
from schemas.delivery import PendingRecord

# The record's own fault, or that of a record in its batch: another producer would not help.
_REFUSALS = (InvalidTimestampError, MessageSizeTooLargeError, RecordListTooLargeError)


class Fate(Enum):
    """What became of a record."""

    WRITTEN = auto()
    UNKNOWN = auto()  # Not written in time; it may be written later.
    REFUSED = auto()  # It, or another one of its batch, is such as Kafka never takes.


OnFate = Callable[[Fate], None]


class Batch:
    """Records that share one fate; `submitted` once the client has them, and then it does not give them back."""

    __slots__ = ("began_at", "builder", "deadline", "holds", "submitted", "waiting")

    def __init__(self, builder: Any, began_at: float) -> None:
        self.builder = builder
        self.began_at = began_at
        self.waiting: list[OnFate] = []
        self.holds: list[Hold] = []
        self.submitted = False
        self.deadline: TimerHandle | None = None

    def tell(self, fate: Fate) -> None:
        """Tells all that wait; once."""
        waiting, self.waiting = self.waiting, []
        for on_fate in waiting:
            on_fate(fate)

    def release(self) -> None:
        """Its bytes are no longer needed."""
        for hold in self.holds:
            hold.release()
        self.holds = []
        if self.deadline is not None:
            self.deadline.cancel()


class PartitionBatches:
    """Batches for one partition through one producer.

    `settled` is told of every batch that the client had, with its error; `overdue` of every one that it still has when
    the first record's deadline is over. Those that wait have been told by then.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        partition: int,
        *,
        deadline_s: float,
        overdue: Callable[[Batch], None],
        settled: Callable[[Batch, BaseException | None], None],
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._deadline_s = deadline_s
        self._overdue = overdue
        self._settled = settled
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Batch] = deque()
        self._open: Batch | None = None
        self._in_flight: Batch | None = None
        self._sending: asyncio.Task[None] | None = None

    def append(self, record: PendingRecord, hold: Hold, on_fate: OnFate) -> None:
        """Takes the record and a share of its hold; `on_fate` is called within the deadline, after this returned."""
        batch = self._open
        if batch is None or not _add(batch, record):
            batch = self._begin()
            _add(batch, record)  # An empty batch takes a record of any size.
        batch.holds.append(hold.share())
        batch.waiting.append(on_fate)

    def _begin(self) -> Batch:
        batch = Batch(self._producer.create_batch(), self._loop.time())
        batch.deadline = self._loop.call_at(batch.began_at + self._deadline_s, self._give_up, batch)
        self._ready.append(batch)
        self._open = batch
        if self._sending is None:
            # With the next turn of the loop, so that all that came with this one goes together.
            self._sending = self._loop.create_task(self._send())
        return batch

    async def _send(self) -> None:
        """Sends batch after batch, until none is left."""
        try:
            while self._ready:
                batch = self._ready.popleft()
                if batch is self._open:
                    self._open = None
                batch.builder.close()
                batch.submitted = True
                await self._brought(batch)
        finally:
            self._sending = None

    async def _brought(self, batch: Batch) -> None:
        """Returns when the fate of the batch is known, however long that takes."""
        error: BaseException | None = None
        written: Future[object] | None = None
        try:
            written = await self._producer.send_batch(batch.builder, self._topic, partition=self._partition)
            await asyncio.wait((written,))
        except (KafkaError, TimeoutError) as refused:
            error = refused
        if written is not None:
            error = written.exception()
        batch.release()
        batch.tell(fate_of(error))
        self._settled(batch, error)

    def _give_up(self, batch: Batch) -> None:
        """The deadline is over: what the client has is overdue, what it has not is not given to it any more."""
        batch.tell(Fate.UNKNOWN)
        if batch.submitted:
            self._overdue(batch)
            return
        self._ready.remove(batch)
        if batch is self._open:
            self._open = None
        batch.release()


def fate_of(error: BaseException | None) -> Fate:
    """What an error of the client's means for the records of the batch."""
    if error is None:
        return Fate.WRITTEN
    return Fate.REFUSED if isinstance(error, _REFUSALS) else Fate.UNKNOWN


def _add(batch: Batch, record: PendingRecord) -> bool:
    """Whether there was room."""
    appended = batch.builder.append(
        timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=list(record.headers)
    )
    return appended is not None
