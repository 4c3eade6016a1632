"""One consumer group in this process: it connects, keeps its parts at work, and ends.

Each part goes round by itself: the intake fetches, the rounds put what was fetched into transactions, the trials try
partitions that failed, opening reads stores, the ticks look at the clock. A slow cluster is waited for in each of them,
with growing pauses; an error that no wait mends ends the process, and its supervisor starts it anew.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic

from aiokafka.errors import KafkaError

from processors.runtime.assignment import Assignment
from processors.runtime.attempts import Attempts
from processors.runtime.clock.ticks import Ticks
from processors.runtime.connection import Connection
from processors.runtime.granted import granted_topics
from processors.runtime.group_spec import GroupSpec
from processors.runtime.intake import Intake
from processors.runtime.opening import Opening
from processors.runtime.producer_slot import ProducerSlot, producer_ids
from processors.runtime.rounds import Rounds
from processors.runtime.state_store import StoreT
from processors.runtime.stuck import StuckWatch
from processors.runtime.trials import Trials
from schemas.errors import DropstreamError
from schemas.health import Health
from schemas.kafka.arguments import group_consumer_arguments
from schemas.kafka.cancellation import stopped_within
from schemas.kafka.group_consumer import GroupConsumer
from schemas.kafka.layout_watch import LayoutWatch
from schemas.kafka.login.refusals import refusal_of
from schemas.late_log import LateLog
from schemas.notes.layout_faults import layout_fault, may_process, readable_partitions

_log = LateLog()

_BACKOFF_FIRST_S = 0.2
_BACKOFF_MAX_S = 5.0
_STOP_TIMEOUT_S = 5.0
_MIGRATION_S = 1.0
# How soon it is noticed that a migration begins.
_LOOK_S = 1.0
# Longer than any turn of the intake takes: a fetch is looked at every second.
_SILENT_AFTER_S = 60.0


@dataclass(slots=True, eq=False)
class _Parts(Generic[StoreT]):
    """The parts of a group that is connected."""

    assignment: Assignment[StoreT]
    intake: Intake[StoreT]
    opening: Opening[StoreT]
    rounds: Rounds[StoreT]
    trials: Trials[StoreT]
    ticks: Ticks[StoreT]
    stuck: StuckWatch[StoreT]

    async def release(self) -> None:
        """Ends what runs on any partition, in bounded time."""
        await self.opening.cancel()
        await asyncio.gather(self.rounds.release(), self.trials.release())

    async def run(self) -> None:
        """Runs until the intake is told to stop; what runs then is ended.

        Raises:
            FencedError, DropstreamError: as the parts do.
        """
        parts = (self.opening, self.rounds, self.trials, self.ticks, self.stuck)
        others = [asyncio.ensure_future(one.run()) for one in parts]
        intake = asyncio.ensure_future(self.intake.run())
        try:
            # Of the others none ends by itself but by its failure.
            await asyncio.wait({intake, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (intake, *others):
                task.cancel()
            ended = await asyncio.gather(intake, *others, return_exceptions=True)
        failures = [one for one in ended if isinstance(one, Exception)]
        if failures:
            raise failures[0]


@dataclass
class Group(Generic[StoreT]):
    """A consumer group in this process. `run` ends when `stopping` is set."""

    spec: GroupSpec[StoreT]
    stopping: asyncio.Event
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _parts: _Parts[StoreT] | None = None
    _failures: int = 0
    _connection: Connection = field(init=False)

    def __post_init__(self) -> None:
        self._connection = Connection(self.spec.name)
        self.spec.metrics.show_connection(self.spec.name, self._connection)

    async def run(self) -> None:
        """Processes until `stopping` is set.

        Raises:
            FencedError: another process has the name of this one; only one of the two can go on.
            DropstreamError: a topic that the group reads or writes is missing, or its partitions are not those of the
                layout.
        """
        async with LayoutWatch(self.spec.settings).running() as watch:
            while not self.stopping.is_set():
                await self._take_part(watch)

    async def _take_part(self, watch: LayoutWatch) -> None:
        """Is a member of the group until `stopping` is set, or a migration wants the group empty; raises as `run`."""
        consumer = await self._connected(watch)
        if consumer is None:
            return
        leaving, readable = asyncio.Event(), readable_partitions(watch.layout)
        slots = [
            ProducerSlot(one, self.spec.topics, self.spec.settings)
            for one in producer_ids(self.spec.id, self.spec.settings)
        ]
        self._parts = parts = self._parts_of(consumer, slots, readable, leaving)
        self._connection.begin(consumer)
        try:
            consumer.subscribe([self.spec.source_topic], listener=parts.assignment)
            async with asyncio.TaskGroup() as together:
                together.create_task(parts.run())
                together.create_task(self._leave_in_time(watch, readable, leaving))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group  # One reason to end is enough.
        finally:
            self._connection.end()
            await parts.assignment.close(_STOP_TIMEOUT_S)
            await stopped_within(_STOP_TIMEOUT_S, asyncio.gather(*(slot.stop() for slot in slots)))
            await stopped_within(_STOP_TIMEOUT_S, consumer.stop())

    def health(self) -> Health:
        """Live while it looks for records, be Kafka there or not; ready when Kafka answers and all is open."""
        parts = self._parts
        if parts is None or parts.intake.turned_at is None:
            return Health(live=True, ready=False, facts={"connected": False})
        live = asyncio.get_running_loop().time() - parts.intake.turned_at < _SILENT_AFTER_S
        connected, assignment = self._connection.is_up, parts.assignment
        ready = live and connected and assignment.is_complete and not parts.intake.failures
        return Health(
            live=live,
            ready=ready and not self.stopping.is_set(),
            facts={
                "connected": connected,
                "kafka_silent_seconds": round(self._connection.silent_s or 0.0, 1),
                "partitions_open": assignment.open_count,
                "partitions_opening": assignment.opening_count,
                "partitions_stuck": ", ".join(str(one.partition) for one in sorted(parts.stuck.partitions())),
            },
        )

    def _parts_of(
        self, consumer: GroupConsumer, slots: list[ProducerSlot], readable: int | None, leaving: asyncio.Event
    ) -> _Parts[StoreT]:
        *shared, of_trials = slots
        parts: _Parts[StoreT]

        async def release() -> None:
            await parts.release()

        assignment: Assignment[StoreT] = Assignment(self.spec, consumer, release, readable)
        attempts = Attempts(assignment)
        rounds = Rounds(assignment, attempts, shared)
        parts = _Parts(
            assignment,
            Intake(assignment, leaving, self._connection),
            Opening(assignment),
            rounds,
            Trials(assignment, attempts, of_trials),
            Ticks(assignment, rounds, self.clock),
            StuckWatch(assignment),
        )
        return parts

    async def _leave_in_time(self, watch: LayoutWatch, readable: int | None, leaving: asyncio.Event) -> None:
        """Sets `leaving` when the group is to end, or to begin anew: where a whole migration went by unseen, too."""
        while not self.stopping.is_set() and self._may_go_on(watch) and readable == readable_partitions(watch.layout):
            await self._pause(_LOOK_S)
        leaving.set()

    def _may_go_on(self, watch: LayoutWatch) -> bool:
        """Whether the group may read now; False while a migration moves its state.

        Raises:
            DropstreamError: the partitions are not those of the layout.
        """
        if fault := layout_fault(watch.layout, watch.counts, self.spec.settings.kafka.topic_prefix):
            raise DropstreamError(fault)
        if may_process(watch.layout):
            return True
        _log.info("migration_waited_for", group=self.spec.name)
        return False

    async def _connected(self, watch: LayoutWatch) -> GroupConsumer | None:
        """A started consumer, however long the cluster or a migration takes; None when `stopping` is set meanwhile."""
        while not self.stopping.is_set():
            if watch.is_known and not self._may_go_on(watch):
                await self._pause(_MIGRATION_S)
                continue
            consumer = GroupConsumer(**group_consumer_arguments(self.spec.settings, group=self.spec.id))
            try:
                await consumer.start()
                topics = await granted_topics(consumer, self.spec)
            except (KafkaError, TimeoutError) as error:
                await stopped_within(_STOP_TIMEOUT_S, consumer.stop())
                await self._back_off("kafka_away", error, await refusal_of(self.spec.settings.kafka))
                continue
            except DropstreamError:
                await stopped_within(_STOP_TIMEOUT_S, consumer.stop())
                raise
            # Without one that it only writes to, no transaction would ever be committed: a new version may need more.
            missing = [topic for topic in self.spec.topics if topic not in topics]
            if not missing:
                self._failures = 0
                # Read before the first record is: a topic that has grown meanwhile must not be.
                await watch.known()
                if self._may_go_on(watch):
                    return consumer
                await stopped_within(_STOP_TIMEOUT_S, consumer.stop())
                continue
            await stopped_within(_STOP_TIMEOUT_S, consumer.stop())
            which = "it" if len(missing) == 1 else "them"
            raise DropstreamError(
                f"there is no topic {', '.join(missing)}; create {which} with: dropstream topics apply"
            )
        return None

    async def _back_off(self, event: str, error: BaseException | None, why: str = "") -> None:
        delay_s = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1)  # noqa: S311 jitter
        self._failures += 1
        self.spec.metrics.rounds_failed.labels(self.spec.name, event).inc()
        told = {"why": why} if why else {}
        _log.warning(event, group=self.spec.name, error=repr(error), retry_in_s=round(delay_s, 1), **told)
        await self._pause(delay_s)

    async def _pause(self, seconds: float) -> None:
        """Waits, but not past `stopping`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
