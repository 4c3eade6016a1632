"""Runs a tool to its end (Maven, Docker, Kafka's formatter), its output in a log file and in a callback."""

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

_LINE_BYTES_MAX = 1_048_576
_LOCK_POLL_S = 0.1


def _ignore(_line: str) -> None:
    return


async def run_tool(
    command: Sequence[str],
    *,
    log: Path,
    environ: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] = _ignore,
) -> int:
    """The exit code. `log` then holds this run's output. A cancelled call ends the tool with everything it started."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=None if environ is None else dict(environ),
        limit=_LINE_BYTES_MAX,
        start_new_session=True,
    )
    try:
        with log.open("wb") as file:
            while process.stdout and (line := await process.stdout.readline()):
                file.write(line)
                on_line(line.decode(errors="replace").rstrip())
        return await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


@contextlib.asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Holds the lock file `path`; waits while another process holds it. The system frees it when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOCK_POLL_S)
        yield
