"""Runs the workers of a parent: starts them, restarts those that die, passes reloads on, stops all together.

A worker is a call of `dropstream` that follows its parent (`ops.service.workers.worker`). `ops.local.services` runs the
services of `up` by itself: they have no parent to follow and no back-off, and a person reads there why one ended.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import structlog
from prometheus_client import CollectorRegistry, Counter

from ops import interpreter
from ops.service.workers.worker import Worker, ask_for_reload
from schemas.errors import DropstreamError

# A worker that lived so long had a good start: its next death counts as the first one.
_STEADY_S = 30.0
_PAUSE_FIRST_S = 0.5
_PAUSE_MAX_S = 30.0
_EXIT_FAILED = 1
_EXIT_CONFIGURATION = 2

_log = structlog.get_logger()


class WorkerFaultError(DropstreamError):
    """A worker could not use its configuration at its first start, and has logged why; no worker can run with it."""

    def __init__(self) -> None:
        super().__init__("a worker could not use its configuration; its own line of the log says why")


class Workers:
    """The workers of a parent: a call of `dropstream` with `arguments` each, and with `environ` over the parent's own.

    `grace_s` is what a worker has to end in good order.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        arguments: Sequence[str],
        *,
        grace_s: float,
        registry: CollectorRegistry,
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._workers, self._arguments, self._grace_s, self._environ = workers, arguments, grace_s, environ
        self._pipes: dict[int, asyncio.StreamWriter] = {}
        self._restarts = Counter(
            "dropstream_worker_restarts", "Workers that died and were started again.", ["worker"], registry=registry
        )
        for worker in workers:
            self._restarts.labels(str(worker.number))

    def reload(self) -> None:
        """Asks every worker to read its configuration again; a worker that is being started reads it anyway."""
        for pipe in self._pipes.values():
            ask_for_reload(pipe)

    async def run(self, stopping: asyncio.Event) -> None:
        """Keeps the workers running until `stopping` is set, then ends them, within the grace time.

        Raises:
            WorkerFaultError: a worker could not use its configuration at its first start; the others have ended.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for worker in self._workers:
                    group.create_task(self._keep_running(worker, stopping))
        except* WorkerFaultError as faults:
            raise WorkerFaultError from faults

    async def _keep_running(self, worker: Worker, stopping: asyncio.Event) -> None:
        """Runs the worker of this number, and starts it again when it dies."""
        deaths, began, first = 0, 0.0, True
        stop_asked = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                began = time.monotonic()
                code = await self._run_one(worker, stop_asked)
                if code is None or stopping.is_set():
                    return
                if first and code == _EXIT_CONFIGURATION:
                    raise WorkerFaultError
                first = False
                deaths = 1 if time.monotonic() - began > _STEADY_S else deaths + 1
                pause_s = min(_PAUSE_MAX_S, _PAUSE_FIRST_S * 2 ** min(deaths - 1, 10))
                _log.error("worker_died", worker=worker.number, exit_code=code, deaths=deaths, restart_in_s=pause_s)
                await asyncio.wait({stop_asked}, timeout=pause_s)
                if not stopping.is_set():
                    self._restarts.labels(str(worker.number)).inc()
        finally:
            stop_asked.cancel()

    async def _run_one(self, worker: Worker, stop_asked: "asyncio.Task[bool]") -> int | None:
        """The exit code of a worker that ended by itself (minus the signal's number); None when we ended it."""
        try:
            process = await self._start(worker)
        except OSError as error:  # No memory or no process left: both come back.
            _log.error("worker_not_started", worker=worker.number, error=str(error))
            return _EXIT_FAILED
        died = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({died, stop_asked}, return_when=asyncio.FIRST_COMPLETED)
            return died.result() if died.done() else None
        finally:
            await self._end(worker, process, died)

    async def _start(self, worker: Worker) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *interpreter.command("-m", "ops", *self._arguments, "--as-worker", str(worker.path)),
            env={**os.environ, **interpreter.variables(), **self._environ},
            stdin=asyncio.subprocess.PIPE,
            # The parent passes on Ctrl-C and SIGHUP of the terminal.
            start_new_session=True,
        )
        if process.stdin is not None:
            self._pipes[worker.number] = process.stdin
        _log.info("worker_started", worker=worker.number, pid=process.pid)
        return process

    async def _end(self, worker: Worker, process: asyncio.subprocess.Process, died: "asyncio.Task[int]") -> None:
        """Ends the worker: in order within the grace time, or else by force; it has ended on return."""
        if not died.done():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await asyncio.wait({died}, timeout=self._grace_s)
        if not died.done():
            _log.error("worker_hung", worker=worker.number, grace_s=self._grace_s)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await died
        # Not closed before: the end of its pipe makes a worker stop.
        self._pipes.pop(worker.number).close()
