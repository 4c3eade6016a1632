"""The one place where a verb enters asyncio."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import TypeVar

Result = TypeVar("Result")


def run(main: Coroutine[None, None, Result]) -> Result:
    """The result of `main`, on uvloop where there is one; Ctrl-C cancels it and raises KeyboardInterrupt."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop  # noqa: PLC0415 it does not exist on Windows

    return uvloop.run(main)
