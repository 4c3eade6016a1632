"""What one transaction of a partition asks the cluster for, and in which order."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata
from prometheus_client import CollectorRegistry

from processors.deliver.dedupe import DedupeStore
from processors.runtime import partition as runtime
from processors.runtime.group_spec import GroupSpec
from processors.runtime.metrics import GroupMetrics
from processors.runtime.partition import Partition
from schemas.configuration import Context, read_configuration
from schemas.records import RawRecord, Record

SOURCE = TopicPartition("dropstream.raw", 2)
RECORDS = [ConsumerRecord("dropstream.raw", 2, offset, 0, 0, b"", b"", 0, 0, 0, ()) for offset in (7, 8, 11)]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Producer:
    """A cluster that takes every batch, or fails as `fault` says; `calls` are what it was asked for."""

    def __init__(self, fault: BaseException | None = None) -> None:
        self.calls: list[str] = []
        self.offsets: Mapping[TopicPartition, int] = {}
        self._fault = fault

    async def begin_transaction(self) -> None:
        self.calls.append("begin")

    async def partitions_for(self, _topic: str) -> set[int]:
        return {0}

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(1_000_000, 0)

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> "asyncio.Future[RecordMetadata]":
        self.calls.append(f"{batch.record_count()} to {topic}/{partition}")
        written: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        if self._fault is None:
            written.set_result(RecordMetadata(topic, partition, TopicPartition(topic, partition), 40, 0, 0, 0))
        else:
            written.set_exception(self._fault)
        return written

    async def send_offsets_to_transaction(self, offsets: Mapping[TopicPartition, int], group: str) -> None:
        self.calls.append(f"offsets of {group}")
        self.offsets = offsets

    async def commit_transaction(self) -> None:
        self.calls.append("commit")


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


def opened(producer: Producer, **fields: Any) -> Partition[DedupeStore]:
    settings = read_configuration("[endpoints]", source="test", context=Context({}, ()))
    Step.current = "old"
    spec: GroupSpec[DedupeStore] = GroupSpec(
        name="deliver",
        source="raw",
        changelog="deliver-state",
        new_step=Step,
        new_store=lambda: DedupeStore(window_s=9),
        settings=settings,
        metrics=GroupMetrics(CollectorRegistry()),
        **fields,
    )
    client: Any = producer
    return Partition(SOURCE, spec, spec.new_store(), client)


async def test_outputs_changes_and_offset_are_of_one_transaction() -> None:
    """Every record is on its way before the offset, and nothing counts in memory before the commit."""
    producer = Producer()
    partition = opened(producer)
    committed = await partition.transact(RECORDS)
    assert producer.calls == [
        "begin",
        "3 to dropstream.orders/0",
        "2 to dropstream.deliver-state/2",
        "offsets of dropstream.deliver",
        "commit",
    ]
    assert producer.offsets == {SOURCE: 12}
    assert (committed.taken, committed.next_offset) == (3, 12)
    assert (partition.store.changelog_offset, partition.store.input_offset, partition.store.entries) == (42, 12, 1)


async def test_a_transaction_is_judged_by_one_snapshot() -> None:
    """What changes in the middle of a transaction counts from the next one on."""
    partition = opened(Producer())
    committed = [await partition.transact(RECORDS) for _ in range(2)]
    assert [[output.value for output in one.outputs] for one in committed] == [[b"old"] * 3, [b"new"] * 3]


async def test_a_transaction_ends_before_it_outgrows_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the records comes with the next one, and its offset says so."""
    monkeypatch.setattr(runtime, "_OUTPUT_BYTES_MAX", 200)
    producer = Producer()
    committed = await opened(producer).transact(RECORDS)
    assert (committed.taken, committed.next_offset, producer.offsets) == (2, 9, {SOURCE: 9})


async def test_a_refused_batch_is_never_committed() -> None:
    """aiokafka would commit the transaction all the same; the store forgets what the steps changed."""
    producer = Producer(MessageSizeTooLargeError())
    partition = opened(producer)
    with pytest.raises(MessageSizeTooLargeError):
        await partition.transact(RECORDS)
    assert "commit" not in producer.calls
    assert (partition.store.changes(), partition.store.input_offset) == ([], 0)


async def test_a_process_that_was_frozen_is_fenced() -> None:
    """For longer than its session: its partitions are another's, whatever the error that it woke up to."""
    partition = opened(Producer(KafkaError()))
    process = partition.spec.settings.process.model_copy(update={"session_timeout_ms": 0})
    spec = replace(partition.spec, settings=partition.spec.settings.model_copy(update={"process": process}))
    with pytest.raises(ProducerFenced, match="frozen for 0 s") as caught:
        await replace(partition, spec=spec).transact(RECORDS)
    assert isinstance(caught.value.__cause__, KafkaError)


async def test_what_time_alone_makes_due_moves_no_offset() -> None:
    """Punctuation writes its outputs, and where nothing is due no transaction begins."""
    due = [Record("orders", b"k", b"late")]
    producer = Producer()
    partition = opened(producer, punctuate=lambda _store, now: due if now == NOON else ())
    assert (partition.is_due(NOON), partition.is_due(datetime.max.replace(tzinfo=UTC))) == (True, False)
    assert await partition.punctuate(datetime.max.replace(tzinfo=UTC)) == ()
    assert producer.calls == []
    assert await partition.punctuate(NOON) == due
    assert producer.calls == ["begin", "1 to dropstream.orders/0", "commit"]
