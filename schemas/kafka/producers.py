"""Opening and closing aiokafka's producer within a time, and the reason why a producer died.

aiokafka's own `start` and `stop` wait for the broker without bound (aio-libs/aiokafka issues 1101 and 1013).
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, KafkaError, ProducerClosed, ProducerFenced

from schemas.kafka.cancellation import cancellation_kept
from schemas.kafka.connections import cut_all
from schemas.kafka.futures import retrieve_exception

_CLOSE_S = 2.0


async def open_producer(
    arguments: Mapping[str, Any],
    *,
    topic: str,
    within_s: float,
    others: Sequence[str] = (),
    make: Callable[..., AIOKafkaProducer] = AIOKafkaProducer,
) -> AIOKafkaProducer:
    """A started producer that knows the partitions of `topic` and `others`, so that its first record waits for nothing.

    Raises:
        KafkaError, OSError: the cluster cannot be reached, or refuses us.
        TimeoutError: the cluster or a topic was not there within `within_s`.
    """
    producer = make(**arguments)
    try:
        async with asyncio.timeout(within_s):
            await producer.start()
            for name in (topic, *others):
                await producer.partitions_for(name)
    except BaseException:
        await close_producer(producer, flush_s=0)
        raise
    return producer


def replicas_of(producer: AIOKafkaProducer, topic: str) -> dict[int, frozenset[int]]:
    """The nodes that have a copy of each partition, as this producer knows them; nothing where the topic is gone."""
    known = producer.client.cluster._partitions.get(topic, {})
    return {number: frozenset(found.replicas) for number, found in known.items()}


async def close_producer(producer: AIOKafkaProducer, *, flush_s: float) -> None:
    """Writes what the producer still has for up to `flush_s` seconds, then fails the rest and closes in 2 seconds."""
    with cancellation_kept(asyncio.current_task()):
        try:
            async with asyncio.timeout(flush_s):
                await producer.stop()
        except (TimeoutError, KafkaError):
            await _abandon(producer)


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """Stops a transactional producer, whose `stop` raises the error that its sender died of and stays half open."""
    try:
        await producer.stop()
    except KafkaError:
        with contextlib.suppress(KafkaError):
            await producer.client.close()


def reason_of(error: BaseException, producer: AIOKafkaProducer) -> BaseException:
    """The error that the producer died of, where `error` (IllegalOperation, AssertionError) hides it; else `error`."""
    if not isinstance(error, (IllegalOperation, AssertionError)):
        return error
    sender = producer._sender.sender_task
    died = sender is not None and sender.done() and not sender.cancelled()
    cause: BaseException = (sender.exception() if died else None) or error
    reason: BaseException = (
        cause if isinstance(cause, ProducerFenced) else KafkaError(f"the producer is dead: {cause!r}")
    )
    return reason


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Does what `stop` does after its flush: `stop` was cut off there, and a second call of it does nothing."""
    sender = producer._sender.sender_task
    fail_all(producer._message_accumulator, ProducerClosed())
    if sender is not None:
        # What aiokafka does when this task fails is wrong without transactions, and logged with a traceback.
        sender.remove_done_callback(producer._sender._fail_all)
        sender.add_done_callback(retrieve_exception)
        sender.cancel()
    try:
        async with asyncio.timeout(_CLOSE_S):
            # First the connections: the sender ends when its requests do. What has failed must not be sent any more.
            cut_all(producer.client)
            await producer.client.close()
            if sender is not None:
                await asyncio.wait((sender,))
    except (TimeoutError, KafkaError):
        return


def fail_all(accumulator: Any, error: KafkaError) -> None:
    """Fails every batch of the accumulator, which takes none any more, and ends the flush that `stop` left running."""
    batches = [*chain.from_iterable(accumulator._batches.values()), *accumulator._pending_batches]
    accumulator.fail_all(error)
    # A batch that was ever on its way removes itself from the pending ones; one that is tried again is not there.
    accumulator._pending_batches.update(batches)
    for batch in batches:
        retrieve_exception(batch._drain_waiter)
