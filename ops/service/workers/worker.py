"""One worker of several: its number, the folder that it shares with its parent, and the pipe that ties it to it.

The pipe is its standard input. A line on it asks for the configuration again; its end means that the parent is gone,
whatever ended it, and then the worker stops as if it were told to.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import structlog
import typer

from ops.parent import follow_parent
from ops.service.reload import texts
from ops.service.run import EXIT_AT_ONCE, Signals

_LINE = b"reload\n"

WorkerCount = Annotated[
    int, typer.Option("--workers", metavar="N", min=1, max=64, help="Processes that share the work.")
]
# Given by a parent to the processes that it starts, never by a person.
WorkerPlace = Annotated[Path | None, typer.Option("--as-worker", hidden=True)]


@dataclass(frozen=True, slots=True)
class Worker:
    """`place` is `folder/number`, as it stands on the worker's command line."""

    place: Path

    @property
    def number(self) -> int:
        """From 0."""
        return int(self.place.name)

    @property
    def folder(self) -> Path:
        """The parent's own, closed to others."""
        return self.place.parent

    @property
    def socket(self) -> Path:
        """Where it serves its admin application to its parent."""
        return self.place.with_suffix(".sock")


def ask_for_reload(pipe: asyncio.StreamWriter) -> None:
    """Asks the worker at the other end to read its configuration again; heard also by one that only starts."""
    if not pipe.is_closing():
        pipe.write(_LINE)


class Tie:
    """Follows the pipe from its making on, in a thread: a worker that hangs, or has not begun, goes with its parent."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._heard = threading.Lock()
        self._attached: _Attached | None = None
        self._asked = False
        structlog.contextvars.bind_contextvars(worker=worker.number)
        # A daemon, so that a stop does not wait for it.
        threading.Thread(target=self._follow, name="parent", daemon=True).start()

    def attach(self, signals: Signals, *, grace_s: float) -> None:
        """`signals` hear of the parent from now on; without one, the process has ended after `grace_s`, hung or not."""
        with self._heard:
            self._attached = _Attached(signals, asyncio.get_running_loop(), grace_s)
            if self._asked:
                signals.reload.set()

    def _follow(self) -> None:
        follow_parent(on_message=self._ask_for_reload)
        _clear_up(self._worker)
        with self._heard:
            attached = self._attached
        if attached and not attached.signals.stopping.is_set():
            attached.call(attached.signals.stopping.set)
            time.sleep(attached.grace_s)
        os._exit(EXIT_AT_ONCE)

    def _ask_for_reload(self) -> None:
        with self._heard:
            self._asked = True
            if self._attached:
                self._attached.call(self._attached.signals.reload.set)


@dataclass(frozen=True, slots=True)
class _Attached:
    signals: Signals
    loop: asyncio.AbstractEventLoop
    grace_s: float

    def call(self, what: Callable[[], None]) -> None:
        """Has the loop call it; where the loop has ended, so does the process."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(what)


def _clear_up(worker: Worker) -> None:
    """What the parent cannot do any more; the last worker finds the folder empty."""
    with contextlib.suppress(OSError):
        for path in (worker.socket, *texts(worker.folder)):
            path.unlink(missing_ok=True)
        worker.folder.rmdir()
