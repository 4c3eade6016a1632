"""The one place where a verb enters asyncio, and how a task runs beside a block."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import TypeVar

Result = TypeVar("Result")


def run(main: Coroutine[None, None, Result]) -> Result:
    """The result of `main`, on uvloop where there is one; Ctrl-C cancels it and raises KeyboardInterrupt."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop  # noqa: PLC0415 it does not exist on Windows

    return uvloop.run(main)


@contextlib.asynccontextmanager
async def running_beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Runs `work`, which never ends by itself, as long as the block; it has been cancelled on return."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
