"""Keeps one idempotent producer: connects it in the background, however long that takes, and replaces a broken one.

The ingress starts without Kafka; until Kafka is there, there is no producer.
"""

import asyncio
import random
from collections.abc import Callable

import structlog
from aiokafka.errors import KafkaError

from ingest.metrics import IngestMetrics
from schemas.kafka.arguments import producer_arguments
from schemas.kafka.batch_producer import BatchProducer
from schemas.kafka.codecs import batch_code
from schemas.kafka.layout_watch import LayoutWatch
from schemas.kafka.producers import close_producer, open_producer
from schemas.kafka.rights.refused import refused_because
from schemas.kafka.rights.table import Purpose, rights_of
from schemas.settings import Settings

_CONNECT_S = 10.0
_BACKOFF_S = 0.2
_BACKOFF_MAX_S = 5.0


class ProducerSupervisor:
    """Keeps a producer from `start` to `stop`, once `layout` is known; `jitter` gives a number from 0 to 1."""

    def __init__(
        self,
        settings: Settings,
        *,
        layout: LayoutWatch,
        metrics: IngestMetrics,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._kafka = settings.kafka
        self._arguments = producer_arguments(settings)
        self._metrics = metrics
        for reason in ("refused", "hung"):
            metrics.producers_replaced.labels(reason)
        self._jitter = jitter
        self._on_connected: Callable[[BatchProducer], None] = lambda _: None
        self._log = structlog.get_logger("ingest")
        self._connecting: asyncio.Task[None] | None = None
        self._layout = layout
        self.topic = settings.kafka.topic_prefix + "raw"
        self.compression = batch_code(settings.ingest.compression)
        self.producer: BatchProducer | None = None

    @property
    def broken(self) -> bool:
        """Returns whether the background task died of a fault of this program; only a restart helps."""
        task = self._connecting
        return task is not None and task.done() and not task.cancelled() and task.exception() is not None

    def start(self, on_connected: Callable[[BatchProducer], None]) -> None:
        """Starts to connect in the background, and calls `on_connected` with each producer that is connected."""
        self._on_connected = on_connected
        self._connecting = asyncio.create_task(self._connect(None), name="connect the producer")

    async def stop(self, *, within_s: float) -> None:
        """Lets the producer write its batches for up to `within_s` seconds, and closes it; the rest fails."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        producer, self.producer = self.producer, None
        if producer is not None:
            await close_producer(producer, flush_s=within_s)

    def replace(self, reason: str, *, flush_s: float) -> None:
        """Closes this producer, which fails what it has not written in `flush_s` seconds, then connects another.

        A batch refused for good has used up sequence numbers, and its partition takes nothing more from the producer
        (aio-libs/aiokafka issue 1017). A producer with half-open connections may hang for ever (issues 1101 and 1013).
        """
        producer, self.producer = self.producer, None
        if producer is not None:
            self._log.warning("producer_replaced", reason=reason)
            self._metrics.producers_replaced.labels(reason).inc()
            self._connecting = asyncio.create_task(
                self._connect(producer, flush_s=flush_s), name="replace the producer"
            )

    async def _connect(self, instead_of: BatchProducer | None, *, flush_s: float = 0.0) -> None:
        """Closes the old producer, then tries until a new one is connected."""
        if instead_of is not None:
            await close_producer(instead_of, flush_s=flush_s)
        backoff_s = _BACKOFF_S
        while self.producer is None:
            try:
                self.producer = await open_producer(
                    self._arguments, topic=self.topic, within_s=_CONNECT_S, make=BatchProducer
                )
            except (KafkaError, OSError) as error:
                why = await refused_because(self._kafka, rights_of(Purpose.INGEST, self._kafka.topic_prefix))
                told = {"why": why} if why else {}
                self._log.warning("kafka_unreachable", error=type(error).__name__, topic=self.topic, **told)
                await asyncio.sleep(backoff_s * (0.5 + self._jitter() / 2))
                backoff_s = min(2 * backoff_s, _BACKOFF_MAX_S)
            except Exception:
                self._log.exception("connecting_failed")
                raise
        # Nothing is placed before it is known among how many partitions.
        await self._layout.known()
        self._on_connected(self.producer)
