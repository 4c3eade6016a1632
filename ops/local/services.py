"""The long-running parts as processes of their own: started, waited for, started again when they end, stopped.

Each ends when this process does, whatever ended it; what each says goes to a file of its own, and what the run before
said, where it ended by itself, stays in another beside it.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from ops.local.processes import KeptProcess, end
from schemas.errors import DropstreamError

# One that has ended is told at once; one on a busy machine takes its time.
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
async def running(
    services: Sequence[Service], *, environ: Mapping[str, str], logs: Path, tell: Callable[[str], None]
) -> AsyncIterator[None]:
    """Runs the services inside, ready at the start; one that ends is told of and started again.

    Raises:
        DropstreamError: one ended before it was ready, or was not ready in time.
    """
    processes = {service.name: _start(service, environ, logs) for service in services}
    try:
        await asyncio.gather(*(_wait_ready(service, processes[service.name], logs) for service in services))
        keepers = [asyncio.create_task(_keep(one, processes, environ, logs, tell)) for one in services]
        try:
            yield
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
    finally:
        await asyncio.gather(*(_stop(process) for process in processes.values()))


def log_file(logs: Path, service: str) -> Path:
    """Where the service's output goes."""
    return logs / f"{service}.log"


def _start(service: Service, environ: Mapping[str, str], logs: Path) -> KeptProcess:
    logs.mkdir(parents=True, exist_ok=True)
    variables = [f"{name}={value}" for name, value in environ.items()]
    command = ["env", *variables, sys.executable, "-m", "ops", *service.arguments]
    return KeptProcess(command, console=log_file(logs, service.name), instead={})


async def _wait_ready(service: Service, process: KeptProcess, logs: Path) -> None:
    timeout = aiohttp.ClientTimeout(total=_PROBE_TIMEOUT_S)
    try:
        async with asyncio.timeout(_READY_WITHIN_S), aiohttp.ClientSession(timeout=timeout) as session:
            while not await _answers(session, service.ready_url):
                if not process.running():
                    words = _last_words(log_file(logs, service.name))
                    raise DropstreamError(f"{service.name} ended at its start: {words}")
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise DropstreamError(
            f"{service.name} was not ready within {_READY_WITHIN_S:.0f} s; see {log_file(logs, service.name)}"
        ) from error


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _keep(
    service: Service,
    processes: dict[str, KeptProcess],
    environ: Mapping[str, str],
    logs: Path,
    tell: Callable[[str], None],
) -> None:
    while True:
        await asyncio.sleep(_RESTART_AFTER_S)
        if not processes[service.name].running():
            processes[service.name].forget()
            words = _last_words(_put_aside(logs, service.name))
            tell(f"{service.name} ended and is started again: {words}")
            processes[service.name] = _start(service, environ, logs)


async def _stop(process: KeptProcess) -> None:
    await end(process, grace_s=_STOP_WITHIN_S, kill_within_s=_STOP_WITHIN_S)
    process.forget()


def _put_aside(logs: Path, service: str) -> Path:
    """Where the output of the run that has ended now lies; the next run begins its file anew."""
    aside = logs / f"{service}.ended.log"
    with suppress(FileNotFoundError):
        log_file(logs, service).replace(aside)
    return aside


def _last_words(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines() if file.exists() else []
    return f"{lines[-1]} (see {file})" if lines else f"it said nothing (see {file})"
