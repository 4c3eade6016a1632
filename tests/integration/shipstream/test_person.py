"""The verbs as a person meets them: a question before a change, a table, Ctrl-C in the middle."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.shipstream.instance import KEY, Fault, Shipstream
from tests.support.programs import bare_environ
from tests.support.waiting import PATIENCE_S

WEBHOOKS = ("shipstream", "webhooks")
TOKEN = "a-token-in-a-url-of-more-than-22-characters"


@dataclass(slots=True)
class Terminal:
    """The program on a terminal of 160 columns; `shown` is all that it wrote so far."""

    program: subprocess.Popen[bytes]
    descriptor: int
    shown: str = ""

    def read_until(self, words: str) -> None:
        """Waits until `words` were shown."""
        while words not in self.shown:
            self.shown += self._read().decode()

    def type(self, text: str) -> None:
        """As if it was typed."""
        os.write(self.descriptor, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C; once more where it came in the moment between the question and the wait for its answer."""
        while self.program.poll() is None:
            self.program.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.program.wait(2)

    def end(self) -> int:
        """The exit code, when all is shown."""
        try:
            while part := self._read():
                self.shown += part.decode()
        except OSError:  # Linux says so when the other end of a terminal is closed.
            pass
        return self.program.wait(PATIENCE_S)

    def _read(self) -> bytes:
        """What it writes next."""
        ready, _, _ = select.select([self.descriptor], [], [], PATIENCE_S)
        assert ready, f"it writes nothing more: {self.shown}"
        return os.read(self.descriptor, 65_536)


@contextmanager
def terminal(place: Path, *arguments: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    environ = bare_environ(TERM="xterm", COLUMNS="160", NO_COLOR="1", API_KEY=KEY)
    command = [sys.executable, "-m", "ops", *arguments]
    with subprocess.Popen(command, cwd=place, env=environ, stdin=theirs, stdout=theirs, stderr=theirs) as program:
        os.close(theirs)
        try:
            yield Terminal(program, ours)
        finally:
            program.kill()
            os.close(ours)


def await_method(shipstream: Shipstream, method: str) -> None:
    """Returns once ShipStream was asked for it."""
    until_s = time.monotonic() + PATIENCE_S
    while method not in shipstream.methods():
        assert time.monotonic() < until_s
        time.sleep(0.01)


@pytest.mark.parametrize(("verb", "asked"), [("delete", "Delete webhook 3"), ("disable", "Disable webhook 3")])
def test_no_changes_nothing(place: Path, shipstream: Shipstream, verb: str, asked: str) -> None:
    """The question shows the webhook without its token; who says no has changed nothing."""
    shipstream.add(3, f"https://hooks.example/webhooks/acme/{TOKEN}", "order:created")
    with terminal(place, *WEBHOOKS, verb, "3") as person:
        person.read_until("[y/N]")
        assert f"{asked} (https://hooks.example/webhooks/acme/***)?" in person.shown
        person.type("n\n")
        assert person.end() == 1
    assert "nothing was changed" in person.shown
    assert shipstream.methods() == ["webhook.list"]
    assert shipstream.webhooks[0]["is_active"] == 1


def test_ctrl_c_at_the_question_changes_nothing(place: Path, shipstream: Shipstream) -> None:
    """It ends as Ctrl-C does."""
    shipstream.add(3, "https://hooks.example", "order:created")
    with terminal(place, *WEBHOOKS, "delete", "3") as person:
        person.read_until("[y/N]")
        person.interrupt()
        assert person.end() == 130
    assert "Traceback" not in person.shown
    assert shipstream.methods() == ["webhook.list"]


def test_yes_deletes(place: Path, shipstream: Shipstream) -> None:
    """Who says yes reads that it is done."""
    shipstream.add(3, "https://hooks.example", "order:created")
    with terminal(place, *WEBHOOKS, "delete", "3") as person:
        person.read_until("[y/N]")
        person.type("y\n")
        assert person.end() == 0
    assert "Deleted webhook 3; its endpoint stays in the configuration." in person.shown
    assert shipstream.webhooks == []


def test_a_person_gets_a_table(place: Path, shipstream: Shipstream) -> None:
    """A heading and a row, and nothing that is secret."""
    shipstream.add(3, f"https://hooks.example/webhooks/acme/{TOKEN}", "order:created", is_active=0)
    with terminal(place, *WEBHOOKS, "list") as person:
        assert person.end() == 0
    heading, _, row = (line.split() for line in re.sub("\x1b\\[[0-9;]*m", "", person.shown).strip().splitlines())
    assert heading == ["id", "active", "url", "secret", "last", "headers", "topics"]
    assert row == ["3", "no", "https://hooks.example/webhooks/acme/***", "yes", "-", "-", "order:created"]


def test_an_empty_account_is_said(place: Path) -> None:
    """A person reads a sentence, not an empty table."""
    with terminal(place, *WEBHOOKS, "list") as person:
        assert person.end() == 0
    assert person.shown.strip() == "There is no webhook."


def test_ctrl_c_in_the_middle_says_what_was_made(place: Path, shipstream: Shipstream) -> None:
    """Ended while ShipStream thinks: 130, the files are named, and where to look."""
    shipstream.faults = [("webhook.create", Fault.HANGS_AFTER)]
    create = ("create", "acme", "--url", "https://hooks.example", "--topics", "order:created", "--verbose")
    with terminal(place, *WEBHOOKS, *create) as person:
        person.read_until("webhook.list: 200")
        await_method(shipstream, "webhook.create")
        person.program.send_signal(signal.SIGINT)
        assert person.end() == 130
    assert f"Broken off. Made: {place}/secrets/acme.token and {place}/secrets/acme.secret; " in person.shown
    assert "Traceback" not in person.shown
