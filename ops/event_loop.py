"""The one place where a verb enters asyncio, and how a task runs beside a block."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

_OF_TLS = "Fatal error on SSL protocol"

Result = TypeVar("Result")


def run(main: Coroutine[None, None, Result]) -> Result:
    """The result of `main`, on uvloop where there is one; Ctrl-C cancels it and raises KeyboardInterrupt."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop  # noqa: PLC0415 it does not exist on Windows

    return uvloop.run(_without_noise(main))


async def _without_noise(main: Coroutine[None, None, Result]) -> Result:
    """Runs `main`, and says nothing of what uvloop 0.22 still wants to write to a TLS connection that we closed."""
    asyncio.get_running_loop().set_exception_handler(_tell)
    return await main


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    is_closed = isinstance(error, RuntimeError) and str(error).endswith("the handler is closed")
    if not (is_closed and context.get("message") == _OF_TLS):
        loop.default_exception_handler(context)


@contextlib.asynccontextmanager
async def running_beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Runs `work`, which never ends by itself, as long as the block; it has been cancelled on return."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        # Not `await task`: one could not tell its end from a cancellation of the block's own task.
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
