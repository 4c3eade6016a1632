"""Drains the spool into Kafka, in bounded steps and in order; a delivery leaves the spool only when Kafka has it.

A delivery that the Kafka client still has is not sent again before the client knows what became of it. A process that
dies in between publishes the delivery once more; the processors drop the copy as a provider's retry.
"""

import asyncio
import sqlite3
from asyncio import Future
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile

import structlog

from ingest.budgets import ByteBudget, Reservation
from ingest.kafka.batches import DeliveryReport, Fate, Report
from ingest.kafka.publisher import Publisher
from ingest.metrics import IngestMetrics
from ingest.spool.doubts import Doubts
from ingest.spool.passed_over import PassedOver
from ingest.spool.queue import Spool
from ingest.spool.rows import SpooledRecord
from schemas.delivery import PendingRecord

_log = structlog.get_logger("ingest")

# A step is bounded, so that live deliveries get their turn and memory stays flat.
_STEP_RECORDS = 500
_STEP_BYTES = 4_194_304
_PAUSE_S = 0.2
_UNBOUNDED = 2**62


@dataclass(slots=True)
class _Reading:
    """How far a spool was read, and which of the records before that were passed over."""

    read_to: int = 0
    passed: PassedOver = field(default_factory=PassedOver)


class Drain:
    """Brings the records of spools to Kafka, a step at a time.

    The spools are read from the oldest record to the newest. A record of a partition that takes nothing is passed over,
    and so is every later one of its key. When the partition takes records again, those are read by their ids. So one
    partition holds up no other, and what it costs that a partition comes and goes does not grow with the spool.
    """

    def __init__(self, publisher: Publisher, metrics: IngestMetrics, doubts: Doubts) -> None:
        self._publisher = publisher
        self._doubts = doubts
        self._metrics = metrics
        # A step has its own bounds, so its bytes do not count in the budget of live deliveries.
        self._budget = ByteBudget(_UNBOUNDED)
        self._one_by_one = 0
        self._readings: dict[Spool, _Reading] = {}
        self._passed_first = True

    async def drain_some(self, spools: Sequence[Spool]) -> None:
        """Brings the next records to Kafka, of the first spool that has some; waits at most for a deadline of Kafka."""
        while not self._publisher.takes_something:  # noqa: ASYNC110 no event says it: it depends on times
            await asyncio.sleep(_PAUSE_S)
        self._follow(spools)
        # In turns, so that a partition that comes back with much does not keep the newer records of others waiting.
        self._passed_first = bool(self._one_by_one) or not self._passed_first
        ways = (self._take_passed, self._take_next) if self._passed_first else (self._take_next, self._take_passed)
        for take in ways:
            for spool in spools:
                try:
                    taken = await take(spool)
                except sqlite3.Error as error:
                    await _log_and_pause("spool_unreadable", spool, error)
                    return
                if taken:
                    return
        # What is left was passed over, or is still on its way to the disk; or it is damaged, and only counted. So where
        # nothing was passed over, the next read begins at the oldest record: finding none corrects the spool's count.
        if not any(reading.passed for reading in self._readings.values()):
            self._readings.clear()
        await asyncio.sleep(_PAUSE_S / 10)

    def _follow(self, spools: Sequence[Spool]) -> None:
        """Keeps the readings of these spools; where one is new, all begin anew, for its records may be the oldest."""
        if self._readings.keys() >= set(spools):
            self._readings = {spool: self._readings[spool] for spool in spools}
        else:
            self._readings = {spool: _Reading() for spool in spools}

    @property
    def _count_max(self) -> int:
        return 1 if self._one_by_one else _STEP_RECORDS

    async def _take_next(self, spool: Spool) -> bool:
        """Tries the next records of the spool that were not read yet; returns whether there are some."""
        reading = self._readings[spool]
        spooled = await spool.oldest(count_max=self._count_max, bytes_max=_STEP_BYTES, after=reading.read_to)
        if not spooled:
            return False
        reading.read_to = spooled[-1].id
        held = {one.record.key for one in spooled if self._is_passed(one.record.key)}
        for one in await self._take_step(spool, spooled, held):
            reading.passed.add(one.record.key, one.id)
        return True

    async def _take_passed(self, spool: Spool) -> bool:
        """Tries records that were passed over and whose partitions take again; returns whether some have gone."""
        passed = self._readings[spool].passed
        older = [reading.passed for _, reading in takewhile(lambda one: one[0] is not spool, self._readings.items())]
        taken = passed.take(
            lambda key: self._publisher.takes(key) and not any(key in other for other in older),
            count_max=self._count_max,
        )
        if not taken:
            return False
        left = set(taken)
        try:
            spooled = await spool.read(list(taken), bytes_max=_STEP_BYTES)
            # What does not fit into the step is not read; where nothing is read, none of them is there any more.
            unread = {number for number in taken if spooled and number > spooled[-1].id}
            back = await self._take_step(spool, spooled, set())
            left = unread | {one.id for one in back}
        finally:
            passed.put_back(taken, left)
        return len(left) < len(taken)

    async def _take_step(
        self, spool: Spool, spooled: Sequence[SpooledRecord], held: set[bytes]
    ) -> Sequence[SpooledRecord]:
        """Brings those of the records to Kafka that can go, none of a held key; returns those that are left.

        The deadline of Kafka ends the wait for their reports.
        """
        tried = [(one, coming) for one in spooled if (coming := self._try(one.record, held)) is not None]
        reports: list[Report] = await asyncio.gather(*(coming for _, coming in tried))
        written: list[SpooledRecord] = []
        for (one, _), report in zip(tried, reports, strict=True):
            if report is DeliveryReport.WRITTEN:
                written.append(one)
            elif isinstance(report, Fate):
                self._doubts.note(one.record, report)
        await self._remove(spool, written)
        self._metrics.drained.inc(len(written))
        gone = {one.id for one in written}
        if tried:
            self._one_by_one = max(0, self._one_by_one - 1)
        if DeliveryReport.REFUSED in reports:
            gone |= await self._isolate_refused(spool, [one for one, _ in tried])
        elif DeliveryReport.UNKNOWN in reports:
            await asyncio.sleep(_PAUSE_S)
        return [one for one in spooled if one.id not in gone]

    def _is_passed(self, key: bytes) -> bool:
        return any(key in reading.passed for reading in self._readings.values())

    def _try(self, record: PendingRecord, held: set[bytes]) -> "Future[Report] | None":
        """Returns the report to come; None where the record is passed over, for its partition takes nothing now.

        Then its key is held. The partition of a record that the client still has takes nothing, so none is sent again
        before its fate is known.
        """
        report: Future[Report] = asyncio.get_running_loop().create_future()
        fate = self._doubts.fate_of(record)
        known = fate and fate.report
        if known is DeliveryReport.WRITTEN or (known is DeliveryReport.REFUSED and fate and fate.count == 1):
            report.set_result(known)
            return report
        unsure = fate is not None and known is None
        if unsure or record.key in held or not self._publish(record, report):
            held.add(record.key)
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

    async def _isolate_refused(self, spool: Spool, spooled: Sequence[SpooledRecord]) -> set[int]:
        """Publishes each record of a refused batch alone, to learn which one Kafka refuses; sets that one aside.

        Returns the ids of what was set aside.
        """
        if len(spooled) > 1:
            self._one_by_one = len(spooled)
            return set()
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
            return set()
        return {one.id}


def _resolve(waiting: "Future[Report]", report: Report) -> None:
    if not waiting.done():
        waiting.set_result(report)


async def _log_and_pause(event: str, spool: Spool, error: sqlite3.Error) -> None:
    _log.error(event, path=str(spool.path), error=str(error))
    await asyncio.sleep(_PAUSE_S * 10)
