"""How a task runs beside a block."""

import asyncio

import pytest

from ops.event_loop import running_beside
from tests.support.waiting import until


async def test_a_cancellation_that_comes_while_the_work_ends_is_not_lost() -> None:
    """Who is cancelled while the work beside the block takes its time to end does not go on behind it."""
    went_on, ends = False, asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.set()
            await asyncio.Event().wait()

    async def block() -> None:
        nonlocal went_on
        async with running_beside(work()):
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        went_on = True

    running = asyncio.create_task(block())
    await until(ends.is_set)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not went_on
