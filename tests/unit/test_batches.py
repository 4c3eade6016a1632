"""A batch is open until the client takes it, and not a moment longer."""

from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.structs import TopicPartition

from ingest.batches import Batch, Builder
from schemas.delivery import PendingRecord
from schemas.kafka import BATCH_BYTES

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
    batch = Batch(Builder(BATCH_BYTES, 0), 0.0)
    raw = TopicPartition("raw", 0)
    await accumulator.add_batch(batch.builder, raw, 1.0)
    assert [batch.add(_RECORD), batch.add(_RECORD)] == [True, True]
    accumulator.drain_by_nodes(ignore_nodes=())
    assert not batch.add(_RECORD)
    assert (batch.builder.record_count(), numbers.sequence_number(raw)) == (2, 2)
