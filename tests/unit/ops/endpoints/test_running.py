"""What a person is told of the configuration that a running service uses."""

import pytest

from ops.endpoints.check import Problem
from ops.endpoints.running import problem_of

FILE = "/etc/dropstream.toml"
USED: dict[str, object] = {
    "file": FILE,
    "sha256": "abc",
    "read_at": "2026-11-27T18:00:00.000000Z",
    "refused_at": None,
    "faults": [],
}
REFUSED: dict[str, object] = {**USED, "refused_at": "2026-11-27T19:00:00.000000Z"}
SAYS = "the one that runs refused /etc/dropstream.toml at 2026-11-27T19:00:00.000000Z and uses the version before: "


@pytest.mark.parametrize("facts", [USED, {**USED, "file": "/elsewhere.toml", "sha256": "other"}, {}])
def test_a_service_that_uses_the_file_is_no_problem(facts: dict[str, object]) -> None:
    """Neither is one that uses another file, nor one that is too old to tell."""
    assert problem_of("processors", facts, FILE, "abc") is None


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        (["endpoints.new.secrets: env:NEW is not set"], "endpoints.new.secrets: env:NEW is not set"),
        (["one", "two", "three", "four", "five"], "one; two; three; and 2 more"),
    ],
)
def test_a_refusal_is_an_error_with_its_reason(faults: list[str], why: str) -> None:
    """The file is sound here, and the service that refused it says what it lacks there."""
    assert problem_of("processors", {**REFUSED, "faults": faults}, FILE, "abc") == Problem(
        "error", "processors", f"{SAYS}{why}; solve it, then send it SIGHUP"
    )


def test_a_service_that_nobody_told_of_the_change_is_a_warning() -> None:
    """Endpoints of the newer file are rejected until it is read again."""
    assert problem_of("ingress", USED, FILE, "newer") == Problem(
        "warning",
        "ingress",
        "the one that runs uses /etc/dropstream.toml as it was at 2026-11-27T18:00:00.000000Z; "
        "send it SIGHUP to take the present one",
    )
