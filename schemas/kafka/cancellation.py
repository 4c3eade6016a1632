"""Ending a client of aiokafka in bounded time, without losing a cancellation that the client swallows."""

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka.errors import KafkaError


@contextmanager
def cancellation_kept(task: "asyncio.Task[Any] | None") -> Iterator[None]:
    """A `task` that was cancelled inside the block ends at its next wait behind it, whatever happened inside.

    A client of aiokafka that closes suppresses every `CancelledError` while it waits for a task that it cancelled
    itself, also one that was meant for its caller.
    """
    before = task.cancelling() if task else 0
    yield
    if task and task.cancelling() > before:
        task.uncancel()
        task.cancel()


async def stopped_within(seconds: float, stopping: Awaitable[object]) -> None:
    """Awaits the end of a client, at most so long; a client that does not end, or fails at it, is left behind."""
    with cancellation_kept(asyncio.current_task()), contextlib.suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(seconds):
            await stopping
