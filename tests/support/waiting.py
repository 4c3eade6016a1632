"""How long a test waits for what must come: so long that only a fault makes the wait end without it.

A wait ends with its condition, so a long patience costs nothing where all is well. It is shorter than `UNHURRIED_MS`,
the limit of the product where a test is about something else: what only that limit would bring is not waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_S = 240.0
UNHURRIED_MS = 600_000
_PAUSES_PER_QUESTION = 4


async def until(condition: Callable[[], bool], *, every_s: float = 0.01) -> None:
    """Returns when `condition` holds.

    Raises:
        TimeoutError: it does not hold within `PATIENCE_S`.
    """
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 nobody tells of a condition in general
            await asyncio.sleep(every_s)


async def until_it_is(
    condition: Callable[[], Awaitable[bool]], *, every_s: float = 0.05, patience_s: float = PATIENCE_S
) -> None:
    """Returns when the answer of `condition` is yes.

    A question that takes long, as one with a login at Kafka, is asked less often: else it is the asking that keeps the
    machine from what is waited for.

    Raises:
        TimeoutError: it is not within `patience_s`.
    """
    clock = asyncio.get_running_loop().time
    async with asyncio.timeout(patience_s):
        asked_at = clock()
        while not await condition():
            await asyncio.sleep(max(every_s, _PAUSES_PER_QUESTION * (clock() - asked_at)))
            asked_at = clock()
