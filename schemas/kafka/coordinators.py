"""Asking a group's coordinator until it can answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka.errors import KafkaError

Answer = TypeVar("Answer")

# A coordinator that is young, moves or loads answers within seconds.
_WITHIN_S = 15.0
_POLL_S = 0.2


async def ask_patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `ask` returns, asked again while the coordinator says that it cannot answer yet.

    Raises:
        KafkaError: the coordinator refuses for good.
        TimeoutError: it did not answer within 15 seconds.
    """
    async with asyncio.timeout(_WITHIN_S):
        while True:
            try:
                return await ask()
            except KafkaError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(_POLL_S)
