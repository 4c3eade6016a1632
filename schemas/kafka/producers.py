"""Opens and closes aiokafka's producer within a bounded time, whatever the broker does.

The producer's own `start` and `stop` wait for the broker without bound (aio-libs/aiokafka issues 1101 and 1013).
"""

import asyncio
from collections.abc import Mapping
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

from schemas.kafka.cancellation import cancellation_kept

_CLOSE_S = 2.0


async def open_producer(arguments: Mapping[str, Any], *, topic: str, within_s: float) -> AIOKafkaProducer:
    """Starts a producer that knows the partitions of `topic`, so that its first record waits for nothing.

    Raises:
        KafkaError, OSError: the cluster cannot be reached, or refuses the connection.
        TimeoutError: the cluster or the topic was not there within `within_s`.
    """
    producer = AIOKafkaProducer(**arguments)
    try:
        async with asyncio.timeout(within_s):
            await producer.start()
            await producer.partitions_for(topic)
    except BaseException:
        await close_producer(producer, flush_s=0)
        raise
    return producer


async def close_producer(producer: AIOKafkaProducer, *, flush_s: float) -> None:
    """Lets the producer write for up to `flush_s` seconds, then fails the rest and closes it within 2 seconds."""
    with cancellation_kept(asyncio.current_task()):
        try:
            async with asyncio.timeout(flush_s):
                await producer.stop()
        except (TimeoutError, KafkaError):
            await _abandon(producer)


async def _abandon(producer: AIOKafkaProducer) -> None:
    """What `stop` would do after its flush; it was cut off there, and a second call of it does nothing.

    There is no public way to any of it.
    """
    sender = producer._sender.sender_task  # noqa: SLF001
    fail_all(producer._message_accumulator)  # noqa: SLF001
    if sender is not None:
        # What it does when its task fails is wrong without transactions, and told with a traceback.
        sender.remove_done_callback(producer._sender._fail_all)  # noqa: SLF001
        sender.add_done_callback(_be_asked)
        sender.cancel()
    try:
        async with asyncio.timeout(_CLOSE_S):
            # First the connections: the sender ends when its requests do.
            await producer.client.close()
            if sender is not None:
                await asyncio.wait((sender,))
    except (TimeoutError, KafkaError):
        return


def fail_all(accumulator: Any) -> None:
    """Resolves every pending future, and with them the flush that `stop` left running."""
    batches = [*chain.from_iterable(accumulator._batches.values()), *accumulator._pending_batches]  # noqa: SLF001
    accumulator.fail_all(ProducerClosed())
    # Each that was ever on its way takes itself out of these, and fails if it is tried again and so is not there.
    accumulator._pending_batches.update(batches)  # noqa: SLF001
    for batch in batches:
        _be_asked(batch._drain_waiter)  # noqa: SLF001 nobody waits for it, and asyncio would say so


def _be_asked(future: "asyncio.Future[Any]") -> None:
    if future.done() and not future.cancelled():
        future.exception()
