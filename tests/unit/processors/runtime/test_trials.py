"""A partition on trial, and a record in it that cannot be judged yet."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from processors.deliver.dedupe import DedupeStore
from processors.runtime.assignment import Assignment
from processors.runtime.attempts import Attempts
from processors.runtime.group_spec import NotYetError
from processors.runtime.partition import PartitionState
from processors.runtime.producer_slot import ProducerSlot
from processors.runtime.trials import Trials
from schemas.kafka.transactions.marker_watch import MarkersInDoubtError
from schemas.records import RawRecord, Record
from tests.support.waiting import until
from tests.unit.processors.runtime.test_rounds import Consumer, Place, assigned, release
from tests.unit.processors.runtime.test_transaction import FIRST, MEMBER, Cluster, partition_at, spec_of


class Undecided:
    """A step that cannot judge anything until `knows` is set; `asked` counts how often it was called."""

    def __init__(self) -> None:
        self.asked, self.knows = 0, False

    def __call__(self, _raw: RawRecord, _store: DedupeStore) -> Sequence[Record]:
        self.asked += 1
        if not self.knows:
            raise NotYetError
        return (Record("orders", b"k", b"v"),)


async def test_a_record_that_waits_proves_nothing() -> None:
    """The partition stays on trial, its record is tried seldom, and Kafka is not taken for quick without being asked.

    A transaction that commits nothing would else end every slowness and every trouble that is known.
    """
    step, cluster = Undecided(), Cluster()
    consumer: Any = Consumer()
    producer: Any = cluster
    partition = partition_at(FIRST, 7, 7)
    spec = replace(spec_of(), new_step=lambda: step)
    assignment = Assignment(spec, consumer, release, member=MEMBER, _partitions={FIRST: partition})
    slot = ProducerSlot("deliver-trials", spec.topics, spec.settings, producer=producer)
    attempts = Attempts(assignment)
    partition.trouble.add("refused", 0.0)
    partition.trouble.retry_at = 0.0
    partition.state = PartitionState.ON_TRIAL
    assert await attempts.run(slot, [partition], written_s=1.0, until=None) is None
    trials = asyncio.ensure_future(Trials(assignment, attempts, slot).run())
    try:
        await until(lambda: step.asked > 5)
        assert (partition.state, partition.trouble.failures, cluster.calls) == (PartitionState.ON_TRIAL, 1, [])
        step.knows = True
        await until(lambda: partition.position == 8)
        assert partition.trouble.failures == 0
    finally:
        trials.cancel()
        await asyncio.wait({trials})


async def test_a_doubt_says_nothing_of_a_partition_on_trial() -> None:
    """Nothing was written: its trouble does not grow, and it is tried again with the next producer."""
    lost: Any = Cluster(lost=MarkersInDoubtError("lost"))
    place: Any = Place(lost)
    partition = partition_at(FIRST, 7, 7)
    partition.trouble.add("refused", 0.0)
    partition.trouble.retry_at = 0.0
    partition.state = PartitionState.ON_TRIAL
    assignment = assigned(partition)
    trials = asyncio.ensure_future(Trials(assignment, Attempts(assignment), place).run())
    try:
        await until(lambda: place.calls == ["start", "drop", "start"])
        assert partition.trouble.failures == 1
        place.is_ready.set()
        await until(lambda: partition.position == 8)
    finally:
        trials.cancel()
        await asyncio.wait({trials})
