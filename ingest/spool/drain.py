"""Drains the spool into Kafka, in bounded steps and in order; a delivery leaves the spool only when Kafka has it.

A delivery that the Kafka client still has is not sent again before the client knows what became of it. A process that
dies in between publishes the delivery once more; the processors drop the copy as a provider's retry.
"""

import asyncio
import sqlite3
from asyncio import Future
from collections.abc import Sequence
from functools import partial

import structlog

from ingest.budgets import ByteBudget, Reservation
from ingest.kafka.batches import DeliveryReport, Fate, Report
from ingest.kafka.publisher import Publisher
from ingest.metrics import IngestMetrics
from ingest.spool.doubts import Doubts
from ingest.spool.queue import Spool
from ingest.spool.rows import SpooledRecord
from schemas.delivery import PendingRecord

_log = structlog.get_logger("ingest")

# A step is bounded, so that live deliveries get their turn and memory stays flat.
_STEP_RECORDS = 500
_STEP_BYTES = 4_194_304
_PAUSE_S = 0.2
_UNBOUNDED = 2**62


class Drain:
    """Brings the records of spools to Kafka, a step at a time.

    The spools are read from the oldest record to the newest. A record of a partition that takes nothing is passed over,
    and so is every later one of its key; when the partition takes records again, reading begins anew. So one partition
    holds up no other, and a record is read once for each time that its partition comes back.
    """

    def __init__(self, publisher: Publisher, metrics: IngestMetrics, doubts: Doubts) -> None:
        self._publisher = publisher
        self._doubts = doubts
        self._metrics = metrics
        # A step has its own bounds, so its bytes do not count in the budget of live deliveries.
        self._budget = ByteBudget(_UNBOUNDED)
        self._one_by_one = 0
        # How far each spool was read, and the keys of the records that were passed over.
        self._read_to: dict[Spool, int] = {}
        self._passed: set[bytes] = set()

    async def drain_some(self, spools: Sequence[Spool]) -> None:
        """Brings the next records to Kafka, of the first spool that has some; waits at most for a deadline of Kafka."""
        while not self._publisher.takes_something:  # noqa: ASYNC110 no event says it: it depends on times
            await asyncio.sleep(_PAUSE_S)
        if any(self._publisher.takes(key) for key in self._passed):
            self._passed.clear()
            self._read_to.clear()
        count_max = 1 if self._one_by_one else _STEP_RECORDS
        for spool in spools:
            try:
                after = self._read_to.get(spool, 0)
                spooled = await spool.oldest(count_max=count_max, bytes_max=_STEP_BYTES, after=after)
            except sqlite3.Error as error:
                await _log_and_pause("spool_unreadable", spool, error)
                return
            if spooled:
                self._read_to[spool] = spooled[-1].id
                await self._take_step(spool, spooled)
                return
        # What is left was passed over, or is still on its way to the disk; or it is damaged, and only counted. So where
        # nothing was passed over, the next read begins at the oldest record: finding none corrects the spool's count.
        if not self._passed:
            self._read_to.clear()
        await asyncio.sleep(_PAUSE_S / 10)

    async def _take_step(self, spool: Spool, spooled: Sequence[SpooledRecord]) -> None:
        """Brings those of the records to Kafka that can go; the deadline of Kafka ends the wait for their reports."""
        tried = [(one, coming) for one in spooled if (coming := self._try(one.record)) is not None]
        reports: list[Report] = await asyncio.gather(*(coming for _, coming in tried))
        written: list[SpooledRecord] = []
        for (one, _), report in zip(tried, reports, strict=True):
            if report is DeliveryReport.WRITTEN:
                written.append(one)
                continue
            self._passed.add(one.record.key)
            if isinstance(report, Fate):
                self._doubts.note(one.record, report)
        await self._remove(spool, written)
        self._metrics.drained.inc(len(written))
        if tried:
            self._one_by_one = max(0, self._one_by_one - 1)
        if DeliveryReport.REFUSED in reports:
            await self._isolate_refused(spool, [one for one, _ in tried])
        elif DeliveryReport.UNKNOWN in reports:
            await asyncio.sleep(_PAUSE_S)

    def _try(self, record: PendingRecord) -> "Future[Report] | None":
        """Returns the report to come; None where the record is passed over, for its partition takes nothing now.

        The partition of a record that the client still has takes nothing, so none is sent again before its fate is
        known.
        """
        report: Future[Report] = asyncio.get_running_loop().create_future()
        fate = self._doubts.fate_of(record)
        known = fate and fate.report
        if known is DeliveryReport.WRITTEN or (known is DeliveryReport.REFUSED and fate and fate.count == 1):
            report.set_result(known)
            return report
        unsure = fate is not None and known is None
        if unsure or record.key in self._passed or not self._publish(record, report):
            self._passed.add(record.key)
            return None
        if fate is not None:
            self._doubts.forget(record)
            if known is DeliveryReport.REFUSED:
                self._one_by_one = max(self._one_by_one, fate.count)
        return report

    def _publish(self, record: PendingRecord, report: "Future[Report]") -> bool:
        return self._publisher.publish(record, Reservation(self._budget), partial(_resolve, report))

    async def _remove(self, spool: Spool, written: Sequence[SpooledRecord]) -> None:
        """Removes the records, however often the disk refuses; else the next step would publish them again."""
        while written:
            try:
                await spool.remove(written)
                for one in written:
                    self._doubts.forget(one.record)
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


def _resolve(waiting: "Future[Report]", report: Report) -> None:
    if not waiting.done():
        waiting.set_result(report)


async def _log_and_pause(event: str, spool: Spool, error: sqlite3.Error) -> None:
    _log.error(event, path=str(spool.path), error=str(error))
    await asyncio.sleep(_PAUSE_S * 10)
