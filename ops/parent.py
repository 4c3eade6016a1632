"""Lets a child process end with its parent: the child's standard input ends when the parent does.

The parent holds the other end of that pipe, which the system closes however the parent ended. Every child that runs our
code follows it: a worker of a service or of an audit, the in-memory broker. `ops.local.child_guard` does not: it runs
as a file under a bare Python, which imports nothing of ours, it holds programs that are not ours, and it must notice a
parent that has ended although another process still holds the pipe.
"""

import contextlib
import os
from collections.abc import Callable

_STANDARD_INPUT = 0


def follow_parent(on_message: Callable[[], None] | None = None) -> None:
    """Returns once the parent is gone; until then `on_message` is called each time that the parent has written."""
    # An error means that there is no pipe, and so no parent either.
    with contextlib.suppress(OSError):
        while os.read(_STANDARD_INPUT, 4096):
            if on_message is not None:
                on_message()
