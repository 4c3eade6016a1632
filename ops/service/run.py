"""Runs a long-running service in this process until a signal stops it.

SIGTERM and SIGINT set the event that the service watches; a second one ends the process at once. SIGHUP makes a service
that can read its configuration again.
"""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from prometheus_client import disable_created_metrics

from ops.event_loop import run
from ops.outside_causes import outside_cause
from schemas.logs import configure_logging
from schemas.settings import Settings

EXIT_AT_ONCE = 130
# Allocations between two looks for cycles of young objects (700 by default); a delivery makes few cycles or none.
_YOUNG_OBJECTS = 20_000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals that came: to stop, or to read the configuration again (its reader clears that event)."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self, why: str) -> None:
        """Asks for an orderly end, and logs why; a second call ends the process at once."""
        if self.stopping.is_set():
            _log.warning("stopped_at_once", why=f"{why} came a second time")
            os._exit(EXIT_AT_ONCE)
        _log.info("stopping", why=why)
        self.stopping.set()


def run_service(
    main: Callable[[Signals], Awaitable[None]], settings: Settings | None = None, *, reloads: bool = False
) -> None:
    """Runs `main` to its end, which the log tells with its reason. `reloads`: it watches `reload`.

    Logs go to stderr as `settings` say; without them warnings alone, JSON unless that is a terminal.
    """
    form = "automatic" if settings is None else settings.log_format
    configure_logging(
        json=form == "json" or (form == "automatic" and not sys.stderr.isatty()),
        level="warning" if settings is None else settings.log_level,
    )
    # The start of a counter is that of its process; prometheus_client would show it as one more series for each.
    disable_created_metrics()  # type: ignore[no-untyped-call] # it ships without
    _exempt_loaded_objects()
    began = time.monotonic()
    try:
        run(_with_signals(main, reloads=reloads))
    except Exception as error:
        # The command line tells a person the same sentence, or the traceback of a fault of ours.
        why = outside_cause(error) or f"a fault of the program: {type(error).__name__}"
        _log.error("failed", why=why, ran_s=round(time.monotonic() - began, 1))
        raise
    _log.info("stopped", ran_s=round(time.monotonic() - began, 1))


def _exempt_loaded_objects() -> None:
    """Exempts code and configuration from garbage collection: they stay, and searching them takes long."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


async def _with_signals(main: Callable[[Signals], Awaitable[None]], *, reloads: bool) -> None:
    signals = Signals()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.stop, number.name)
    if reloads:
        loop.add_signal_handler(signal.SIGHUP, _hang_up, signals, sys.stderr.isatty())
        # `ops.__main__` has blocked SIGHUP since the process began.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    await main(signals)


def _hang_up(signals: Signals, had_terminal: bool) -> None:
    """Reloads, or stops where SIGHUP came because the terminal of the service was closed."""
    if had_terminal and not sys.stderr.isatty():
        signals.stop("its terminal was closed")
    else:
        signals.reload.set()
