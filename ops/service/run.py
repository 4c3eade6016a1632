"""Runs a long-running service in this process until a signal stops it.

SIGTERM and SIGINT set the event that the service watches; a second one ends the process at once. SIGHUP makes a service
that can read its configuration again.
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
    """The signals that came: to stop, or to read the configuration again (its reader clears that event)."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Asks for an orderly end; a second call ends the process at once."""
        if self.stopping.is_set():
            os._exit(EXIT_AT_ONCE)
        self.stopping.set()


def run_service(main: Callable[[Signals], Awaitable[None]], *, reloads: bool = False) -> None:
    """Runs `main` to its end; logs go to stderr, JSON unless that is a terminal. `reloads`: it watches `reload`."""
    configure_logging(json=not sys.stderr.isatty())
    # The start of a counter is that of its process; prometheus_client would show it as one more series for each.
    disable_created_metrics()  # type: ignore[no-untyped-call] # it ships without
    _exempt_loaded_objects()
    run(_with_signals(main, reloads=reloads))


def _exempt_loaded_objects() -> None:
    """Exempts code and configuration from garbage collection: they stay, and searching them takes long."""
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
        # `ops.__main__` has blocked SIGHUP since the process began.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    await main(signals)


def _hang_up(signals: Signals, had_terminal: bool) -> None:
    """Reloads, or stops where SIGHUP came because the terminal of the service was closed."""
    if had_terminal and not sys.stderr.isatty():
        signals.stop()
    else:
        signals.reload.set()
