"""When producers are started anew, and what that holds up."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import TopicPartition

from processors.deliver.dedupe import DedupeStore
from processors.runtime.assignment import Assignment
from processors.runtime.attempts import Attempts
from processors.runtime.partition import Partition, PartitionState
from processors.runtime.rounds import Rounds
from schemas.kafka.transactions.marker_watch import MarkersInDoubtError
from tests.support.waiting import until
from tests.unit.processors.runtime.test_transaction import FIRST, MEMBER, Cluster, partition_at, spec_of


class Place:
    """A place for a producer, which counts its starts; the one behind that of `first` waits for `is_ready`."""

    def __init__(self, first: Cluster | None = None) -> None:
        self.calls: list[str] = []
        self.is_in_doubt = False
        self.on_doubt: Callable[[], None] = lambda: None
        self.producer: Any = None
        self.patience_s = 9.0
        self.is_ready = asyncio.Event()
        self.is_ready.set()
        self._first = first

    def drop(self) -> None:
        self.calls.append("drop")
        self.producer = None

    async def start(self) -> None:
        self.calls.append("start")
        await self.is_ready.wait()
        self.is_in_doubt = False
        self.producer = Cluster()
        if self._first is not None:
            self.producer, self._first = self._first, None
            self.is_ready.clear()

    def prove(self, _took_s: float) -> None:
        self.calls.append("prove")

    def give_up(self) -> None:
        self.calls.append("give up")


class Consumer:
    """A consumer that knows no ends."""

    def highwater(self, _source: TopicPartition) -> None:
        return None


async def release() -> None:
    """Nothing else runs here."""


def assigned(*partitions: Partition[DedupeStore]) -> Assignment[DedupeStore]:
    consumer: Any = Consumer()
    return Assignment(spec_of(), consumer, release, member=MEMBER, _partitions={one.source: one for one in partitions})


async def test_a_producer_in_doubt_is_started_anew_without_work() -> None:
    """Readers wait for the markers of its last commit, and maybe nothing comes for a long time."""
    place: Any = Place()
    assignment = assigned()
    rounds = asyncio.ensure_future(Rounds(assignment, Attempts(assignment), [place]).run())
    try:
        await until(lambda: place.calls == ["drop", "start"])
        place.is_in_doubt = True
        place.on_doubt()
        await until(lambda: place.calls == ["drop", "start"] * 2)
    finally:
        rounds.cancel()
        await asyncio.wait({rounds})


async def test_a_doubt_is_no_failure_and_what_follows_holds_up_no_rebalance() -> None:
    """Nothing was written, nobody is to blame; a rebalance goes on beside the start that settles the last commit."""
    lost: Any = Cluster(lost=MarkersInDoubtError("lost"))
    place: Any = Place(lost)
    partition = partition_at(FIRST, 7, 7)
    partition.state = PartitionState.OPEN
    assignment = assigned(partition)
    rounds = Rounds(assignment, Attempts(assignment), [place])
    running = asyncio.ensure_future(rounds.run())
    try:
        await until(lambda: place.calls == ["drop", "start", "drop", "drop", "start"])
        await rounds.release()
        assert place.producer is None
        place.is_ready.set()
        await until(lambda: partition.position == 8)
    finally:
        running.cancel()
        await asyncio.wait({running})
    assert place.calls == ["drop", "start", "drop", "drop", "start", "prove"]
    assert partition.state is PartitionState.OPEN
    metrics = assignment.spec.metrics
    assert metrics.transactions_failed.labels("deliver")._value.get() == 0  # noqa: SLF001 what it counted
    assert metrics.rounds_failed.labels("deliver", "round_incomplete")._value.get() == 0  # noqa: SLF001 as above
