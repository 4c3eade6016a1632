"""From the spool to Kafka, in bounded steps and in order. A delivery leaves the spool once Kafka has it, never earlier.

A process that dies between the two sends it once more; the copy is dropped downstream, as a provider's retry is.
"""

import asyncio
import sqlite3
from collections.abc import Sequence

import structlog

from ingest.budgets import ByteBudget, Reservation
from ingest.kafka.batches import DeliveryReport
from ingest.kafka.publisher import Publisher
from ingest.metrics import IngestMetrics
from ingest.spool.queue import Spool
from ingest.spool.file import SpooledRecord

_log = structlog.get_logger("ingest")

# So that live deliveries get their turn and memory stays flat.
_STEP_RECORDS = 500
_STEP_BYTES = 4_194_304
_PAUSE_S = 0.2
_UNBOUNDED = 2**62


class Drain:
    """Empties spools into Kafka, a step at a time."""

    def __init__(self, publisher: Publisher, metrics: IngestMetrics) -> None:
        self._publisher = publisher
        self._metrics = metrics
        # A step is its own bound; what is held for it takes nothing from live deliveries.
        self._budget = ByteBudget(_UNBOUNDED)
        self._one_by_one = 0

    async def drain_some(self, spool: Spool) -> None:
        """Brings the oldest records of the spool to Kafka, and waits for Kafka and the disk as long as it takes."""
        while not self._publisher.connected:  # noqa: ASYNC110 it is a verdict from several facts, and some are times
            await asyncio.sleep(_PAUSE_S)
        count_max = 1 if self._one_by_one else _STEP_RECORDS
        try:
            spooled = await spool.oldest(count_max=count_max, bytes_max=_STEP_BYTES)
        except sqlite3.Error as error:
            _log.error("spool_unreadable", path=str(spool.path), error=str(error))
            await asyncio.sleep(_PAUSE_S * 10)
            return
        if not spooled:  # They are still on their way to the disk.
            await asyncio.sleep(_PAUSE_S / 10)
        reports = await asyncio.gather(
            *(self._publisher.publish_and_wait(one.record, Reservation(self._budget)) for one in spooled)
        )
        written = [one for one, report in zip(spooled, reports, strict=True) if report is DeliveryReport.WRITTEN]
        await self._remove(spool, written)
        self._metrics.drained.inc(len(written))
        self._one_by_one = max(0, self._one_by_one - 1)
        if DeliveryReport.REFUSED in reports:
            await self._isolate_refused(spool, spooled)
        elif len(written) < len(spooled):
            await asyncio.sleep(_PAUSE_S)

    async def _remove(self, spool: Spool, written: Sequence[SpooledRecord]) -> None:
        """Returns when they are gone; until then nothing else is read, or they would be sent again and again."""
        while written:
            try:
                await spool.remove(written)
                break
            except sqlite3.Error as error:
                _log.error("spool_not_emptied", path=str(spool.path), error=str(error))
                await asyncio.sleep(_PAUSE_S * 10)

    async def _isolate_refused(self, spool: Spool, spooled: Sequence[SpooledRecord]) -> None:
        """Kafka refuses a batch whole: which record it was shows when each is sent alone."""
        if len(spooled) > 1:
            self._one_by_one = len(spooled)
            return
        (one,) = spooled
        _log.error(
            "delivery_refused_by_kafka",
            endpoint=one.record.endpoint,
            bytes=len(one.record.value),
            path=str(spool.path),
            hint="raise max.message.bytes of topic raw to what dropstream topics plan says, then restart the ingress",
        )
        try:
            await spool.refuse(one, "larger than the topic allows, or with a time that it does not")
        except sqlite3.Error as error:
            _log.error("spool_not_emptied", path=str(spool.path), error=str(error))
            await asyncio.sleep(_PAUSE_S * 10)
