"""A cancellation that something else swallows is not lost."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cancellation_kept() -> Iterator[None]:
    """Whoever was cancelled inside is cancelled at the end, whatever became of it inside.

    A client of aiokafka that closes suppresses every `CancelledError` while it waits for a task that it cancelled
    itself, ours too: `close` in https://github.com/aio-libs/aiokafka/blob/v0.14.0/aiokafka/client.py

    Raises:
        asyncio.CancelledError: the task was cancelled inside.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    yield
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
