"""What the tests of ShipStream's verbs share: an instance, a place to work in, and the program."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from ops.cli import main
from tests.integration.shipstream.instance import KEY, USER, Fault, Shipstream
from tests.integration.shipstream.server import running
from tests.support.waiting import UNHURRIED_MS


@dataclass(frozen=True, slots=True)
class Ended:
    """A run of the program."""

    code: object
    stdout: str
    stderr: str


class Dropstream(Protocol):
    def __call__(self, *arguments: str) -> Ended:
        """Runs `dropstream` with these arguments in the test's place, its output a pipe."""


@pytest.fixture
def shipstream() -> Iterator[Shipstream]:
    """An instance with no webhook."""
    with running() as instance:
        yield instance


@pytest.fixture
def place(tmp_path: Path, shipstream: Shipstream) -> Path:
    """A directory with a configuration that has an account and no endpoint yet."""
    (tmp_path / "dropstream.toml").write_text(
        f'[shipstream.acme]\nurl = "{shipstream.url}"\nusername = "{USER}"\napi_key = "env:API_KEY"\n'
    )
    return tmp_path


@pytest.fixture
def dropstream(place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Dropstream:
    """The program as its entry point runs it, in this process."""
    monkeypatch.chdir(place)
    for name in [name for name in os.environ if name.startswith("DROPSTREAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("API_KEY", KEY)

    def run(*arguments: str) -> Ended:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["dropstream", *arguments])
            code: object = 0
            try:
                main()
            except SystemExit as ended:
                code = ended.code or 0
        return Ended(code, *capfd.readouterr())

    return run


@pytest.fixture
def with_sessions(place: Path) -> None:
    """The account logs in instead of using HTTP Basic."""
    with (place / "dropstream.toml").open("a") as file:
        file.write('authentication = "session"\n')


def wait_little(place: Path, fault: Fault) -> None:
    """The account waits 1.5 s for an answer where the fault is that none comes; else as long as any test waits."""
    hangs = fault in {Fault.HANGS_BEFORE, Fault.HANGS_AFTER}
    with (place / "dropstream.toml").open("a") as file:
        file.write(f"answer_timeout_ms = {1_500 if hangs else UNHURRIED_MS}\n")
