"""Who may log in at the console, how often an address may try, and what the log says of it."""

import pytest
from structlog.testing import capture_logs

from ops.people.logins import LoginResult, Logins
from ops.people.person import Person, Role
from schemas.notes.acts import KnownBy

ANNA = Person("anna", Role.ACT, KnownBy.TOKEN)
BEN = Person("ben", Role.SEE, KnownBy.TOKEN)


def test_guessing_has_to_wait() -> None:
    """After ten wrong tokens within a minute an address may not try, the right one included; a minute later it may."""
    now = [0.0]
    logins = Logins({ANNA: b"right"}, clock=lambda: now[0])
    assert [logins.log_in("wrong", "192.0.2.7") for _ in range(10)] == [LoginResult.WRONG] * 10
    now[0] = 59.0
    assert logins.log_in("right", "192.0.2.7") is LoginResult.WAIT
    now[0] = 60.0
    assert logins.log_in("right", "192.0.2.7") is LoginResult.RIGHT


@pytest.mark.parametrize(
    ("guesser", "same", "other"),
    [
        ("192.0.2.7", "::ffff:192.0.2.7", "192.0.2.8"),
        ("2001:db8:0:1::7", "2001:db8:0:1:ffff::8", "2001:db8:0:2::7"),
    ],
)
def test_nobody_locks_out_another_address(guesser: str, same: str, other: str) -> None:
    """Each IPv4 address is judged by itself, and each IPv6 network of 64 bits, however it is written."""
    logins = Logins({ANNA: b"right"}, clock=lambda: 0.0)
    for _ in range(10):
        logins.log_in("wrong", guesser)
    assert logins.log_in("right", same) is LoginResult.WAIT
    assert logins.log_in("right", other) is LoginResult.RIGHT


def test_a_right_token_forgets_the_wrong_ones() -> None:
    """Who mistyped and then logged in begins anew."""
    logins = Logins({ANNA: b"right"}, clock=lambda: 0.0)
    for _ in range(9):
        logins.log_in("wrong", "192.0.2.7")
    assert logins.log_in("right", "192.0.2.7") is LoginResult.RIGHT
    assert [logins.log_in("wrong", "192.0.2.7") for _ in range(10)] == [LoginResult.WRONG] * 10


def test_the_log_has_the_address_and_never_the_token() -> None:
    """Ten wrong tokens are ten lines, and those that are not looked at none; no line has a token."""
    logins = Logins({ANNA: b"right"}, clock=lambda: 0.0)
    with capture_logs() as lines:
        for _ in range(50):
            logins.log_in("a-guess", "192.0.2.7")
    assert len(lines) == 10
    refused = {"event": "console_login_refused", "log_level": "warning", "address": "192.0.2.7"}
    assert lines[0] == {**refused, "more_tries": "now"}
    assert lines[9] == {**refused, "more_tries": "in a minute"}
    assert "a-guess" not in str(lines)


def test_without_a_token_none_is_right() -> None:
    """A console that needs no login accepts no token either, not even an empty one."""
    assert Logins({}).log_in("", "192.0.2.7") is LoginResult.WRONG


def test_strangers_fill_no_memory() -> None:
    """Of a hundred thousand addresses the newest ten thousand are remembered."""
    logins = Logins({ANNA: b"right"}, clock=lambda: 0.0)
    for number in range(100_000):
        logins._note_failure(str(number), 0.0)  # noqa: SLF001 no other sign of what is held
    assert len(logins._failures) == 10_000  # noqa: SLF001


def test_each_token_is_of_one_person() -> None:
    """The token says who logs in; one that nobody has is nobody's."""
    logins = Logins({ANNA: b"hers", BEN: b"his"})
    assert [logins.person_of(token) for token in ("hers", "his", "theirs", "")] == [ANNA, BEN, None, None]
