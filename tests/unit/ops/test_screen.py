"""Where output goes wrong, and where a terminal is narrow: no traceback, and nothing that is copied is broken."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE_S
from tests.unit.ops.test_cli import CONFIGURATION, on_a_terminal

DROPSTREAM = (sys.executable, "-m", "ops")
# Loads the entry point as Ctrl-C comes while the verbs are being imported.
INTERRUPTED = """
import builtins, ops.__main__ as entry
load = builtins.__import__
def interrupted(name, *rest):
    if name == "ops.cli":
        raise KeyboardInterrupt
    return load(name, *rest)
builtins.__import__ = interrupted
entry.main()
"""


def ended(*command: str, stdout: int) -> tuple[int, str]:
    """The exit code and the standard error of a command that writes to `stdout`."""
    ran = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    return ran.returncode, ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("verb", [["send", "--list"], ["endpoints", "token"]], ids=" ".join)
def test_a_full_disk_is_one_line(verb: list[str]) -> None:
    """Output that cannot be written fails the verb with one sentence."""
    with Path("/dev/full").open("wb") as full:
        code, said = ended(*DROPSTREAM, *verb, stdout=full.fileno())
    assert (code, said) == (1, "error: cannot write to standard output: No space left on device\n")


@pytest.mark.parametrize("verb", [["send", "--list"], ["endpoints", "token"], ["--version"]], ids=" ".join)
def test_a_closed_pipe_is_no_failure(verb: list[str]) -> None:
    """A reader that has seen enough, as `head` does, ends a verb well and silently."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert ended(*DROPSTREAM, *verb, stdout=writing) == (0, "")
    finally:
        os.close(writing)


def test_ctrl_c_while_loading_is_no_traceback() -> None:
    """Who changes their mind in the first half second reads no traceback, and a script sees 130."""
    assert ended(sys.executable, "-c", INTERRUPTED, stdout=subprocess.DEVNULL) == (128 + signal.SIGINT, "")


@pytest.mark.parametrize("columns", [80, 72])
def test_a_narrow_terminal_breaks_no_name(tmp_path: Path, columns: int) -> None:
    """Where columns do not fit, some stand below their row; every name and path stays in one piece."""
    (tmp_path / "dropstream.toml").write_text(CONFIGURATION.replace("endpoints.guarded", "endpoints.guarded-by-a-path"))
    samples = on_a_terminal(tmp_path, "send", "--list", COLUMNS=str(columns), NO_COLOR="1")
    for name in ("dreamship-basic", "shipstream-inventory-adjusted", "dropstream.inventory.adjusted"):
        assert name in samples
    endpoints = on_a_terminal(tmp_path, "endpoints", "list", COLUMNS=str(columns), NO_COLOR="1")
    assert "/webhooks/guarded-by-a-path/***" in endpoints
    assert "secrets: env:ACME" in endpoints
    shown = re.sub("\x1b\\[[0-9;]*m", "", samples + endpoints)
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= columns


@pytest.mark.parametrize("elsewhere", ["", "stdin", "stdout", "stderr"])
def test_a_question_is_for_a_person_who_sees_the_plan(elsewhere: str) -> None:
    """It is asked where input, output and errors are all a terminal; where one is not, it is a sentence."""
    ours, theirs = pty.openpty()
    os.write(ours, b"y\n")
    question = "from ops.screen import confirm; confirm('Begin?', yes=False)"
    stdin, stdout, stderr = (
        subprocess.DEVNULL if stream == elsewhere else theirs for stream in ("stdin", "stdout", "stderr")
    )
    asked = subprocess.run(
        [sys.executable, "-c", question], stdin=stdin, stdout=stdout, stderr=stderr, check=False, timeout=PATIENCE_S
    )
    os.close(theirs)
    os.close(ours)
    assert (asked.returncode == 0) is not bool(elsewhere)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_gets_replaced_characters(encoding: str, tmp_path: Path) -> None:
    """A character that the terminal does not have becomes another one, never a traceback."""
    config, body = tmp_path / "dropstream.toml", tmp_path / "body"
    config.write_text('[endpoints.acme]\nprovider = "shipstream"\nsecrets = ["env:ACME"]\n', encoding="utf-8")
    body.write_text('{"topic": "señor 🚚", "message": {}}', encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "ops", "explain", str(body), "--endpoint", "acme", "--config", str(config)],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "ACME": "made-up-secret-of-acme"},
        capture_output=True,
        check=False,
    )
    assert "señor 🚚".encode(encoding, "replace") in ran.stdout
    assert ran.stderr == b""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_says_the_same_in_every_character_set(encoding: str) -> None:
    """JSON loses no character: what an output cannot hold is escaped."""
    written = 'from ops.screen import write_json; write_json(\'{"a":"señor 🚚"}\')'
    ran = subprocess.run(
        [sys.executable, "-c", written],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=True,
    )
    assert json.loads(ran.stdout) == {"a": "señor 🚚"}


def test_an_argument_that_is_no_text_is_one_sentence() -> None:
    """Bytes that are no UTF-8 in an argument are a wrong call, never a traceback."""
    ran = subprocess.run([*DROPSTREAM, "trace", b"\xff"], capture_output=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr == b"error: the argument '\\\\xff' is not UTF-8 text\n"
