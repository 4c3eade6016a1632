"""One of the few transactional producers of a group in this process, replaced under the same id after every failure.

A producer's start fences the producer before it, and answers only when the transaction that this one left open has
ended. So a failed transaction is never aborted by hand, and a successor of this process that has its ids ends its
transactions at once. Before that, the one that is given up settles its last commit: an abort behind markers that are
missing would take along what was committed.
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError

from schemas.kafka.arguments import transactional_producer_arguments
from schemas.kafka.producers import close_producer, open_producer, stop_producer
from schemas.kafka.transactions.group_producer import GroupProducer
from schemas.late_log import LateLog
from schemas.settings import Settings

_log = LateLog()

_BACKOFF_FIRST_S = 0.2
_BACKOFF_MAX_S = 5.0
# A part of the seconds that a group has for its producers when it ends.
_SETTLED_AT_THE_END_S = 2.0
# A transaction whose records are not at the brokers by then is given up at first, for others wait behind it; see
# `give_up`.
QUICK_S = 1.5


def producer_ids(group: str, settings: Settings) -> Sequence[str]:
    """The transactional ids of a group's producers in this process; the last one is that of the trials.

    With an instance id they are the same after a restart: the new process ends at once what the old one left open.
    Without one they are of this process alone, and what it leaves open ends by `transaction_timeout_ms`.
    """
    process = settings.process
    member = process.instance_id or str(uuid.uuid4())
    return [*(f"{group}-{member}-{number}" for number in range(process.producers)), f"{group}-{member}-trials"]


@dataclass(slots=True, eq=False)
class ProducerSlot:
    """A place for a producer of this transactional id; `topics` are the full names of all that it writes to.

    `on_doubt` is called where `is_in_doubt` has become true although the producer had nothing to do.
    """

    transactional_id: str
    topics: Sequence[str]
    settings: Settings
    patience_s: float = QUICK_S
    producer: GroupProducer | None = None
    on_doubt: Callable[[], None] = lambda: None
    # It was given up, and nobody knows yet whether the markers of its last commit are written.
    _unsettled: GroupProducer | None = None
    _closing: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def is_in_doubt(self) -> bool:
        """Whether markers of its last commit may be missing: readers wait for them, and `start` has them written."""
        return self.producer is not None and self.producer.markers.is_in_doubt

    async def start(self) -> None:
        """Starts the producer, however long the cluster is away: cancel it to end."""
        await self._settle()
        arguments = transactional_producer_arguments(self.settings, transactional_id=self.transactional_id)
        within_s = self.settings.process.transaction_timeout_ms / 1000
        backoff_s = _BACKOFF_FIRST_S
        while True:
            try:
                first, *others = self.topics
                self.producer = await open_producer(
                    arguments, topic=first, others=others, within_s=within_s, make=GroupProducer
                )
            except (KafkaError, TimeoutError, OSError) as error:
                _log.warning(
                    "producer_not_started", producer=self.transactional_id, error=repr(error), retry_in_s=backoff_s
                )
                await asyncio.sleep(backoff_s)
                backoff_s = min(_BACKOFF_MAX_S, 2 * backoff_s)
            else:
                self.producer.markers.on_doubt = self.on_doubt
                return

    def drop(self) -> None:
        """Gives the producer up as it is; the next `start` aborts what it leaves open."""
        producer, self.producer = self.producer, None
        if producer is None:
            return
        if producer.markers.commit is not None:
            self._unsettled = producer
        else:
            self._close(producer)

    def give_up(self) -> None:
        """Notes that Kafka took too long: the next transaction has more time, or a slow cluster would take none."""
        self.patience_s = min(2 * self.patience_s, self.settings.process.transaction_timeout_ms / 1000)

    def prove(self, took_s: float) -> None:
        """Notes how long a transaction took that was committed."""
        if took_s < QUICK_S:
            self.patience_s = QUICK_S

    async def stop(self) -> None:
        """Ends the producer, which has no open transaction; what is in doubt is settled where that is quick."""
        if self.is_in_doubt:
            self.drop()
        producer, self.producer = self.producer, None
        if producer is not None:
            await stop_producer(producer)
        try:
            async with asyncio.timeout(_SETTLED_AT_THE_END_S):
                await self._settle()
        except TimeoutError:
            _log.warning("commit_not_settled", producer=self.transactional_id, error="the process ends before")
        if self._unsettled is not None:
            self._close(self._unsettled)
        if self._closing:
            await asyncio.wait(self._closing)

    async def _settle(self) -> None:
        """Has the markers written of what the producer before had committed."""
        producer = self._unsettled
        if producer is None:
            return
        await producer.settle()
        self._unsettled = None
        self._close(producer)

    def _close(self, producer: GroupProducer) -> None:
        task = asyncio.create_task(close_producer(producer, flush_s=0))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
