"""Starts local programs in one of two ways: guarded (the program ends with this process) or detached (it goes on).

Both say whether the program runs and send it signals by name ("TERM", "KILL", "STOP", "CONT"). Which program it is and
when it is ready is not decided here. `ops.service.workers.pool` starts the workers of a service by itself: a worker is
our own code, follows its parent by its standard input and reloads its configuration over it, where a broker or a whole
service of `up` must be ended from outside, by `ops.local.child_guard`.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ops.local import child_guard
from schemas.errors import DropstreamError

_POLL_S = 0.02
# Starts a command in the background of a shell that ends at once, so that it is nobody's child, and prints its pid.
_DETACH = 'console=$1; shift; "$@" >"$console" 2>&1 </dev/null & echo $!'


class HeldProcess(Protocol):
    """A program that was started, guarded or detached."""

    @property
    def pid(self) -> int: ...

    def running(self) -> bool: ...

    def send(self, name: str) -> None: ...

    def release(self) -> None:
        """Closes the pipes to the guard of an ended program."""


class GuardedProcess:
    """A command that ends when this process ends: on its exit, on a signal, and on kill -9."""

    def __init__(self, command: Sequence[str], *, console: Path, instead: Mapping[str, list[str]]) -> None:
        order = {"command": command, "console": str(console), "parent": os.getpid(), "instead": instead}
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(child_guard.__file__), json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is ours to turn into an orderly stop.
            start_new_session=True,
        )
        answer = first_line(self._guard)
        if not answer.isdigit():
            self._guard.wait()
            self.release()
            raise DropstreamError(f"cannot start {command[0]}: {answer.removeprefix('error ') or 'no answer'}")
        self.pid = int(answer)

    def running(self) -> bool:
        return self._guard.poll() is None

    def send(self, name: str) -> None:
        """Sends the signal; nothing happens where the process has ended."""
        if self._guard.stdin and self.running():
            try:
                self._guard.stdin.write(f"{name}\n".encode())
                self._guard.stdin.flush()
            except BrokenPipeError:
                return  # it ended meanwhile

    def release(self) -> None:
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe:
                pipe.close()


class DetachedProcess:
    """A command that goes on after this process has ended; found again by its `pid` and a `marker` in its arguments.

    The marker is a path that no other program is started with, so a pid that was given anew is not taken for ours.
    """

    def __init__(self, pid: int, *, marker: str, instead: Mapping[str, list[str]]) -> None:
        self.pid = pid
        self._marker = marker
        self._instead = instead

    @classmethod
    def start(
        cls, command: Sequence[str], *, console: Path, marker: str, instead: Mapping[str, list[str]]
    ) -> "DetachedProcess":
        """Starts `command` in a session of its own."""
        shell = subprocess.run(
            ["/bin/sh", "-c", _DETACH, "sh", str(console), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
            check=True,
        )
        return cls(int(shell.stdout), marker=marker, instead=instead)

    def running(self) -> bool:
        return self._marker in command_line(self.pid)

    def send(self, name: str) -> None:
        """Sends the signal; nothing happens where the process has ended."""
        if not self.running():
            return
        if name in self._instead:
            subprocess.run(self._instead[name], stdin=subprocess.DEVNULL, capture_output=True, check=False)
            return
        try:
            os.kill(self.pid, getattr(signal, f"SIG{name}"))
        except ProcessLookupError:
            return  # it ended meanwhile

    def release(self) -> None:
        return


def command_line(pid: int) -> str:
    """The arguments that process `pid` was started with, separated by spaces; empty where it has ended."""
    proc = Path("/proc")
    if (proc / "self/cmdline").exists():
        try:
            return (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    listed = subprocess.run(
        ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()


async def ended(process: HeldProcess, *, within_s: float) -> bool:
    """Waits until `process` has ended; False when it still runs after `within_s` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while process.running():
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


async def end(process: HeldProcess, *, grace_s: float, kill_within_s: float) -> bool:
    """Whether `process` has ended: in order within `grace_s` seconds, or else by force."""
    process.send("CONT")  # A frozen process does not hear TERM.
    process.send("TERM")
    if await ended(process, within_s=grace_s):
        return True
    process.send("KILL")
    return await ended(process, within_s=kill_within_s)


def first_line(process: "subprocess.Popen[bytes]") -> str:
    """The first line that the process writes; empty where it ends without one."""
    return process.stdout.readline().decode().strip() if process.stdout else ""
