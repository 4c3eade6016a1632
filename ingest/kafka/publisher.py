"""Publishes records to `raw`; a record is reported `WRITTEN` only when all in-sync replicas have it.

Every wait has a deadline of its own here, for aiokafka waits without bound while the cluster is away. A partition that
is overdue takes nothing more; the others go on.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog

from ingest.budgets import Reservation
from ingest.kafka.batches import DeliveryReport, OnReport, PartitionBatches, Report
from ingest.kafka.route import Route, deal_partitions
from ingest.kafka.supervisor import ProducerSupervisor
from ingest.metrics import IngestMetrics
from schemas.delivery import PendingRecord
from schemas.kafka.batch_producer import BatchProducer
from schemas.kafka.layout_watch import LayoutWatch
from schemas.kafka.partitions import partition_of
from schemas.kafka.producers import replicas_of
from schemas.notes.layout_faults import placing_count
from schemas.sections.programs import IngestSettings

_WATCH_S = 0.5
# A producer that hangs while others go on hangs with its partitions' nodes, mostly, and another one would hang as well.
# aiokafka itself gives a connection up after 40 s.
_TIMES_ALONE = 6
# The layout's watch asks the cluster every second, busy or idle.
_SILENT_AFTER_S = 7.0


class Publisher:
    """Publishes from `start` to `stop`; takes nothing for a partition that is overdue, or without a producer.

    Each supervisor's producer is a route of its own for some of the partitions. A partition keeps its route for good,
    so that its order is kept: a producer that is replaced loses nothing of the other routes, and a node that hangs
    holds up those partitions only that share a route with one of its own.
    """

    def __init__(
        self,
        settings: IngestSettings,
        *,
        supervisors: Sequence[ProducerSupervisor],
        layout: LayoutWatch,
        metrics: IngestMetrics,
    ) -> None:
        self._deadline_s = settings.kafka_deadline_ms / 1000
        self._hung_s = settings.producer_hung_ms / 1000
        self._log = structlog.get_logger("ingest")
        self._now = asyncio.get_running_loop().time
        self._routes = [
            Route(
                supervisor,
                deadline_s=self._deadline_s,
                metrics=metrics,
                on_refused=partial(self._replace_producer, "refused"),
                on_changed=self._tell_overdue,
            )
            for supervisor in supervisors
        ]
        self._layout = layout
        self._told_overdue = False
        self._told_silent = False
        self._adopted_at = 0.0
        # The first records wait until all producers are there, or have had their time.
        self._together = False
        self._route_of: dict[int, Route] = {}
        self._count = 0  # Among so many partitions keys are placed.
        # The partitions by number; None is one whose route has no producer. And the partition of each key.
        self._partitions: list[PartitionBatches | None] = []
        self._of_key: dict[bytes, PartitionBatches] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        """Returns whether Kafka takes records in time: there is a producer, Kafka answers, and not all hangs.

        Kafka answers when it did so within the last seven seconds, whatever it was asked. All hangs when every
        partition that has records is overdue, and Kafka has acknowledged nothing since the last one became so.
        """
        if self._silent_s() >= _SILENT_AFTER_S:
            return False
        overdue_at = max((route.overdue_at for route in self._routes if route.overdue), default=None)
        if overdue_at is None or max(route.acknowledged_at for route in self._routes) > overdue_at:
            return any(self._partitions)
        return any(one is not None and one.busy and not one.overdue for one in self._partitions)

    @property
    def partitions_overdue(self) -> int:
        """Counts the partitions that take nothing: the client has overdue records of them, or is being replaced."""
        if not any(self._partitions):
            return 0
        return sum(one is None or one.overdue for one in self._partitions)

    @property
    def takes_something(self) -> bool:
        """Returns whether there is a partition that takes records."""
        return any(one is not None and not one.overdue for one in self._partitions)

    def takes(self, key: bytes) -> bool:
        """Returns whether the partition of this key takes records."""
        batches = self._of_key.get(key) or self._find_batches(key)
        return batches is not None and not batches.overdue

    @property
    def broken(self) -> bool:
        """Returns whether a background task died of a fault of this program; only a restart helps."""
        return any(task.done() for task in self._tasks) or any(route.supervisor.broken for route in self._routes)

    def start(self) -> None:
        """Starts to connect in the background."""
        self._tasks = [
            asyncio.create_task(self._layout.run(), name="follow the layout"),
            asyncio.create_task(self._watch_producers(), name="watch the producers"),
        ]
        for route in self._routes:
            route.supervisor.start(partial(self._adopt_producer, route))

    async def stop(self, *, within_s: float) -> None:
        """Writes the published records for up to `within_s` seconds; the rest fails, and was never answered 200."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        left = [batches for route in self._routes for batches in route.drop()]
        self._follow_routes()
        await asyncio.gather(*(route.supervisor.stop(within_s=within_s) for route in self._routes))
        for batches in left:
            batches.abandon()

    def publish(self, record: PendingRecord, reservation: Reservation, on_report: OnReport) -> bool:
        """Hands the record to Kafka, and calls `on_report` once, within `ingest.kafka_deadline_ms`; or returns False.

        A record that the client still has at the deadline is reported as its `Fate`, for the client gives no record
        back: Kafka may write it later. The publisher takes `reservation` over, and releases it when the client is done
        with the record, however late; never before `on_report` was called. Where it returns False, it took nothing.
        """
        batches = self._of_key.get(record.key) or self._find_batches(record.key)
        if batches is None or batches.overdue:
            return False
        batches.append(record, reservation, on_report)
        return True

    async def publish_and_wait(self, record: PendingRecord, reservation: Reservation) -> Report:
        """`publish` as a coroutine, for a caller that has nothing to do before the report is there."""
        report: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        if not self.publish(record, reservation, lambda known: None if report.done() else report.set_result(known)):
            reservation.release()
            return DeliveryReport.UNKNOWN
        return await report

    def _find_batches(self, key: bytes) -> PartitionBatches | None:
        """Returns the batches of the key's partition, and remembers them; None without a producer."""
        if not self._partitions:
            return None
        batches = self._partitions[partition_of(key, len(self._partitions))]
        if batches is not None:
            self._of_key[key] = batches
        return batches

    def _silent_s(self) -> float:
        """Returns the seconds since Kafka last answered this process."""
        acknowledged_at = max(route.acknowledged_at for route in self._routes)
        return self._now() - max(self._adopted_at, acknowledged_at, self._layout.answered_at)

    def _adopt_producer(self, route: Route, producer: BatchProducer) -> None:
        route.producer, self._adopted_at = producer, self._now()
        self._together = self._together or all(one.producer is not None for one in self._routes)
        if self._together:
            self._follow_topic()

    def _follow_topic(self) -> None:
        """Gives the routes as many partitions as the layout has; none while a migration moves the keys.

        More partitions than the layout has are left alone: a foreign hand added them, and their keys' state is not
        there. A topic that is gone may come back as it was. Partitions that are new here are dealt by their copies of
        today, and keep their route when those move.
        """
        known = [replicas_of(one.producer, one.supervisor.topic) for one in self._routes if one.producer is not None]
        replicas = min(filter(None, known), key=len, default={})
        if not replicas:
            return
        layout = self._layout.layout
        if layout is not None and len(replicas) < layout.partitions:
            for producer in (one.producer for one in self._routes if one.producer is not None):
                producer.client.force_metadata_update()
        dealt = deal_partitions(replicas, routes=len(self._routes))
        self._route_of = {number: self._routes[route] for number, route in dealt.items()} | self._route_of
        self._count = placing_count(layout, len(replicas))
        for route in self._routes:
            route.carry([number for number in range(self._count) if self._route_of[number] is route])
        self._follow_routes()

    def _follow_routes(self) -> None:
        """Finds for each partition the batches that its route has now."""
        partitions = [self._route_of[number].partitions.get(number) for number in range(self._count)]
        if partitions == self._partitions:
            return
        if len(partitions) != len(self._partitions):
            self._log.info("partitions_followed", partitions=len(partitions), found=len(self._route_of))
        was_there, self._partitions = any(self._partitions), partitions
        self._of_key = {}
        if any(partitions) and not was_there:
            self._log.info("kafka_connected", partitions=len(partitions), producers=len(self._routes))

    def _replace_producer(self, reason: str, route: Route) -> None:
        route.replace(reason)
        self._follow_routes()
        self._tell_overdue()

    def _tell_overdue(self) -> None:
        """Logs when the first partition is overdue, and when none is overdue any more."""
        overdue = any(route.overdue for route in self._routes)
        if overdue and not self._told_overdue:
            self._log.warning("kafka_overdue", deadline_s=self._deadline_s)
        elif self._told_overdue and not overdue:
            self._log.info("kafka_overdue_settled")
        self._told_overdue = overdue

    def _tell_silent(self) -> None:
        """Logs when a cluster that was there has fallen silent, and when it answers again."""
        silent_s = self._silent_s()
        silent = silent_s >= _SILENT_AFTER_S and any(self._partitions)
        if silent and not self._told_silent:
            self._log.warning("kafka_silent", silent_s=round(silent_s, 1))
        elif self._told_silent and silent_s < _SILENT_AFTER_S:
            self._log.info("kafka_answers")
        self._told_silent = silent or (self._told_silent and silent_s >= _SILENT_AFTER_S)

    async def _watch_producers(self) -> None:
        """Replaces a producer of which all hangs for too long; not for the sake of one partition.

        Follows the layout, too.
        """
        while True:
            await asyncio.sleep(_WATCH_S)
            self._tell_silent()
            acknowledged_at = max(route.acknowledged_at for route in self._routes)
            for route in self._routes:
                since = route.hangs_since
                if since is None:
                    continue
                hung_s = self._hung_s * (_TIMES_ALONE if acknowledged_at > since else 1)
                if self._now() - since > hung_s:
                    self._replace_producer("hung", route)
            self._together = self._together or any(route.producer is not None for route in self._routes)
            if self._together:
                self._follow_topic()
