"""Who calls a verb, and how a person is told of in a log."""

import os
import pwd
import socket

import pytest

from ops.people.person import NO_LOGIN, SHARED_TOKEN, Asker, Person, Role, caller
from ops.people.tokens import resolve_tokens
from schemas.errors import ConfigurationError, UsageError
from schemas.notes.acts import KnownBy
from schemas.sections.console import ConsoleSettings


def test_the_variable_says_who_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """DROPSTREAM_ACTOR names the person where several share a user; without it the user of the system counts."""
    for other in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(other, "somebody-else")
    named, unnamed = caller({"DROPSTREAM_ACTOR": " anna "}), caller({"DROPSTREAM_ACTOR": " "})
    assert (named.person.name, named.person.known_by, named.place) == ("anna", "variable", socket.gethostname())
    assert (unnamed.person.name, unnamed.person.known_by) == (pwd.getpwuid(os.geteuid()).pw_name, "operating_system")


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, where the image's user stands in no file: its verbs act all the same."""
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_001)
    assert caller({}).person.name == "uid-4000000001"


@pytest.mark.parametrize("said", ["\udcff", "an\x1bna", "anna\nben"])
def test_a_name_that_cannot_be_shown_is_refused(said: str) -> None:
    """Bytes that are no text, and control characters, are no name: one sentence says so."""
    with pytest.raises(UsageError, match="DROPSTREAM_ACTOR holds characters that cannot be shown"):
        caller({"DROPSTREAM_ACTOR": said})


@pytest.mark.parametrize(
    ("person", "told"),
    [
        (Person("anna", Role.ACT, KnownBy.TOKEN), "anna, session-3fa9c1 at 192.0.2.7"),
        (SHARED_TOKEN, "session-3fa9c1 at 192.0.2.7"),
        (NO_LOGIN, "session-3fa9c1 at 192.0.2.7"),
    ],
)
def test_a_log_names_the_person_and_the_session(person: Person, told: str) -> None:
    """Who is known by name is named."""
    assert str(Asker(person, "192.0.2.7", "session-3fa9c1")) == told


def test_every_token_that_cannot_be_used_is_named() -> None:
    """Missing, guessable where others reach the page, the same for two: all at once, each by its key, none by value."""
    people = {
        "anna": {"token": "env:A"},
        "ben": {"token": "env:B"},
        "cleo": {"token": "env:C"},
        "dora": {"token": "env:D"},
    }
    console = ConsoleSettings.model_validate({"host": "::", "people": people})
    environ = {"A": "a-token-that-nobody-guesses", "B": "a-token-that-nobody-guesses", "C": "short"}
    with pytest.raises(ConfigurationError) as caught:
        resolve_tokens(console, environ, "here.toml")
    assert caught.value.faults == (
        "console.people.ben.token: env:B is the same token as that of anna; each needs its own",
        "console.people.cleo.token: env:C is short enough to guess, and other machines reach ::; "
        "make one with dropstream endpoints token",
        "console.people.dora.token: the environment has no D; set it, or name another source",
    )
