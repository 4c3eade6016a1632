"""`dropstream audit` as a program: its processes, how it is ended, and how it shows how far it is."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ops.kafka.reader import read_topic
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.auditing import all_gone, first_children, judged, verdict, write_copy
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, audited, deliveries, prepared, processors, put
from tests.support.replaying import ended, kill, program
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kafka

_COLUMNS = 80
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture
async def mine(settings: SettingsFactory, tmp_path: Path) -> Settings:
    """A history in which one event is doubled."""
    found = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    async with processors(found, tmp_path) as start:
        await start("processor")
        await put(found, deliveries(150))
        await audited(found, 150)
    (event, *_) = await read_topic(found, "orders")
    await write_copy(found, "orders", event)
    return found


def lines(out: str) -> list[str]:
    """What an audit says, without how far it was, and without the gaps that are due, for these follow the clock."""
    return [line for line in out.splitlines() if not line.startswith(("audit\t", "gaps due, not reported yet\t"))]


async def test_two_processes_say_what_one_says(mine: Settings, tmp_path: Path) -> None:
    """Every line of the verdict is the same, however many processes share the work."""
    run = program(mine, tmp_path).run
    one = await run("audit")
    assert (one.code, judged(one), verdict(one)) == (1, 150, "exceptions"), one
    assert any(line.startswith("doubled\t") for line in lines(one.out))
    for workers in ("2", "64"):
        more = await run("audit", "--workers", workers)
        assert (more.code, lines(more.out), more.err) == (1, lines(one.out), "")


@asynccontextmanager
async def auditing(settings: Settings, folder: Path) -> AsyncIterator[tuple[Process, list[int]]]:
    """An audit of two processes that has started both of them, and their pids."""
    process = await program(settings, folder).start("audit", "--workers", "2")
    try:
        yield process, await first_children(process.pid, 2)
    finally:
        await kill(process)


async def test_a_killed_process_is_told_in_a_sentence(mine: Settings, tmp_path: Path) -> None:
    """Exit code 1, what happened and what to do; and the other process has ended too."""
    async with auditing(mine, tmp_path) as (process, pids):
        os.kill(pids[0], signal.SIGKILL)
        told = await ended(process)
        assert (told.code, lines(told.out)) == (1, []), told
        assert re.fullmatch(r"error: a process of the audit ended early, with -9; .+ --workers\n", told.err), told
        await all_gone(pids)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
async def test_an_audit_that_is_ended_leaves_no_process(
    mine: Settings, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Neither Ctrl-C nor kill -9 of the program leaves one of its processes behind."""
    async with auditing(mine, tmp_path) as (process, pids):
        process.send_signal(number)
        told = await ended(process)
        assert told.code == code, told
        assert "Traceback" not in told.err
        await all_gone(pids)


async def test_on_a_terminal_there_is_a_bar_within_its_width(mine: Settings, tmp_path: Path) -> None:
    """Count, rate and time left on one line of at most 80 columns, and tables that fit."""
    # Written by `program`; what it says there is not looked at.
    await program(mine, tmp_path).run("offsets", "show")
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, _COLUMNS, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops", "audit", "--config", str(tmp_path / "program.toml")),
        env={**environ, **ENVIRON, "TERM": "xterm"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    try:
        async with asyncio.timeout(PATIENCE_S):
            text = await asyncio.to_thread(_all_of, leader)
            assert await process.wait() == 1
    finally:
        await kill(process)
        os.close(leader)
    shown = re.split(r"[\r\n]+", _CONTROL.sub("", text))
    assert max(map(len, shown)) <= _COLUMNS
    assert any(re.search(r"^audit .*150/150 +[\d,]+/s +(0:00:00|-:--:--)", line) for line in shown), shown
    assert "verdict" in shown[-2]


def _all_of(leader: int) -> str:
    """All that is written to the terminal until nobody holds it any more."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(leader, 65_536)
        except OSError:  # Linux's word for that: EIO.
            part = b""
        if not part:
            return b"".join(parts).decode()
        parts.append(part)
