"""What becomes of a batch, whatever a node does: it is written once and in order, or refused by the error's name."""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.kafka.batch_producer import BatchProducer
from schemas.kafka.batches import Builder
from schemas.kafka.producers import close_producer, open_producer
from tests.support.waiting import PATIENCE_S, until
from tests.unit.schemas.kafka.scripted_kafka import TOPIC, Fault, Say, ScriptedKafka, scripted_kafka

_REQUEST_MS = 1_500
_UNHURRIED_MS = 600_000


def batch(*values: bytes) -> Builder:
    """An open batch of these records."""
    made = Builder(10_000, 0)
    for value in values:
        add(made, value)
    return made


def add(builder: Builder, value: bytes) -> bool:
    """Whether the batch took the record."""
    return builder.append(timestamp=1, key=b"acme", value=value, headers=[("a", b"b")]) is not None


@asynccontextmanager
async def producer_of(
    kafka: ScriptedKafka, kind: type = BatchProducer, *, request_ms: int = _UNHURRIED_MS, backoff_ms: int = 10
) -> AsyncIterator[Any]:
    """A started producer; nothing that the event loop has to complain of happens until it is closed."""
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    arguments = {
        "bootstrap_servers": kafka.bootstrap_servers,
        "enable_idempotence": True,
        "acks": "all",
        "request_timeout_ms": request_ms,
        "retry_backoff_ms": backoff_ms,
    }
    producer = await open_producer(arguments, topic=TOPIC, within_s=60, make=kind)
    before = asyncio.all_tasks()
    try:
        yield producer
    finally:
        await close_producer(producer, flush_s=0)
    left = asyncio.all_tasks() - before
    assert said == []
    assert [task for task in left if "scripted" not in repr(task)] == []


async def write(producer: Any, batches: Sequence[tuple[int, Builder]]) -> list["Future[object]"]:
    """Gives the producer a batch of each partition, in one turn where it can."""
    if isinstance(producer, BatchProducer):
        return [written for number, one in batches if (written := producer.offer(one, TOPIC, number)) is not None]
    return [await producer.send_batch(one, TOPIC, partition=number) for number, one in batches]


_RETRIED = {
    "the connection is cut before it is written": Fault.CUT_BEFORE,
    "the connection is cut behind it": Fault.CUT_AFTER,
    "half an answer, and then nothing": Fault.CUT_OFF,
    "the answer of another request": Fault.WRONG_NUMBER,
    "nothing within the time of a request": Fault.HANG,
    "UNKNOWN_TOPIC_OR_PARTITION": Say(3),
    "LEADER_NOT_AVAILABLE": Say(5),
    "NOT_LEADER_OR_FOLLOWER": Say(6),
    "REQUEST_TIMED_OUT, written": Say(7, written=True),
    "NOT_ENOUGH_REPLICAS": Say(19),
    "NOT_ENOUGH_REPLICAS of one batch": Say(19, partition=0),
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": Say(20, written=True),
    "DUPLICATE_SEQUENCE_NUMBER": Say(46, written=True),
    "KAFKA_STORAGE_ERROR": Say(56),
}


_SLOW = {Fault.CUT_OFF, Fault.HANG}  # Nothing ends them but the time of a request.


@pytest.mark.parametrize("kind", [AIOKafkaProducer, BatchProducer])
@pytest.mark.parametrize("fault", _RETRIED.values(), ids=_RETRIED)
async def test_what_may_be_tried_again_is_written_once_and_in_order(fault: Fault | Say, kind: type) -> None:
    """Also twice in a row; batches behind it wait for it, and none is on its way twice at once."""
    async with scripted_kafka() as kafka, producer_of(kafka, kind, request_ms=_REQUEST_MS) as producer:
        await asyncio.gather(*await write(producer, [(0, batch(b"1"))]))
        kafka.plans.extend([fault] if fault in _SLOW else [fault, fault])
        written = await write(producer, [(0, batch(b"2", b"3")), (1, batch(b"a"))])
        await until(lambda: len(kafka.requests) > 1)
        written += await write(producer, [(0, batch(b"4"))])
        await asyncio.gather(*written)
        assert (kafka.values(0), kafka.values(1)) == ([b"1", b"2", b"3", b"4"], [b"a"])
        assert kafka.most_at_once == 1
        assert not kafka.plans


_REFUSED = {
    2: "CorruptRecordException",
    10: "MessageSizeTooLargeError",
    18: "RecordListTooLargeError",
    29: "TopicAuthorizationFailedError",
    32: "InvalidTimestampError",
    45: "OutOfOrderSequenceNumber",
    47: "ProducerFenced",
    59: "UnknownProducerId",
    999: "UnknownError",
}


@pytest.mark.parametrize("kind", [AIOKafkaProducer, BatchProducer])
@pytest.mark.parametrize("code", _REFUSED)
async def test_a_refusal_ends_its_batch_and_no_other(code: int, kind: type) -> None:
    """The other batches of the request are written; the error has the name that it has of aiokafka."""
    async with scripted_kafka() as kafka, producer_of(kafka, kind) as producer:
        await asyncio.gather(*await write(producer, [(2, batch(b"first"))]))
        kafka.held.add(0)
        await write(producer, [(2, batch(b"second"))])
        await until(lambda: len(kafka.requests) == 2)
        refused, written = await write(producer, [(0, batch(b"1")), (1, batch(b"a"))])
        kafka.plans.extend((Say(0), Say(code, partition=0)))
        kafka.let_go()
        await written
        with pytest.raises(KafkaError) as error:
            await refused
        assert type(error.value).__name__ == _REFUSED[code]
        assert (kafka.values(0), kafka.values(1)) == ([], [b"a"])


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("fault", [Fault.UNSAID, Fault.TWICE])
async def test_a_batch_of_which_an_answer_says_nothing_fails(fault: Fault, *, connected: bool) -> None:
    """Nobody knows its fate, so that it may not be tried again; the other batches of the request are written."""
    async with scripted_kafka() as kafka, producer_of(kafka) as producer:
        if connected:
            await asyncio.gather(*await write(producer, [(2, batch(b"first"))]))
        kafka.plans.append(fault)
        forgotten, written = await write(producer, [(0, batch(b"1")), (1, batch(b"a"))])
        await written
        with pytest.raises(KafkaError, match="does not name") as error:
            async with asyncio.timeout(PATIENCE_S):
                await forgotten
        assert not error.value.retriable
        await asyncio.gather(*await write(producer, [(0, batch(b"2")), (1, batch(b"b"))]))


@pytest.mark.parametrize("kind", [AIOKafkaProducer, BatchProducer])
async def test_batches_follow_their_leader(kind: type) -> None:
    """A leader that has moved, after a time without any, gets what was given to the one before."""
    async with scripted_kafka(nodes=2, partitions=2) as kafka, producer_of(kafka, kind) as producer:
        await asyncio.gather(*await write(producer, [(0, batch(b"1")), (1, batch(b"a"))]))
        kafka.leaders[0] = -1
        asked = 0

        def lead_again() -> None:
            nonlocal asked
            asked += 1
            if asked == 3:
                kafka.leaders[0] = 1

        kafka.on_metadata = lead_again
        kafka.requests.clear()
        (moved,) = await write(producer, [(0, batch(b"2"))])
        await moved
        assert kafka.values(0) == [b"1", b"2"]
        assert [node for node, _ in kafka.requests][-1] == 1
        assert asked >= 3
