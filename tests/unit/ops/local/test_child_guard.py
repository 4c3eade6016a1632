"""The guard between a parent and a command: the command ends with the parent, however that ends, and in order.

The guard runs as it does in use, a file under a bare Python, so no measure of coverage sees its lines.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.local import child_guard
from ops.local.processes import command_line
from tests.support.waiting import PATIENCE_S

GUARD = [sys.executable, "-I", "-S", str(child_guard.__file__)]
# Notes USR1; notes TERM, takes its time, and notes that it has ended in order.
ORDERLY = """
trap 'echo usr >>{0}' USR1
trap 'echo heard >>{0}; sleep 0.4; echo done >>{0}; exit 7' TERM
echo ready >>{0}
while :; do sleep 0.05; done
"""
DEAF = "trap '' TERM; echo ready >>{0}; while :; do sleep 0.05; done"
# Starts the guard, lends its pipe to a process that outlives it, and waits to be killed.
PARENT = """
import json, os, subprocess, sys
command, order = json.loads(sys.argv[1])
guard = subprocess.Popen([*command, json.dumps({**order, "parent": os.getpid()})], stdin=-1, stdout=-1)
heir = subprocess.Popen(["sleep", "60"], pass_fds=[guard.stdin.fileno()], stdout=subprocess.DEVNULL)
print(int(guard.stdout.readline()), guard.pid, heir.pid, flush=True)
guard.wait()
"""


def wait(condition: Callable[[], bool]) -> None:
    """Until it holds: another process sets no event of ours."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether the process has ended; one that nobody has waited for has no arguments."""
    return not command_line(pid)


class Guarded:
    """A shell that runs `script`, and its guard; `said` is what the script has noted."""

    def __init__(self, folder: Path, script: str, instead: dict[str, list[str]]) -> None:
        self.notes = folder / "notes"
        order = {
            "command": ["/bin/sh", "-c", script.format(self.notes)],
            "console": str(folder / "console"),
            "parent": os.getpid(),
            "instead": instead,
        }
        self.guard = subprocess.Popen([*GUARD, json.dumps(order)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.guard.stdout is not None
        self.answer = self.guard.stdout.readline().decode().strip()

    @property
    def said(self) -> list[str]:
        return self.notes.read_text().split() if self.notes.exists() else []

    def tell(self, part: bytes) -> None:
        """Writes this to the guard."""
        assert self.guard.stdin is not None
        self.guard.stdin.write(part)
        self.guard.stdin.flush()

    def leave(self) -> None:
        """Closes the guard's input, as the end of the parent does."""
        assert self.guard.stdin is not None
        self.guard.stdin.close()


@contextlib.contextmanager
def guarded(folder: Path, script: str, instead: dict[str, list[str]] | None = None) -> Iterator[Guarded]:
    """Runs it from its first note on; both are killed at the end where they still run."""
    one = Guarded(folder, script, instead or {})
    try:
        wait(lambda: "ready" in one.said or one.guard.poll() is not None)
        yield one
    finally:
        one.guard.kill()
        with one.guard, contextlib.suppress(ProcessLookupError):
            if one.answer.isdigit() and str(one.notes) in command_line(int(one.answer)):
                os.kill(int(one.answer), signal.SIGKILL)


def test_the_command_ends_in_order_when_the_input_ends(tmp_path: Path) -> None:
    """It hears TERM, has the time to end, and its exit code is the guard's."""
    with guarded(tmp_path, ORDERLY) as one:
        one.leave()
        assert one.guard.wait(PATIENCE_S) == 7
        assert one.said == ["ready", "heard", "done"]


def test_a_second_term_does_not_break_the_first_off(tmp_path: Path) -> None:
    """A system that goes down tells every process, and some tell twice."""
    with guarded(tmp_path, ORDERLY) as one:
        one.guard.terminate()
        wait(lambda: "heard" in one.said)
        one.guard.terminate()
        one.guard.wait(PATIENCE_S)
        wait(lambda: gone(int(one.answer)))
        assert one.said == ["ready", "heard", "done"]


def test_names_are_lines_however_they_are_cut(tmp_path: Path) -> None:
    """Half a name waits for the rest; several at once are sent one after the other."""
    with guarded(tmp_path, ORDERLY) as one:
        one.tell(b"USR1\nUS")
        wait(lambda: one.said == ["ready", "usr"])
        one.tell(b"R1\n")
        wait(lambda: one.said == ["ready", "usr", "usr"])
        one.tell(b"STOP\nCONT\nTERM\n")
        assert one.guard.wait(PATIENCE_S) == 7


def test_a_frozen_command_is_thawed_to_hear_that_it_ends(tmp_path: Path) -> None:
    """It would not hear TERM, and would be killed where it could have ended in order."""
    with guarded(tmp_path, ORDERLY) as one:
        one.tell(b"STOP\n")
        wait(lambda: Path(f"/proc/{one.answer}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        one.leave()
        assert one.guard.wait(PATIENCE_S) == 7
        assert one.said == ["ready", "heard", "done"]


def test_a_command_that_hears_nothing_is_killed(tmp_path: Path) -> None:
    """After five seconds, and not before."""
    with guarded(tmp_path, DEAF) as one:
        begun = time.monotonic()
        one.leave()
        assert one.guard.wait(PATIENCE_S) == 247
        assert time.monotonic() - begun >= 5.0
        assert gone(int(one.answer))


def test_a_killed_guard_takes_its_command_along(tmp_path: Path) -> None:
    """Nobody is left who could end it."""
    with guarded(tmp_path, DEAF) as one:
        one.guard.kill()
        wait(lambda: gone(int(one.answer)))


def test_a_killed_parent_is_noticed_although_its_pipe_is_still_held(tmp_path: Path) -> None:
    """A process that the parent has started holds the pipe open, so the input never ends."""
    notes = tmp_path / "notes"
    order = {"command": ["/bin/sh", "-c", ORDERLY.format(notes)], "console": str(tmp_path / "console"), "instead": {}}
    with subprocess.Popen([sys.executable, "-c", PARENT, json.dumps([GUARD, order])], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child, guard, heir = map(int, parent.stdout.readline().split())
        try:
            wait(notes.exists)
            parent.kill()
            wait(lambda: gone(child) and gone(guard))
            assert not gone(heir)
            assert notes.read_text().split() == ["ready", "heard", "done"]
        finally:
            os.kill(heir, signal.SIGKILL)


def test_a_command_runs_in_the_place_of_a_signal(tmp_path: Path) -> None:
    """Where a signal would miss, as with a client of Docker; every other signal is sent as it is."""
    instead = {"STOP": ["/bin/sh", "-c", f"echo paused >>{tmp_path / 'notes'}"]}
    with guarded(tmp_path, ORDERLY, instead) as one:
        one.tell(b"STOP\n")
        wait(lambda: "paused" in one.said)
        one.tell(b"TERM\n")
        assert one.guard.wait(PATIENCE_S) == 7
        assert one.said == ["ready", "paused", "heard", "done"]


@pytest.mark.parametrize("missing", ["command", "console"])
def test_what_cannot_be_started_is_said_in_one_line(tmp_path: Path, missing: str) -> None:
    """Neither a traceback nor a pid; the guard ends."""
    order = {"command": ["/bin/true"], "console": str(tmp_path / "console"), "parent": os.getpid(), "instead": {}}
    order[missing] = ["/none/such"] if missing == "command" else "/none/such/console"
    ran = subprocess.run([*GUARD, json.dumps(order)], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (ran.returncode, ran.stderr) == (1, "")
    assert ran.stdout.startswith("error [Errno 2] No such file or directory: '/none/such")
    assert ran.stdout.count("\n") == 1


def test_all_that_the_command_writes_is_in_its_file(tmp_path: Path) -> None:
    """Both its outputs, and the guard ends when the command does, with its exit code."""
    with guarded(tmp_path, "echo out; echo err >&2; exit 3") as one:
        assert one.guard.wait(PATIENCE_S) == 3
        assert (tmp_path / "console").read_text() == "out\nerr\n"
