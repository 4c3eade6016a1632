"""Deliveries to `raw`, and the truth about each: True only when all in-sync replicas have it.

One idempotent producer, connected in the background for as long as it takes: Kafka away at start stops nothing.
"""

import asyncio
import random
from asyncio import Future
from collections.abc import Callable
from functools import partial

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ingest.limits import Hold
from ingest.producer import close_producer, open_producer
from schemas.delivery import Delivery, raw_key, record_headers, timestamp_ms
from schemas.kafka import producer_arguments
from schemas.metrics_ingest import IngestMetrics
from schemas.settings import Settings

_CONNECT_S = 10.0
_BACKOFF_S = 0.2
_BACKOFF_MAX_S = 5.0


class Publisher:
    """Usable from `start` to `stop`; before it is connected it refuses.

    `jitter` gives a number from 0 to 1.
    """

    def __init__(
        self, settings: Settings, *, metrics: IngestMetrics, jitter: Callable[[], float] = random.random
    ) -> None:
        self._arguments = producer_arguments(settings)
        self._topic = settings.kafka.topic_prefix + "raw"
        self._deadline_s = settings.ingest.kafka_deadline_ms / 1000
        self._metrics = metrics
        self._jitter = jitter
        self._log = structlog.get_logger("ingest")
        self._producer: AIOKafkaProducer | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._overdue = 0  # Deliveries refused at the deadline that the client still tries to write.

    @property
    def connected(self) -> bool:
        """Whether Kafka takes deliveries in time: there is a producer, and nothing given to it is overdue."""
        return self._producer is not None and not self._overdue

    @property
    def broken(self) -> bool:
        """Whether the background task ended by a fault of ours; only a restart helps."""
        task = self._connecting
        return task is not None and task.done() and not task.cancelled() and task.exception() is not None

    def start(self) -> None:
        """Begins to connect, and returns at once."""
        self._connecting = asyncio.create_task(self._connect(), name="connect the producer")

    async def stop(self, *, within_s: float) -> None:
        """Writes what was taken for up to `within_s` seconds; what is left fails, and was never answered 200."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        producer, self._producer = self._producer, None
        if producer is not None:
            await close_producer(producer, flush_s=within_s)

    async def publish(self, delivery: Delivery, hold: Hold, *, lanes: int) -> bool:
        """Whether all in-sync replicas have the delivery, known within `ingest.kafka_deadline_ms`.

        After False it may still be written: the client does not give a record back. `hold` is released when the client
        is done with it, whenever that is.
        """
        began_at = asyncio.get_running_loop().time()
        written = await self._send(delivery, hold, lanes, give_up_at=began_at + self._deadline_s)
        if written is None:
            return False
        written.add_done_callback(partial(self._settle, hold, began_at))
        # Never cancelled: the record is on its way, and its bytes are ours until the future says otherwise.
        await asyncio.wait((written,), timeout=began_at + self._deadline_s - asyncio.get_running_loop().time())
        if not written.done():
            self._mark_overdue(written)
            return False
        return not written.cancelled() and written.exception() is None

    async def _send(self, delivery: Delivery, hold: Hold, lanes: int, *, give_up_at: float) -> "Future[object] | None":
        """The future of a record that the client has taken; None, and the hold released, where it has not.

        Cutting off the client's `send` is safe: it takes a record in its last step, and then returns without a pause.
        """
        taken: Future[object] | None = None
        try:
            if self._producer is not None:
                async with asyncio.timeout_at(give_up_at):
                    taken = await self._producer.send(
                        self._topic,
                        value=delivery.body,
                        key=raw_key(delivery.endpoint, lanes, delivery.body),
                        headers=record_headers(delivery),
                        timestamp_ms=timestamp_ms(delivery.received_at),
                    )
        except (KafkaError, TimeoutError) as error:
            self._metrics.write_failures.labels(type(error).__name__).inc()
        finally:
            if taken is None:
                hold.release()
        return taken

    def _settle(self, hold: Hold, began_at: float, written: "Future[object]") -> None:
        hold.release()
        error = None if written.cancelled() else written.exception()
        if error is not None:
            self._metrics.write_failures.labels(type(error).__name__).inc()
            if isinstance(error, KafkaError) and not error.retriable:
                self._replace_producer()
            return
        self._metrics.acknowledge_seconds.observe(asyncio.get_running_loop().time() - began_at)

    def _mark_overdue(self, written: "Future[object]") -> None:
        if not self._overdue:
            self._log.warning("kafka_overdue", deadline_s=self._deadline_s)
        self._overdue += 1
        written.add_done_callback(self._unmark_overdue)

    def _unmark_overdue(self, _: "Future[object]") -> None:
        self._overdue -= 1
        if not self._overdue:
            self._log.info("kafka_overdue_settled")

    def _replace_producer(self) -> None:
        """A batch refused for good has used its sequence numbers: its partition takes nothing more of this producer.

        (aio-libs/aiokafka issue 1017.) What it still held fails with it, and was never answered 200.
        """
        producer, self._producer = self._producer, None
        if producer is not None:
            self._log.warning("producer_replaced")
            self._connecting = asyncio.create_task(self._connect(instead_of=producer), name="replace the producer")

    async def _connect(self, instead_of: AIOKafkaProducer | None = None) -> None:
        """Tries until it has a producer."""
        if instead_of is not None:
            await close_producer(instead_of, flush_s=0)
        backoff_s = _BACKOFF_S
        while self._producer is None:
            try:
                self._producer = await open_producer(self._arguments, topic=self._topic, within_s=_CONNECT_S)
            except (KafkaError, OSError) as error:
                self._log.warning("kafka_unreachable", error=type(error).__name__, topic=self._topic)
                await asyncio.sleep(backoff_s * (0.5 + self._jitter() / 2))
                backoff_s = min(2 * backoff_s, _BACKOFF_MAX_S)
            except Exception:
                self._log.exception("connecting_failed")
                raise
        self._log.info("kafka_connected", topic=self._topic)
