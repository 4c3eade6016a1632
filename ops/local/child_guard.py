"""A small program between us and a broker: it ends the broker when we are gone, whatever ended us.

Run as a file by a bare Python (`-I -S`), so it imports nothing of ours. Started with one JSON argument: `command`,
`console` (file for the command's output), `parent` (our pid), `instead` (signal name -> command to run instead of
sending the signal). It writes the command's pid as one line, then takes signal names, one a line; end of input, another
parent, or TERM ends the command.
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
                preexec_fn=_dies_with_the_keeper(),  # noqa: PLW1509 the keeper has one thread
            )
    except OSError as error:
        print(f"error {error}", flush=True)  # noqa: T201 the answer to our parent
        return 1
    print(child.pid, flush=True)  # noqa: T201 the answer to our parent
    try:
        _serve(child, order, wake_read)
    finally:
        _end(child, order["instead"])
    return child.returncode


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _dies_with_the_keeper() -> Callable[[], None] | None:
    """For the kill -9 of the keeper itself; elsewhere than on Linux only that case stays open."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _serve(child: "subprocess.Popen[bytes]", order: dict[str, Any], wake: int) -> None:
    """Passes signals on until the child has ended or nobody is left to send any."""
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
