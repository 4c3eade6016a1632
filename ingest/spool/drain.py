"""Drains the spool into Kafka, in bounded steps and in order; a delivery leaves the spool only when Kafka has it.

A delivery that the Kafka client still has is not sent again before the client knows what became of it. A process that
dies in between publishes the delivery once more; the processors drop the copy as a provider's retry.
"""

import asyncio
import sqlite3
from collections.abc import Sequence

import structlog

from ingest.budgets import ByteBudget, Reservation
from ingest.kafka.batches import DeliveryReport, Fate, Report
from ingest.kafka.publisher import Publisher
from ingest.metrics import IngestMetrics
from ingest.spool.doubts import Doubts
from ingest.spool.file import SpooledRecord
from ingest.spool.queue import Spool
from schemas.delivery import PendingRecord

_log = structlog.get_logger("ingest")

# A step is bounded, so that live deliveries get their turn and memory stays flat.
_STEP_RECORDS = 500
_STEP_BYTES = 4_194_304
_PAUSE_S = 0.2
_UNBOUNDED = 2**62


class Drain:
    """Brings the records of spools to Kafka, a step at a time."""

    def __init__(self, publisher: Publisher, metrics: IngestMetrics, doubts: Doubts) -> None:
        self._publisher = publisher
        self._doubts = doubts
        self._metrics = metrics
        # A step has its own bounds, so its bytes do not count in the budget of live deliveries.
        self._budget = ByteBudget(_UNBOUNDED)
        self._one_by_one = 0

    async def drain_some(self, spool: Spool) -> None:
        """Brings the oldest records of the spool to Kafka; waits for Kafka and the disk as long as necessary."""
        while not self._publisher.connected:  # noqa: ASYNC110 no event says it: it depends on times
            await asyncio.sleep(_PAUSE_S)
        count_max = 1 if self._one_by_one else _STEP_RECORDS
        try:
            spooled = await spool.oldest(count_max=count_max, bytes_max=_STEP_BYTES)
        except sqlite3.Error as error:
            await _log_and_pause("spool_unreadable", spool, error)
            return
        if not spooled:  # The records are still on their way to the disk.
            await asyncio.sleep(_PAUSE_S / 10)
        reports = await asyncio.gather(*(self._bring(one.record) for one in spooled))
        written = [one for one, report in zip(spooled, reports, strict=True) if report is DeliveryReport.WRITTEN]
        await self._remove(spool, written)
        for one in written:
            self._doubts.forget(one.record)
        self._metrics.drained.inc(len(written))
        self._one_by_one = max(0, self._one_by_one - 1)
        if DeliveryReport.REFUSED in reports:
            await self._isolate_refused(spool, spooled)
        elif len(written) < len(spooled):
            await asyncio.sleep(_PAUSE_S)

    async def _bring(self, record: PendingRecord) -> Report:
        """Returns what became of the record within the deadline; sends it where the client does not have it."""
        fate = self._doubts.fate_of(record)
        if fate is not None:
            if fate.report is None:
                return fate
            if fate.report is DeliveryReport.WRITTEN or (fate.report is DeliveryReport.REFUSED and fate.count == 1):
                return fate.report
            if fate.report is DeliveryReport.REFUSED:
                self._one_by_one = max(self._one_by_one, fate.count)
            self._doubts.forget(record)
        report = await self._publisher.publish_and_wait(record, Reservation(self._budget))
        if isinstance(report, Fate):
            self._doubts.note(record, report)
        return report

    async def _remove(self, spool: Spool, written: Sequence[SpooledRecord]) -> None:
        """Removes the records, however often the disk refuses; else the next step would publish them again."""
        while written:
            try:
                await spool.remove(written)
                break
            except sqlite3.Error as error:
                await _log_and_pause("spool_not_emptied", spool, error)

    async def _isolate_refused(self, spool: Spool, spooled: Sequence[SpooledRecord]) -> None:
        """Publishes each record of a refused batch alone, to learn which one Kafka refuses; sets that one aside."""
        if len(spooled) > 1:
            self._one_by_one = len(spooled)
            return
        (one,) = spooled
        self._doubts.forget(one.record)
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
            await _log_and_pause("spool_not_emptied", spool, error)


async def _log_and_pause(event: str, spool: Spool, error: sqlite3.Error) -> None:
    _log.error(event, path=str(spool.path), error=str(error))
    await asyncio.sleep(_PAUSE_S * 10)
