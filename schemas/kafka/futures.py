"""Futures whose errors nobody awaits, of which asyncio logs each with a traceback, and two that end together."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiokafka.errors import KafkaError


def retrieve_exception(future: "asyncio.Future[Any]") -> None:
    """Marks the error of a future as retrieved, so that asyncio does not log it; use it as a done callback."""
    if future.done() and not future.cancelled():
        future.exception()


async def both(first: Coroutine[Any, Any, None], second: Coroutine[Any, Any, None]) -> None:
    """Returns when both are done; where one fails, the other ends too.

    Where both fail, the error of `first` is raised, never a group of errors.
    """
    tasks = [asyncio.create_task(first), asyncio.create_task(second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.add_done_callback(retrieve_exception)
            task.cancel()
        await asyncio.wait(tasks)
    failed = [task for task in tasks if not task.cancelled() and task.exception() is not None]
    for task in failed or tasks:
        task.result()


def ignore_kafka_errors(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for an event loop that leaves out unretrieved errors of Kafka's, and logs all others.

    A fenced producer of aiokafka leaves futures that nobody can reach; the failure itself is raised elsewhere.
    """
    if not isinstance(context.get("exception"), KafkaError):
        loop.default_exception_handler(context)
