"""Errors of futures that nobody awaits; asyncio logs each with a traceback when the future is collected."""

import asyncio
from typing import Any

from aiokafka.errors import KafkaError


def retrieve_exception(future: "asyncio.Future[Any]") -> None:
    """Marks the error of a future as retrieved, so that asyncio does not log it; use it as a done callback."""
    if future.done() and not future.cancelled():
        future.exception()


def ignore_kafka_errors(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for an event loop that leaves out unretrieved errors of Kafka's, and logs all others.

    A fenced producer of aiokafka leaves futures that nobody can reach; the failure itself is raised elsewhere.
    """
    if not isinstance(context.get("exception"), KafkaError):
        loop.default_exception_handler(context)
