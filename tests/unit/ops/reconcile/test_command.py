"""`dropstream reconcile` before anything is asked: what it would do, and what is wrong with how it was called."""

import sys
from pathlib import Path

import pytest

from ops.cli import main

FILE = """
[endpoints.dream]
provider = "dreamship"
secrets = ["env:SECRET"]
[endpoints.dream.api]
key = "env:NOT_SET"
[endpoints.ship]
provider = "shipstream"
secrets = ["env:SECRET"]
[endpoints.silent]
provider = "shipstream"
secrets = ["env:SECRET"]
reconcile = "off"
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with three endpoints."""
    (tmp_path / "dropstream.toml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "x")


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """The exit code of the verb."""
    monkeypatch.setattr(sys, "argv", ["dropstream", "reconcile", *arguments])
    try:
        main()
    except SystemExit as ended:
        return ended.code or 0
    return 0


@pytest.mark.parametrize(
    ("endpoint", "asks", "lost"),
    [
        ("dream", "api.dreamship.com", "when an order changed: the API names no such time"),
        ("ship", "nobody: the endpoint has no table api", "adjustments of stock: they are a log of movements"),
    ],
)
def test_a_rehearsal_says_what_cannot_be_given_back(
    endpoint: str, asks: str, lost: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a key, without Kafka, and without asking anybody."""
    assert called(monkeypatch, "--endpoint", endpoint, "--from", "2h", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert f"asks\t{asks}\n" in shown
    assert f"cannot give back\t{lost}" in shown
    assert "cannot give back\tthe webhooks themselves" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--endpoint", "ship"), 2, "say whose, and for what"),
        (("--from", "2h"), 2, "say whose, and for what"),
        (("--endpoint", "ship", "--from", "2h", "--gap", "1-2"), 2, "say whose, and for what"),
        (("--endpoint", "ship", "--outage", "first"), 2, "say whose, and for what"),
        (("--endpoint", "ship", "--gap", "2-1"), 2, "is none of: FIRST-LAST, ID"),
        (("--endpoint", "shap", "--from", "2h"), 2, "no such endpoint: shap; nearest: ship"),
        (("--endpoint", "silent", "--from", "2h"), 2, 'endpoints.silent.reconcile is "off"'),
        (("--endpoint", "ship", "--from", "2h", "--yes"), 2, "endpoints.ship.api: is missing"),
        (
            ("--endpoint", "dream", "--from", "2h", "--yes"),
            2,
            "endpoints.dream.api.key: the environment has no NOT_SET",
        ),
        (("--watch", "--endpoint", "ship"), 2, "--watch and --resume need no other option"),
        (("--resume", "reconcile-1-a", "--dry-run"), 2, "--watch and --resume need no other option"),
    ],
)
def test_a_mistake_is_a_sentence(
    arguments: tuple[str, ...],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is wrong and what to do, before anything is asked or written."""
    assert called(monkeypatch, *arguments) == code
    assert words in capsys.readouterr().err
