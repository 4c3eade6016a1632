"""`dropstream ingest` with something wrong about it.

Run as `python -m tests.chaos.strange_ingress TROUBLE ingest --config FILE`. What it runs is the real program; only the
calls at the borders of the steps are wrapped, or the clock is another one.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ingest.spool.file import SpoolFile
from ingest.spool.queue import Spool
from ops.cli import main
from ops.service import ingest_command

# Where the process ends by kill -9: whose method, which one, before or after the call, and with which call.
DEATHS: dict[str, tuple[type, str, str, int]] = {
    "before_spool_write": (SpoolFile, "append", "before", 20),
    "after_spool_write": (SpoolFile, "append", "after", 20),
    "before_drained_are_removed": (SpoolFile, "remove", "before", 1),
    "after_drained_are_removed": (SpoolFile, "remove", "after", 1),
    "drain_read": (Spool, "oldest", "before", 1),
}
# A disk whose writes hang while a file of this name stands beside the configuration, or take so long.
DISK_HANGS, DISK_SLOW = "disk-hangs", "disk-slow"
_SLOW_S = 4.0
_JUMP_EVERY_S = 2.0
_JUMPS_H = (0, 3, -3, 24 * 40, -24 * 40)


def deadly(method: Callable[..., Any], moment: str, turn: int) -> Callable[..., Any]:
    """`method`; its `turn`-th call is the process's last."""
    calls = 0

    def call(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == turn and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = method(*args, **kwargs)
        if calls == turn:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    return call


def on_a_bad_disk(method: Callable[..., Any], controls: Path) -> Callable[..., Any]:
    """`method`, as long as its disk allows."""

    def call(*args: object, **kwargs: object) -> object:
        if (controls / DISK_SLOW).exists():
            time.sleep(_SLOW_S)
        while (controls / DISK_HANGS).exists():
            time.sleep(0.02)
        return method(*args, **kwargs)

    return call


class JumpingClock(datetime):
    """A clock that jumps by hours and by weeks, ahead and back."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        jump = _JUMPS_H[int(time.monotonic() / _JUMP_EVERY_S) % len(_JUMPS_H)]
        return datetime.now(tz or UTC) + timedelta(hours=jump)


def arm(trouble: str) -> None:
    """Makes the trouble."""
    if trouble == "jumping_clock":
        ingest_command.datetime = JumpingClock  # type: ignore[attr-defined]
        return
    if trouble == "bad_disk":
        controls = Path(sys.argv[sys.argv.index("--config") + 1]).parent
        for name in ("append", "remove", "has_room", "oldest_ms"):
            setattr(SpoolFile, name, on_a_bad_disk(getattr(SpoolFile, name), controls))
        return
    owner, name, moment, turn = DEATHS[trouble]
    setattr(owner, name, deadly(getattr(owner, name), moment, turn))


if __name__ == "__main__":
    arm(sys.argv.pop(1))
    main()
