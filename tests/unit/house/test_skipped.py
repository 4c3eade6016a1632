"""What is skipped is told in one line for each command that brings it, with workers and without."""

import subprocess
import sys
from pathlib import Path

from tests.support.checkout import ROOT
from tests.support.skipped import missing, skipped_lines

_TESTS = """
import pytest
from tests.support.skipped import missing

@pytest.mark.parametrize("name", ["helm", "promtool", "helm"])
def test_needs(name: str) -> None:
    pytest.skip(missing(f"{name} is not here", bring="make tools"))

@pytest.mark.skipif(True, reason="this machine has no IPv6")
def test_six() -> None:
    pass

def test_red() -> None:
    assert False, "as it must be"
"""


def test_a_command_is_told_once_with_all_that_it_brings() -> None:
    """Reasons with one command share a line; what no command brings has a line of its own; most tests first."""
    tools = [missing(f"{name} is not here", bring="make tools") for name in ("promtool", "helm", "helm")]
    reasons = ["Skipped: looks for a process in /proc", *tools, missing("there is no Chromium", bring="make test C=x")]
    assert skipped_lines(reasons) == [
        "3 tests skipped: helm is not here, promtool is not here; bring them with: make tools",
        "1 test skipped: looks for a process in /proc",
        "1 test skipped: there is no Chromium; bring it with: make test C=x",
    ]
    assert skipped_lines([]) == []


def test_the_end_of_a_run_tells_what_was_skipped_and_lists_what_failed(tmp_path: Path) -> None:
    """With workers too: the summary has the line of the command and each failure by name, and no list of skips."""
    (tmp_path / "test_some.py").write_text(_TESTS)
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_terminal_summary\n")
    command = (sys.executable, "-m", "pytest", f"--config-file={ROOT / 'pyproject.toml'}", "-p", "no:cacheprovider")
    done = subprocess.run(
        [*command, "--numprocesses=1", tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert "3 tests skipped: helm is not here, promtool is not here; bring them with: make tools" in lines
    assert "1 test skipped: this machine has no IPv6" in lines
    assert [line.rpartition("::")[2].split()[0] for line in lines if line.startswith("FAILED")] == ["test_red"]
    assert not [line for line in lines if line.startswith("SKIPPED")]
