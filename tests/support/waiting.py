"""How long a test waits for what must come: so long that only a fault makes the wait end without it.

A wait ends with its condition, so a long patience costs nothing where all is well. It is shorter than `UNHURRIED_MS`,
the limit of the product where a test is about something else: what only that limit would bring is not waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_S = 240.0
UNHURRIED_MS = 600_000


async def until(condition: Callable[[], bool], *, every_s: float = 0.01) -> None:
    """Returns when `condition` holds.

    Raises:
        TimeoutError: it does not hold within `PATIENCE_S`.
    """
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 nobody tells of a condition in general
            await asyncio.sleep(every_s)


async def until_it_is(condition: Callable[[], Awaitable[bool]], *, every_s: float = 0.05) -> None:
    """Returns when the answer of `condition` is yes.

    Raises:
        TimeoutError: it is not within `PATIENCE_S`.
    """
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 another process or task sees to it
            await asyncio.sleep(every_s)
