"""One worker of several: its number, the folder that it shares with its parent, and the pipe from its parent.

The pipe is the worker's standard input. A line on it makes the worker read its configuration again; its end means that
the parent is gone (`ops.parent`), and then the worker stops as on a signal.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
import typer

from ops.parent import follow_parent
from ops.service.run import EXIT_AT_ONCE, Signals
from ops.service.source import worker_texts

_LINE = b"reload\n"

WorkerCount = Annotated[
    int, typer.Option("--workers", metavar="N", min=1, max=64, help="Processes that share the work.")
]
# Given by a parent to the processes that it starts, never by a person.
WorkerPath = Annotated[Path | None, typer.Option("--as-worker", hidden=True)]


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of a parent; `path` is `folder/number`, as the parent gives it on the command line."""

    path: Path

    @property
    def number(self) -> int:
        """The worker's number, from 0."""
        return int(self.path.name)

    @property
    def folder(self) -> Path:
        """The parent's folder, closed to others."""
        return self.path.parent

    @property
    def socket(self) -> Path:
        """The socket where the worker serves its admin pages to its parent."""
        return self.path.with_suffix(".sock")


def ask_for_reload(pipe: asyncio.StreamWriter) -> None:
    """Asks the worker at the other end to read its configuration again; one that is still starting does so too."""
    if not pipe.is_closing():
        pipe.write(_LINE)


class ParentLink:
    """Follows the pipe in a thread from the start: a worker that hangs, or has not begun, ends with its parent too."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._lock = threading.Lock()
        self._attached: _Attached | None = None
        self._asked = False
        structlog.contextvars.bind_contextvars(worker=worker.number)
        # A daemon, so that a stop does not wait for it.
        threading.Thread(target=self._follow, name="parent", daemon=True).start()

    def attach(self, signals: Signals, *, grace_s: float) -> None:
        """Sets `signals` as the parent asks; once the parent is gone, ends the process within `grace_s`, even hung."""
        with self._lock:
            self._attached = _Attached(signals, asyncio.get_running_loop(), grace_s)
            if self._asked:
                signals.reload.set()

    def _follow(self) -> None:
        follow_parent(on_message=self._ask_for_reload)
        _remove_folder(self._worker)
        with self._lock:
            attached = self._attached
        if attached and not attached.signals.stopping.is_set():
            attached.call_soon(partial(attached.signals.stop, "the parent of this worker is gone"))
            time.sleep(attached.grace_s)
        os._exit(EXIT_AT_ONCE)

    def _ask_for_reload(self) -> None:
        with self._lock:
            self._asked = True
            if self._attached:
                self._attached.call_soon(self._attached.signals.reload.set)


@dataclass(frozen=True, slots=True)
class _Attached:
    signals: Signals
    loop: asyncio.AbstractEventLoop
    grace_s: float

    def call_soon(self, what: Callable[[], None]) -> None:
        """Has the loop call `what`; does nothing where the loop has ended."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(what)


def _remove_folder(worker: Worker) -> None:
    """Removes the files of the parent, which is gone; the last worker removes the folder."""
    with contextlib.suppress(OSError):
        for path in (worker.socket, *worker_texts(worker.folder)):
            path.unlink(missing_ok=True)
        worker.folder.rmdir()
