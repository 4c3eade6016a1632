"""The environment of other people's frameworks: in `.dropstream/bench-venv`, pinned with hashes, made when needed."""

import asyncio
import hashlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.checkout import ROOT

_FOLDER = ROOT / ".dropstream" / "bench-venv"
_LOCK = Path(__file__).with_name("requirements.txt")
_INSTALL_S = 600.0


@dataclass(frozen=True, slots=True)
class NotRun:
    """Why something could not be measured."""

    reason: str


async def frameworks_python() -> str | NotRun:
    """The interpreter that has the frameworks of `requirements.txt`."""
    stamp = _FOLDER / ".complete"
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()
    python = _FOLDER / "bin" / "python"
    if stamp.exists() and stamp.read_text() == digest:
        return str(python)
    shutil.rmtree(_FOLDER, ignore_errors=True)
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(_LOCK))
    for command in ((sys.executable, "-m", "venv", str(_FOLDER)), (str(python), *pip)):
        if (fault := await _run(command)) is not None:
            return NotRun(f"not run: {fault}")
    stamp.write_text(digest)
    return str(python)


async def _run(command: tuple[str, ...]) -> str | None:
    """None, or the last line of what went wrong."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_INSTALL_S):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"the frameworks could not be had within {_INSTALL_S:.0f} s"
    lines = said.decode(errors="replace").strip().split("\n")
    return None if process.returncode == 0 else f"the frameworks could not be had: {lines[-1][:200]}"
