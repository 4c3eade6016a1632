"""Runs services as processes of their own: starts them, waits for them, restarts those that end, stops them.

A service ends when this process does, whatever ended it. Its output goes to a log file of its own; the output of a run
that ended by itself is kept in another file beside that.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ops import interpreter
from ops.http_page import fetch_page
from ops.local.processes import GuardedProcess, end
from schemas.errors import DropstreamError

# A service that ends at its start is reported at once; one on a busy machine takes its time.
_READY_WITHIN_S = 180.0
_PROBE_TIMEOUT_S = 2.0
_POLL_S = 0.1
_STOP_WITHIN_S = 15.0
_RESTART_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Service:
    """A verb of `dropstream` that runs until stopped; `ready_url` answers 200 once it works."""

    name: str
    arguments: Sequence[str]
    ready_url: str


@asynccontextmanager
async def services_running(
    services: Sequence[Service], *, environ: Mapping[str, str], logs: Path, report: Callable[[str], None]
) -> AsyncIterator[None]:
    """Runs the services as long as the block, ready at its start; one that ends is reported and started again.

    Raises:
        DropstreamError: a service ended before it was ready, or was not ready in time.
    """
    processes = {service.name: _start(service, environ, logs) for service in services}
    try:
        await asyncio.gather(*(_wait_ready(service, processes[service.name], logs) for service in services))
        restarts = [asyncio.create_task(_restart_when_ended(one, processes, environ, logs, report)) for one in services]
        try:
            yield
        finally:
            for restart in restarts:
                restart.cancel()
            await asyncio.gather(*restarts, return_exceptions=True)
    finally:
        await asyncio.gather(*(_stop(process) for process in processes.values()))


def log_file(logs: Path, service: str) -> Path:
    """The file of the service's output."""
    return logs / f"{service}.log"


def _start(service: Service, environ: Mapping[str, str], logs: Path) -> GuardedProcess:
    logs.mkdir(parents=True, exist_ok=True)
    variables = [f"{name}={value}" for name, value in {**environ, **interpreter.variables()}.items()]
    command = ["env", *variables, *interpreter.command("-m", "ops", *service.arguments)]
    return GuardedProcess(command, console=log_file(logs, service.name), instead={})


async def _wait_ready(service: Service, process: GuardedProcess, logs: Path) -> None:
    try:
        async with asyncio.timeout(_READY_WITHIN_S):
            while not await _is_ready(service):
                if not process.running():
                    last = _last_line(log_file(logs, service.name))
                    raise DropstreamError(f"{service.name} ended at its start: {last}")
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise DropstreamError(
            f"{service.name} was not ready within {_READY_WITHIN_S:.0f} s; see {log_file(logs, service.name)}"
        ) from error


async def _is_ready(service: Service) -> bool:
    page = await fetch_page(service.ready_url, within_s=_PROBE_TIMEOUT_S)
    return page is not None and page.status == 200


async def _restart_when_ended(
    service: Service,
    processes: dict[str, GuardedProcess],
    environ: Mapping[str, str],
    logs: Path,
    report: Callable[[str], None],
) -> None:
    while True:
        await asyncio.sleep(_RESTART_AFTER_S)
        if not processes[service.name].running():
            processes[service.name].release()
            last = _last_line(_set_log_aside(logs, service.name))
            report(f"{service.name} ended and is started again: {last}")
            processes[service.name] = _start(service, environ, logs)


async def _stop(process: GuardedProcess) -> None:
    await end(process, grace_s=_STOP_WITHIN_S, kill_within_s=_STOP_WITHIN_S)
    process.release()


def _set_log_aside(logs: Path, service: str) -> Path:
    """Renames the log of the run that has ended, and returns the new name; the next run begins a file of its own."""
    aside = logs / f"{service}.ended.log"
    with suppress(FileNotFoundError):
        log_file(logs, service).replace(aside)
    return aside


def _last_line(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines() if file.exists() else []
    return f"{lines[-1]} (see {file})" if lines else f"it said nothing (see {file})"
