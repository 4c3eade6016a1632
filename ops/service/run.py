"""Runs a long-lived part of the system in this process until it is told to stop.

SIGTERM and SIGINT set the event that the part watches; a second one ends the process at once. SIGHUP asks a part that
can for its configuration again.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from prometheus_client import disable_created_metrics

from ops.event_loop import run
from schemas.logs import configure_logging

EXIT_AT_ONCE = 130
# Allocations between two looks for cycles of young objects (700 by default); a delivery makes few cycles or none.
_YOUNG_OBJECTS = 20_000


@dataclass(frozen=True, slots=True)
class Signals:
    """What the process was told: to stop, or to read its configuration again (cleared by whoever does it)."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Asks for an orderly end; the second time it is the end."""
        if self.stopping.is_set():
            os._exit(EXIT_AT_ONCE)
        self.stopping.set()


def run_service(main: Callable[[Signals], Awaitable[None]], *, reloads: bool = False) -> None:
    """Runs `main` to its end; logs go to stderr, JSON unless a person watches. `reloads`: it heeds `reload`."""
    configure_logging(json=not sys.stderr.isatty())
    # When each counter began is known from when its process did; it would be one more series for each.
    disable_created_metrics()  # type: ignore[no-untyped-call] # it ships without
    _spare_what_is_loaded()
    run(_with_signals(main, reloads=reloads))


def _spare_what_is_loaded() -> None:
    """Code and configuration stay for as long as the process; to look through them for garbage stops it for long."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


async def _with_signals(main: Callable[[Signals], Awaitable[None]], *, reloads: bool) -> None:
    signals = Signals()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.stop)
    if reloads:
        loop.add_signal_handler(signal.SIGHUP, _hang_up, signals, sys.stderr.isatty())
        # Held back since the process began: `ops.__main__`.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    await main(signals)


def _hang_up(signals: Signals, had_terminal: bool) -> None:
    """A terminal that was closed says SIGHUP too; what nobody watches any more is not to go on in the dark."""
    if had_terminal and not sys.stderr.isatty():
        signals.stop()
    else:
        signals.reload.set()
