"""`schemas.kafka.cancellation`: a client that swallows a cancellation, or does not end, holds nobody up."""

import asyncio
import contextlib

import pytest
from aiokafka.errors import KafkaConnectionError

from schemas.kafka.cancellation import cancellation_kept, stopped_within


async def test_a_swallowed_cancellation_comes_at_the_next_wait() -> None:
    """A task that is cancelled while a client suppresses it ends behind the block, and not before."""
    reached: list[str] = []
    waiting = asyncio.Event()

    async def close_a_client() -> None:
        with cancellation_kept(asyncio.current_task()):
            waiting.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            reached.append("closed")
        await asyncio.Event().wait()

    task = asyncio.create_task(close_a_client())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reached == ["closed"]


async def test_without_a_cancellation_nothing_happens() -> None:
    """A task that nobody cancelled goes on behind the block; so does code that runs in no task."""
    with cancellation_kept(asyncio.current_task()), cancellation_kept(None):
        pass
    await asyncio.sleep(0)


async def test_a_client_that_does_not_end_is_left_behind() -> None:
    """The wait for a client ends in time, whether the client hangs or fails."""

    async def fails() -> None:
        raise KafkaConnectionError

    await stopped_within(0.0, asyncio.Event().wait())
    await stopped_within(0.0, fails())


async def test_a_fault_of_ours_is_not_taken_for_kafkas() -> None:
    """An error that is not Kafka's passes through."""

    async def is_wrong() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stopped_within(1.0, is_wrong())
