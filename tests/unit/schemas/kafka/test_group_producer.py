"""How a transaction's requests go on where nodes are silent, refuse, or aiokafka fails in ways of its own."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import CoordinationType
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record import MemoryRecords

from schemas.kafka.high_watermarks import high_watermark
from schemas.kafka.transactions.group_producer import GroupProducer
from schemas.kafka.wire.output_batch import OutputBatch
from tests.support.waiting import PATIENCE_S, until

TOPIC = "dropstream.orders"
SILENT, HEALTHY, OTHER = 0, 1, 2
NOT_LEADER, NOT_ENOUGH_REPLICAS, DUPLICATE, NOT_ATTEMPTED = 6, 19, 46, 55

# What a node does with a request: an answer as error code and offset, an exception, or None for silence.
Said = tuple[int, int] | Exception | None


class Nodes:
    """A client of nodes that do in turn what `plans` says of them, and take all else."""

    def __init__(self, **leaders: int) -> None:
        self.leaders = {int(name[1:]): node for name, node in leaders.items()}
        self.plans: dict[int, list[Said]] = {}
        self.sent: list[tuple[int, list[int]]] = []
        self.on_update: Callable[[], None] = lambda: None
        self.cluster = SimpleNamespace(leader_for_partition=lambda one: self.leaders[one.partition])
        self.cancelled = 0
        self._conns: dict[Any, object] = {}

    async def send(self, node: int, request: Any, **_: Any) -> Any:
        is_produce = isinstance(request, ProduceRequest)
        topics = request._topics if is_produce else ()  # noqa: SLF001 aiokafka's requests have no public fields
        numbers = [number for _, found in topics for number, _ in found]
        self.sent.append((node, numbers))
        plan = self.plans.get(node, [])
        said: Said = plan.pop(0) if plan else (0, 40)
        if said is None:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled += 1
        if isinstance(said, Exception):
            raise said
        assert said is not None
        code, offset = said
        if is_produce:
            return SimpleNamespace(topics=[(TOPIC, [(number, code, offset) for number in numbers])])
        return SimpleNamespace(errors=[(TOPIC, [(0, code)])], error_code=code)

    def force_metadata_update(self) -> "asyncio.Future[None]":
        self.on_update()
        return asyncio.get_running_loop().create_future()  # Nobody answers this either.


Make = Callable[[Nodes], GroupProducer]


@pytest.fixture
async def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes producers of such nodes; none of them is ever started."""

    def made(nodes: Nodes) -> GroupProducer:
        producer = GroupProducer(bootstrap_servers="127.0.0.1:1", transactional_id="t", retry_backoff_ms=10)
        producer._closed = True  # noqa: SLF001 nothing was opened
        producer._txn_manager.set_pid_and_epoch(7, 0)  # noqa: SLF001 what its start does

        async def found(*_: Any) -> Any:
            return set()

        async def coordinator(*_: Any) -> int:
            return HEALTHY

        monkeypatch.setattr(producer, "client", nodes)
        monkeypatch.setattr(producer, "partitions_for", found)
        monkeypatch.setattr(producer._sender, "_find_coordinator", coordinator)  # noqa: SLF001 it is what is asked
        return producer

    return made


def batches_of(*partitions: int) -> list[list[OutputBatch]]:
    """Two batches for each partition."""
    found = [[OutputBatch(TopicPartition(TOPIC, number), 0) for _ in "ab"] for number in partitions]
    for batches in found:
        for batch in batches:
            assert batch.append(b"k", b"v", [], timestamp_ms=0, bytes_max=1_000)
    return found


BROKEN = [
    RuntimeError("unable to perform operation on <TCPTransport>; the handler is closed"),
    KeyError((0, 0)),
    ConnectionResetError(),
]


@pytest.mark.parametrize("broken", BROKEN)
async def test_what_aiokafka_lets_through_is_a_lost_connection(make: Make, broken: Exception) -> None:
    """It is asked again, of the coordinator as of a leader, and never ends the group."""
    nodes = Nodes(p0=HEALTHY, p1=OTHER)
    nodes.plans = {HEALTHY: [broken], OTHER: [broken, broken]}
    producer = make(nodes)
    found = batches_of(0, 1)
    async with asyncio.timeout(PATIENCE_S):
        await producer.write(found)
        nodes.plans = {HEALTHY: [broken]}
        await producer.begin_transaction([TopicPartition(TOPIC, 0)])
    assert all(batch.offset == 40 for batches in found for batch in batches)


async def test_a_coordinator_that_cannot_be_looked_up_is_looked_up_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same errors come from there."""
    producer = make(Nodes())
    found: list[Any] = [*BROKEN, HEALTHY]

    async def coordinator(kind: CoordinationType, _key: str) -> int:
        assert kind == CoordinationType.TRANSACTION
        said = found.pop(0)
        if isinstance(said, Exception):
            raise said
        return HEALTHY

    monkeypatch.setattr(producer._sender, "_find_coordinator", coordinator)  # noqa: SLF001 it is what is asked
    async with asyncio.timeout(PATIENCE_S):
        await producer.begin_transaction([TopicPartition(TOPIC, 0)])
    assert not found


@pytest.mark.parametrize(
    ("broken", "said"), [(TypeError("ours"), TypeError), (NotImplementedError("no v3"), IncompatibleBrokerVersion)]
)
async def test_what_no_second_try_changes_is_said_at_once(make: Make, broken: Exception, said: type[Exception]) -> None:
    """A fault of ours is no lost connection, nor is a broker that has no version of a request."""
    nodes = Nodes(p0=HEALTHY)
    nodes.plans = {HEALTHY: [broken] * 2}
    producer = make(nodes)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(said, match=str(broken)):
            await producer.begin_transaction([TopicPartition(TOPIC, 0)])
        with pytest.raises(said, match=str(broken)):
            await producer.write(batches_of(0))


async def test_an_incompatible_broker_is_said_at_once_and_alone(make: Make) -> None:
    """Asking again does not help; what the other nodes are asked ends first, and no group of errors comes of it."""
    nodes = Nodes(p0=SILENT, p1=HEALTHY)
    nodes.plans = {SILENT: [None], HEALTHY: [IncompatibleBrokerVersion()]}
    with pytest.raises(IncompatibleBrokerVersion):
        async with asyncio.timeout(PATIENCE_S):
            await make(nodes).write(batches_of(0, 1))
    assert nodes.cancelled == 1


async def test_a_silent_node_holds_up_no_other(make: Make) -> None:
    """What a healthy node refused for a moment is written, while the silent one and the metadata are waited for."""
    nodes = Nodes(p0=SILENT, p1=HEALTHY, p2=OTHER)
    nodes.plans = {SILENT: [None], HEALTHY: [(NOT_ENOUGH_REPLICAS, -1)], OTHER: [(NOT_LEADER, -1)]}
    nodes.on_update = lambda: nodes.leaders.update({2: HEALTHY})
    found = batches_of(0, 1, 2)
    writing = asyncio.create_task(make(nodes).write(found))
    await until(lambda: all(batch.is_answered for batches in found[1:] for batch in batches))
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert [[batch.is_answered for batch in batches] for batches in found] == [[False] * 2, [True] * 2, [True] * 2]
    assert nodes.sent.count((OTHER, [2])) == 1
    assert [node for node, numbers in nodes.sent if 2 in numbers] == [OTHER, HEALTHY, HEALTHY]
    assert nodes.cancelled == 1


async def test_many_tries_end_without_depth(make: Make) -> None:
    """A node may refuse for as long as the transaction has time."""
    nodes = Nodes(p0=HEALTHY, p1=HEALTHY)
    nodes.plans = {HEALTHY: [(NOT_ENOUGH_REPLICAS, -1)] * 1_500}
    producer = make(nodes)
    producer._retry_s = 0.0  # noqa: SLF001 else it takes minutes
    found = batches_of(0, 1)
    async with asyncio.timeout(PATIENCE_S):
        await producer.write(found)
    assert all(batch.is_answered for batches in found for batch in batches)


async def test_the_end_of_a_partition_is_asked_for_with_errors_of_kafka_alone() -> None:
    """Whoever asks looks for no other: a RuntimeError would end the group."""
    nodes = Nodes(p0=HEALTHY)
    nodes.plans = {HEALTHY: [BROKEN[0]]}
    consumer: Any = SimpleNamespace(_client=nodes)
    with pytest.raises(KafkaConnectionError):
        await high_watermark(consumer, TopicPartition(TOPIC, 0))


async def test_a_batch_that_is_there_already_may_have_no_offset(make: Make) -> None:
    """Its leader has it, and does not say where: -1 is no place in a log."""
    nodes = Nodes(p0=HEALTHY)
    nodes.plans = {HEALTHY: [(DUPLICATE, -1)]}
    found = batches_of(0)
    await make(nodes).write(found)
    assert [(batch.is_answered, batch.error, batch.offset) for batch in found[0]] == [
        (True, None, None),
        (True, None, 40),
    ]


async def test_a_record_has_the_time_at_which_it_was_appended(make: Make) -> None:
    """Read by their times, the records of a transaction come in the order in which they were made, in all partitions.

    The audit reads them so. Batches are encoded one after the other.
    """
    producer = make(Nodes(p0=HEALTHY, p1=HEALTHY))
    first, second = [[producer.create_batch(TopicPartition(TOPIC, number))] for number in (0, 1)]
    for batches in (first, second, first, second):
        producer.append(batches, b"k", b"v", [])
        await until(partial(_is_past, time.time() + 0.002))
    await producer.write([second, first])
    by_partition = [
        [one.timestamp for one in MemoryRecords(batches[0].data).next_batch()] for batches in (first, second)
    ]
    found = [by_partition[turn % 2][turn // 2] for turn in range(4)]
    assert found == sorted(set(found))


def _is_past(moment_s: float) -> bool:
    return time.time() > moment_s


async def test_a_batch_is_tried_where_it_is_sent_or_only_its_leader_is_missing(make: Make) -> None:
    """Those are what holds up a transaction; a batch behind one that is not taken says nothing."""
    nodes = Nodes(p0=-1, p1=SILENT)
    nodes.plans = {SILENT: [None]}
    found = batches_of(0, 1)
    assert not any(batch.is_tried for batches in found for batch in batches)
    writing = asyncio.create_task(make(nodes).write(found))
    await until(lambda: found[0][0].is_tried and found[1][0].is_tried)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert [[batch.is_tried for batch in batches] for batches in found] == [[True, False]] * 2


async def test_what_was_not_attempted_is_asked_for_again(make: Make) -> None:
    """Where no other partition is said to be refused, the coordinator has still not done it."""
    nodes = Nodes()
    nodes.plans = {HEALTHY: [(NOT_ATTEMPTED, -1), (0, 0)]}
    await make(nodes).begin_transaction([TopicPartition(TOPIC, 0)])
    assert len(nodes.sent) == 2
