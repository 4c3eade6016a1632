"""A batch is open until the client takes it, and not a moment longer; and it is settled, whatever the client does."""

import asyncio
from asyncio import Future

from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.structs import TopicPartition

from ingest.budgets import ByteBudget, Reservation
from ingest.kafka.batches import DeliveryReport, Fate, PartitionBatches, ProducerBatch, Report
from schemas.delivery import PendingRecord
from schemas.kafka.arguments import BATCH_BYTES
from schemas.kafka.batches import Builder
from tests.support.waiting import until

_LARGE = PendingRecord("acme", b"acme", bytes(BATCH_BYTES), [], 1_774_747_800_000)
_RECORD = PendingRecord("acme", b"acme", b"{}", [("content-type", b"application/json")], 1_774_747_800_000)


class _Cluster:
    """One leader for everything."""

    def leader_for_partition(self, _partition: TopicPartition) -> int:
        return 0


async def test_a_batch_takes_nothing_once_the_client_has_counted_it() -> None:
    """aiokafka numbers the next batch by what this one holds when it is taken, and encodes it later."""
    numbers = TransactionManager(None, 0)
    numbers.set_pid_and_epoch(1, 0)
    accumulator = MessageAccumulator(_Cluster(), BATCH_BYTES, 0, 10.0, txn_manager=numbers)
    batch = ProducerBatch(Builder(BATCH_BYTES, 0), 0.0)
    raw = TopicPartition("raw", 0)
    await accumulator.add_batch(batch.builder, raw, 1.0)
    assert [batch.add(_RECORD), batch.add(_RECORD)] == [True, True]
    accumulator.drain_by_nodes(ignore_nodes=())
    assert not batch.add(_RECORD)
    assert (batch.builder.record_count(), numbers.sequence_number(raw)) == (2, 2)


class _Client:
    """aiokafka's producer where it takes no batch: it waits for metadata for ever, or raises what it asserts."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.asked = 0

    def offer(self, _builder: Builder, *_place: object) -> Future[object] | None:
        return None

    async def send_batch(self, *_batch: object, **_partition: object) -> Future[object]:
        self.asked += 1
        if self._error:
            raise self._error
        never: Future[Future[object]] = Future()
        return await never


class _Prompt(_Client):
    """aiokafka's producer where it takes a batch at once."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[Builder, Future[object]]] = []

    def offer(self, builder: Builder, *_place: object) -> Future[object]:
        self.taken.append((builder, Future()))
        return self.taken[-1][1]


class _Partition:
    """The batches of a partition, what they report, and the bytes that are still held for them."""

    def __init__(self, client: _Client) -> None:
        self.reports: list[Report] = []
        self.errors: list[str] = []
        self.overdue: list[PartitionBatches] = []
        self._budget = ByteBudget(1_000)
        self.batches = PartitionBatches(
            client,
            "raw",
            0,
            compression=0,
            deadline_s=0.02,
            on_overdue=self.overdue.append,
            on_settled=lambda _, __, error: self.errors.append(type(error).__name__),
        )

    @property
    def held_bytes(self) -> int:
        return self._budget.held_bytes

    def append(self, record: PendingRecord = _RECORD) -> None:
        reservation = Reservation(self._budget)
        reservation.grow(10)
        self.batches.append(record, reservation, self.reports.append)


async def test_when_one_is_overdue_all_that_wait_go_behind_it_at_once() -> None:
    """The batch at the client's door, and the one that waits for its turn, which the client is never given."""
    client = _Client()
    partition = _Partition(client)
    partition.append(_LARGE)
    await until(lambda: client.asked == 1)
    partition.append(_LARGE)
    partition.append()
    partition.batches.stall()
    fate, *others = partition.reports
    assert isinstance(fate, Fate)
    assert (fate.report, others, partition.held_bytes) == (None, [DeliveryReport.UNKNOWN] * 2, 10)
    assert (partition.batches.overdue, partition.overdue) == (True, [partition.batches])
    partition.batches.abandon()
    assert (fate.report, partition.errors, client.asked) == (DeliveryReport.UNKNOWN, ["CancelledError"], 1)
    assert not partition.batches.overdue


async def test_what_waits_when_the_producer_goes_is_settled_at_once() -> None:
    """The batch at the client's door, which is overdue; nothing is held or tried again."""
    client = _Client()
    partition = _Partition(client)
    partition.append()
    await until(lambda: len(partition.overdue) == 1)
    (fate,) = partition.reports
    assert isinstance(fate, Fate)
    assert (fate.report, partition.held_bytes) == (None, 10)
    partition.batches.abandon()
    assert (partition.reports, partition.held_bytes) == ([fate], 0)
    assert fate.report is DeliveryReport.UNKNOWN
    assert partition.errors == ["CancelledError"]
    await until(lambda: len(asyncio.all_tasks()) == 1)
    assert (client.asked, len(partition.overdue)) == (1, 1)


async def test_a_fault_of_the_clients_ends_its_batch_and_no_other() -> None:
    """aiokafka asserts that the partition is there; the records' report is `UNKNOWN`, and the next one is tried."""
    client = _Client(AssertionError("Unrecognized partition"))
    partition = _Partition(client)
    for count in (1, 2):
        partition.append()
        await until(lambda expected=count: len(partition.errors) == expected)  # type: ignore[misc] # it is bound here
    assert (partition.reports, partition.errors) == ([DeliveryReport.UNKNOWN] * 2, ["AssertionError"] * 2)
    assert (partition.held_bytes, client.asked, partition.overdue) == (0, 2, [])


async def test_a_batch_that_the_client_takes_at_once_needs_no_task() -> None:
    """What comes in the same turn joins it; overdue it stays with the client, which settles it later."""
    client = _Prompt()
    partition = _Partition(client)
    partition.append()
    partition.append()
    ((builder, written),) = client.taken
    assert (builder.record_count(), len(asyncio.all_tasks()), partition.batches.busy) == (2, 1, True)
    partition.batches.stall()
    assert (partition.batches.overdue, partition.held_bytes) == (True, 20)
    assert len({*partition.reports}) == 1
    written.set_result(None)
    await until(lambda: not partition.batches.busy)
    (fate,) = {*partition.reports}
    assert isinstance(fate, Fate)
    assert (fate.report, fate.count, partition.held_bytes) == (DeliveryReport.WRITTEN, 2, 0)
    assert (partition.batches.overdue, client.asked, partition.errors) == (False, 0, ["NoneType"])
