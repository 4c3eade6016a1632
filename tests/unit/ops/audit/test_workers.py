"""The processes of an audit, before they have an assignment."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("given", [b"", b"\0\0", b"\0\0\0\x10\x80"])
def test_a_worker_whose_parent_ends_at_once_says_nothing(given: bytes) -> None:
    """A parent that is killed before it has written all of the assignment leaves no traceback on the screen."""
    command = (sys.executable, "-c", "from ops.audit.workers import main; main()")
    ended = subprocess.run(command, input=given, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
