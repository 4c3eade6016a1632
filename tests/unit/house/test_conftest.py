"""What the tests do to themselves before they begin."""

import asyncio
import subprocess
import sys

import pytest

_DEAF = """
import signal, subprocess, sys
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
from tests.conftest import hear_signals
hear_signals()
child = "import signal; print(*(signal.getsignal(n) is not signal.SIG_IGN for n in (signal.SIGINT, signal.SIGQUIT, 1)))"
subprocess.run([sys.executable, "-c", child], check=True)
"""


def test_programs_hear_ctrl_c_though_the_tests_run_in_the_background() -> None:
    """A program that a test starts is ended by Ctrl-C, although a shell's `&` or `nohup` made the tests deaf for it."""
    done = subprocess.run([sys.executable, "-c", _DEAF], check=True, capture_output=True, text=True)
    assert done.stdout == "True True True\n"


async def test_the_light_debug_mode_still_checks() -> None:
    """A future notes no stack of its making, and a call from another thread is refused all the same."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    assert not getattr(future, "_source_traceback", None)
    assert loop.get_debug()
    with pytest.raises(RuntimeError, match="Non-thread-safe"):
        await asyncio.to_thread(lambda: loop.call_soon(future.cancel))
