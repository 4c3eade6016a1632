"""Programs that are held from here: found again, told by name, and ended, by force where they hear nothing."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.local.processes import DetachedProcess, GuardedProcess, command_line, end, ended
from schemas.errors import DropstreamError
from tests.support.waiting import PATIENCE_S, until

DEAF = "trap '' TERM; : >{}; while :; do sleep 0.05; done"
MEEK = ": >{}; while :; do sleep 0.05; done"


@contextlib.contextmanager
def detached(folder: Path, script: str, instead: dict[str, list[str]] | None = None) -> Iterator[DetachedProcess]:
    """A shell that notes in the file `ready` that it runs; killed at the end where it still runs."""
    ready = folder / "ready"
    command = ("/bin/sh", "-c", script.format(ready))
    process = DetachedProcess.start(command, console=folder / "console", marker=str(ready), instead=instead or {})
    try:
        yield process
    finally:
        if str(ready) in command_line(process.pid):
            os.kill(process.pid, signal.SIGKILL)


async def test_a_detached_program_is_found_again_by_its_pid_and_its_marker(tmp_path: Path) -> None:
    """It is nobody's child; another program that was given its pid is not taken for it, and hears nothing."""
    with detached(tmp_path, MEEK) as process:
        await until((tmp_path / "ready").exists)
        again = DetachedProcess(process.pid, marker=str(tmp_path / "ready"), instead={})
        other = DetachedProcess(process.pid, marker=str(tmp_path / "other"), instead={})
        assert (again.running(), other.running()) == (True, False)
        other.send("KILL")
        assert not await ended(again, within_s=0.1)
        assert await end(again, grace_s=PATIENCE_S, kill_within_s=PATIENCE_S)
        assert not process.running()
        again.send("TERM")
        process.release()


async def test_what_hears_nothing_is_killed_also_when_it_is_frozen(tmp_path: Path) -> None:
    """`end` is true only once the program is gone; what does not end even so is told."""
    with detached(tmp_path, DEAF) as process:
        await until((tmp_path / "ready").exists)
        process.send("STOP")
        assert await end(process, grace_s=0.05, kill_within_s=PATIENCE_S)
        assert not process.running()
    (tmp_path / "ready").unlink()
    with detached(tmp_path, DEAF, {"KILL": ["/bin/true"]}) as process:
        await until((tmp_path / "ready").exists)
        assert not await end(process, grace_s=0.05, kill_within_s=0.05)
        assert process.running()


def test_a_pid_without_a_program_has_no_arguments() -> None:
    """No process has this number: Linux gives none above 4,194,304."""
    assert command_line(99_999_999) == ""


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    """With the system's reason, and no process is left."""
    with pytest.raises(DropstreamError, match=r"cannot start /none/such: \[Errno 2\] No such file or directory"):
        GuardedProcess(["/none/such"], console=tmp_path / "console", instead={})


async def test_a_guarded_program_is_told_by_name_and_a_word_to_an_ended_one_is_lost(tmp_path: Path) -> None:
    """A guard that was killed is none that can be told, and nobody reads an error for it."""
    process = GuardedProcess(["/bin/sh", "-c", "exec sleep 60"], console=tmp_path / "console", instead={})
    try:
        assert process.running()
        assert not await ended(process, within_s=0.05)
        process.send("TERM")
        assert await ended(process, within_s=PATIENCE_S)
        process.send("TERM")
    finally:
        process.release()
        process.release()
