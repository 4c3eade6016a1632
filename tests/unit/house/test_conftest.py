"""What the tests do to themselves before they begin."""

import subprocess
import sys

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
