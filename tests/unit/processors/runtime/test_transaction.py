"""What one transaction asks the cluster for, in which order, and what it leaves behind where it fails."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalGenerationError, KafkaError, MessageSizeTooLargeError
from prometheus_client import CollectorRegistry

from processors.deliver.dedupe import DedupeStore
from processors.runtime import transaction as runtime
from processors.runtime.byte_account import ByteAccount
from processors.runtime.group_spec import GroupSpec
from processors.runtime.metrics import GroupMetrics
from processors.runtime.partition import Partition
from processors.runtime.transaction import Bounds, Transaction, TransactionFailedError
from schemas.configuration import Context, read_configuration
from schemas.kafka.errors import FencedInstanceIdError
from schemas.kafka.group_member import GroupMember
from schemas.kafka.wire.output_batch import OutputBatch
from schemas.records import RawRecord, Record
from tests.support.waiting import PATIENCE_S

FIRST, SECOND = (TopicPartition("dropstream.raw", number) for number in (2, 5))
MEMBER = GroupMember("dropstream.deliver", 3, "me", None)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def records(source: TopicPartition, *offsets: int) -> list[ConsumerRecord]:
    return [ConsumerRecord(*source, offset, 0, 0, b"", b"", 0, 0, 0, ()) for offset in offsets]


class Cluster:
    """A producer whose cluster takes everything, but for the topics in `refused` and what comes after `lost`."""

    def __init__(
        self,
        refused: Mapping[str, Exception] | None = None,
        lost: BaseException | None = None,
        offset: int = 40,
    ) -> None:
        self.calls: list[str] = []
        self.markers = SimpleNamespace(is_in_doubt=False, commit=None)
        self._refused, self._lost = refused or {}, lost
        self._offset = offset

    async def partitions_for(self, _topic: str) -> set[int]:
        return {0}

    def create_batch(self, partition: TopicPartition) -> OutputBatch:
        return OutputBatch(partition, 0)

    def append(self, batches: list[OutputBatch], key: bytes, value: bytes | None, headers: list[Any]) -> None:
        assert batches[-1].append(key, value, headers, timestamp_ms=0, bytes_max=1_000_000)

    async def begin_transaction(self, partitions: Collection[TopicPartition]) -> None:
        self.calls.append(f"begin with {', '.join(f'{topic}/{number}' for topic, number in partitions)}")
        await asyncio.sleep(0)

    async def write(self, batches: Collection[Sequence[OutputBatch]]) -> None:
        for batch in chain.from_iterable(batches):
            topic, number = batch.partition
            self.calls.append(f"{len(batch)} to {topic}/{number}")
            batch.is_tried = True
            batch.answer(self._offset, self._refused.get(f"{topic}/{number}"))

    async def send_positions(self, positions: Mapping[TopicPartition, int], member: GroupMember) -> None:
        where = ", ".join(f"{source.partition} at {offset}" for source, offset in positions.items())
        self.calls.append(f"{where}, by {member.member_id} of generation {member.generation}")
        if self._lost is not None:
            raise self._lost

    async def commit_transaction(self) -> None:
        self.calls.append("commit")
        if self._lost is not None:
            raise self._lost


class Step:
    """Remembers each record, and writes its name into `orders`; the endpoints change behind its back."""

    current = "old"

    def __init__(self) -> None:
        self._name = Step.current

    def __call__(self, raw: RawRecord, store: DedupeStore) -> Sequence[Record]:
        Step.current = "new"
        store.remember(
            store.judge(endpoint="a", natural_key=self._name, body=b"", offset=raw.position.offset, received_s=0)
        )
        return (Record("orders", b"k", self._name.encode()),)


def spec_of(**fields: Any) -> GroupSpec[DedupeStore]:
    Step.current = "old"
    return GroupSpec(
        name="deliver",
        source="raw",
        changelog="deliver-state",
        new_step=Step,
        new_store=lambda: DedupeStore(window_s=9),
        settings=read_configuration("[endpoints]", source="test", context=Context({}, ())),
        metrics=GroupMetrics(CollectorRegistry()),
        **fields,
    )


def partition_at(source: TopicPartition, position: int, *offsets: int) -> Partition[DedupeStore]:
    partition = Partition(source, DedupeStore(window_s=9), position)
    partition.add(records(source, *offsets))
    return partition


def transaction(cluster: Cluster, *partitions: Partition[DedupeStore], **fields: Any) -> Transaction[DedupeStore]:
    client: Any = cluster
    bounds = fields.pop("bounds", None) or Bounds(100, 9.0, 9.0)
    until = fields.pop("until", None)
    return Transaction(spec_of(**fields), client, MEMBER, partitions, bounds, until)


async def test_outputs_changes_and_positions_are_of_one_transaction() -> None:
    """Positions go beside the records, the commit goes behind both, and nothing counts in a store before it."""
    cluster = Cluster()
    first, second = partition_at(FIRST, 7, 7, 8, 11), partition_at(SECOND, 3, 3)
    committed = await transaction(cluster, first, second).run()
    assert cluster.calls == [
        "2 at 12, 5 at 4, by me of generation 3",
        "begin with dropstream.orders/0, dropstream.deliver-state/2, dropstream.deliver-state/5",
        "4 to dropstream.orders/0",
        "2 to dropstream.deliver-state/2",
        "2 to dropstream.deliver-state/5",
        "commit",
    ]
    assert [(one.partition, one.taken, len(one.outputs)) for one in committed] == [(first, 3, 3), (second, 1, 1)]
    assert (first.position, second.position, len(first.records), first.bytes_count) == (12, 4, 0, 0)
    assert (first.store.changelog_offset, first.store.input_offset, first.store.entries) == (42, 12, 1)


async def test_a_transaction_is_judged_by_one_snapshot() -> None:
    """What changes in the middle of a transaction counts from the next one on."""
    (committed,) = await transaction(Cluster(), partition_at(FIRST, 7, 7, 8, 11)).run()
    assert [output.value for output in committed.outputs] == [b"old"] * 3


async def test_a_transaction_ends_before_it_outgrows_its_bound() -> None:
    """The rest of the records stays in hand, and the next partition has its turn with the next transaction."""
    cluster = Cluster()
    first, second = partition_at(FIRST, 7, 7, 8, 11), partition_at(SECOND, 3, 3)
    bounds = Bounds(100, 9.0, 9.0, account=ByteAccount(limit=32 * 200))
    (committed,) = await transaction(cluster, first, second, bounds=bounds).run()
    assert (committed.taken, first.position, len(first.records)) == (2, 9, 1)
    assert (second.position, len(second.records)) == (3, 1)
    assert "2 at 9, by me of generation 3" in cluster.calls
    # What remains is a backlog, which holds up nobody; what had no turn yet waits.
    assert (first.waits, second.waits) == (False, True)


async def test_a_heavy_partition_leaves_time_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each partition of a transaction has its share of the time; one that has more to do goes on in the next one."""
    monkeypatch.setattr(runtime, "_STEPS_MAX_S", 0.0)
    first, second = partition_at(FIRST, 7, 7, 8, 11), partition_at(SECOND, 3, 3)
    committed = await transaction(Cluster(), first, second).run()
    assert [one.taken for one in committed] == [1, 1]


async def test_a_refused_batch_is_never_committed() -> None:
    """aiokafka would commit the transaction all the same; every store forgets what the steps changed."""
    cluster = Cluster({"dropstream.deliver-state/5": MessageSizeTooLargeError()})
    first, second = partition_at(FIRST, 7, 7, 8), partition_at(SECOND, 3, 3)
    with pytest.raises(TransactionFailedError) as caught:
        await transaction(cluster, first, second).run()
    assert "commit" not in cluster.calls
    failed = caught.value
    assert (failed.refused, failed.fate_known, failed.suspects, failed.taken) == (True, True, frozenset({SECOND}), 3)
    for partition in (first, second):
        assert (partition.store.changes(), partition.store.input_offset, partition.taken) == ([], 0, 0)
    assert (len(first.records), len(second.records)) == (2, 1)


async def test_after_a_refused_position_nothing_is_committed() -> None:
    """The coordinator says that the partitions are another's: nobody is to blame, and everything stays in hand."""
    cluster = Cluster(lost=IllegalGenerationError())
    partition = partition_at(FIRST, 7, 7)
    with pytest.raises(TransactionFailedError) as caught:
        await transaction(cluster, partition).run()
    assert "commit" not in cluster.calls
    assert (caught.value.fate_known, caught.value.suspects, len(partition.records)) == (True, frozenset(), 1)


async def test_what_was_never_sent_is_not_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the transaction cannot begin, no partition held it up."""
    cluster = Cluster()

    async def begin(_: Collection[TopicPartition]) -> None:
        raise TimeoutError

    monkeypatch.setattr(cluster, "begin_transaction", begin)
    with pytest.raises(TransactionFailedError) as caught:
        await transaction(cluster, partition_at(FIRST, 7, 7)).run()
    assert (caught.value.fate_known, caught.value.suspects) == (True, frozenset())


async def test_a_leader_that_says_no_offset_moves_no_store() -> None:
    """It has the batch already, and may not know where."""
    cluster, partition = Cluster(offset=-1), partition_at(FIRST, 7, 7)
    await transaction(cluster, partition).run()
    assert (partition.position, partition.store.changelog_offset) == (8, 0)


@pytest.mark.parametrize("refused_later", [False, True])
async def test_a_refused_position_ends_outputs_that_hang(
    monkeypatch: pytest.MonkeyPatch, *, refused_later: bool
) -> None:
    """No time-out masks the refusal, and nobody is to blame for what is not written by then."""
    cluster = Cluster()
    sent = asyncio.Event()

    async def hang(batches: Collection[Sequence[OutputBatch]]) -> None:
        for batch in chain.from_iterable(batches):
            batch.is_tried = True
        sent.set()
        await asyncio.Event().wait()

    async def refuse(_positions: Mapping[TopicPartition, int], _member: GroupMember) -> None:
        if refused_later:
            await sent.wait()
        raise FencedInstanceIdError

    monkeypatch.setattr(cluster, "write", hang)
    monkeypatch.setattr(cluster, "send_positions", refuse)
    with pytest.raises(TransactionFailedError) as caught:
        async with asyncio.timeout(PATIENCE_S):
            await transaction(cluster, partition_at(FIRST, 7, 7), bounds=Bounds(100, 600.0, 600.0)).run()
    assert isinstance(caught.value.error, FencedInstanceIdError)
    assert (caught.value.fate_known, caught.value.suspects) == (True, frozenset())
    assert "commit" not in cluster.calls


async def test_a_lost_answer_to_the_commit_leaves_its_fate_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether it is committed; the stores show the state before it until the partitions are read anew."""
    cluster = Cluster()

    async def commit() -> None:
        raise KafkaError

    monkeypatch.setattr(cluster, "commit_transaction", commit)
    partition = partition_at(FIRST, 7, 7)
    with pytest.raises(TransactionFailedError) as caught:
        await transaction(cluster, partition).run()
    assert (caught.value.fate_known, caught.value.suspects) == (False, frozenset())
    assert (partition.store.entries, partition.position) == (0, 7)


async def test_what_time_alone_makes_due_commits_the_position_too() -> None:
    """A transaction without positions is not fenced by the group; and where nothing is due no transaction begins."""
    due = [Record("orders", b"k", b"late")]
    cluster = Cluster()
    first, second = partition_at(FIRST, 7), partition_at(SECOND, 3)
    first_store = first.store
    work = transaction(
        cluster,
        first,
        second,
        until=NOON,
        punctuate=lambda store, now: due if (store, now) == (first_store, NOON) else (),
    )
    (committed,) = await work.run()
    assert (committed.partition, committed.outputs, committed.taken) == (first, due, 0)
    assert cluster.calls == [
        "2 at 7, by me of generation 3",
        "begin with dropstream.orders/0",
        "1 to dropstream.orders/0",
        "commit",
    ]
    assert await transaction(cluster, second, until=NOON).run() == []
    assert len(cluster.calls) == 4


async def test_a_record_that_kafka_refuses_has_other_outputs() -> None:
    """Where a record was found that no broker takes, its outputs are those of a refused record, and no step's."""
    cluster = Cluster()
    partition = partition_at(FIRST, 7, 7, 8)
    partition.trouble.refused[8] = "MessageSizeTooLarge"
    (committed,) = await transaction(
        cluster,
        partition,
        refused=lambda raw, why: (Record("rejected", b"k", f"{raw.position.offset} {why}".encode()),),
    ).run()
    assert [(one.topic, one.value) for one in committed.outputs] == [
        ("orders", b"old"),
        ("rejected", b"8 MessageSizeTooLarge"),
    ]


@pytest.mark.parametrize(("generation", "member"), [(-1, "me"), (3, "")])
def test_nobody_commits_no_position(generation: int, member: str) -> None:
    """The coordinator would take a position from generation -1 without asking who sends it."""
    with pytest.raises(ValueError, match="names no member"):
        GroupMember("dropstream.deliver", generation, member, None)
