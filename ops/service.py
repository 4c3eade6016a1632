"""Runs a long-lived part of the system in this process until it is told to stop.

SIGTERM and SIGINT set the event that the part watches; a second one ends the process at once.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from ops.event_loop import run
from schemas.logs import configure_logging

_EXIT_AT_ONCE = 130


def run_service(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs `main(stopping)` to its end; logs go to stderr, JSON unless a person watches."""
    configure_logging(json=not sys.stderr.isatty())
    run(_with_signals(main))


async def _with_signals(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stopping)
    await main(stopping)


def _stop(stopping: asyncio.Event) -> None:
    if stopping.is_set():
        os._exit(_EXIT_AT_ONCE)
    stopping.set()
