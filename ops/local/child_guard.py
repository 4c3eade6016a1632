"""Guards a child: a small program between this process and a broker, which ends the broker when this process is gone.

It runs as a file under a bare Python (`-I -S`), so it imports nothing of ours; see `ops.parent`. Its one argument is
JSON: `command`, `console` (file for the command's output), `parent` (pid of the process that starts the guard),
`instead` (signal name -> command to run instead of sending the signal). The guard writes the command's pid as one line,
then takes signal names, one a line; the end of its input, another parent, or TERM makes it end the command.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

_PARENT_CHECK_S = 0.5
_GRACE_S = 5.0
_PR_SET_PDEATHSIG = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html


def main() -> int:
    """Starts the command of the order, serves the parent until either has ended, and ends the command."""
    order: dict[str, Any] = json.loads(sys.argv[1])
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.signal(signal.SIGTERM, _leave)
    try:
        with open(order["console"], "wb") as console:
            child = subprocess.Popen(
                order["command"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_guard(),  # noqa: PLW1509 the guard has one thread
            )
    except OSError as error:
        print(f"error {error}", flush=True)  # noqa: T201 the answer to the parent
        return 1
    try:
        print(child.pid, flush=True)  # noqa: T201 the answer to the parent
        _serve(child, order, wake_read)
    finally:
        _end(child, order["instead"])
    return child.returncode


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _die_with_guard() -> Callable[[], None] | None:
    """Makes the command die when the guard itself dies by kill -9; on systems other than Linux, nothing does that."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _serve(child: "subprocess.Popen[bytes]", order: dict[str, Any], wake: int) -> None:
    """Sends the child the signals that the parent names, until the child has ended or the parent is gone."""
    pending = b""
    while child.poll() is None:
        ready, _, _ = select.select([0, wake], [], [], _PARENT_CHECK_S)
        if os.getppid() != order["parent"]:
            return
        if wake in ready:
            os.read(wake, 4096)
        if 0 in ready:
            received = os.read(0, 4096)
            if not received:
                return
            *names, pending = (pending + received).split(b"\n")
            for name in names:
                _send(child, name.decode(), order["instead"])


def _send(child: "subprocess.Popen[bytes]", name: str, instead: dict[str, list[str]]) -> None:
    if name in instead:
        subprocess.run(instead[name], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    else:
        child.send_signal(getattr(signal, f"SIG{name}"))


def _end(child: "subprocess.Popen[bytes]", instead: dict[str, list[str]]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # A second one would leave the command half ended.
    if child.poll() is None:
        _send(child, "CONT", instead)  # a frozen process does not hear TERM
        _send(child, "TERM", instead)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_S)
            return
    if child.poll() is None:
        _send(child, "KILL", instead)
        child.kill()
        child.wait()


if __name__ == "__main__":
    sys.exit(main())
