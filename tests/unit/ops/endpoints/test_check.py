"""The problems that `dropstream endpoints check` finds, and those it does not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.endpoints.check import Problem, find_problems
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.settings import Settings

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ENVIRON = {
    "ONE": "the-first-of-two-secrets",
    "TWO": "the-other-of-two-secrets",
    "SHORT": "short",
    "LONG": "a-token-of-more-than-22-characters",
}
ENVIRON["ALIKE"] = ENVIRON["LONG"]
ENVIRON["ODD"] = "a token/with ? and more than 22 characters"


def settings_of(text: str) -> Settings:
    context = Context(environ=ENVIRON, providers=discover())
    return read_configuration(text, source="here.toml", context=context)


def problems_of(text: str) -> tuple[Problem, ...]:
    return find_problems(settings_of(text), discover(), NOW)


def test_a_sound_endpoint_has_no_problem() -> None:
    """What is in order is not spoken of."""
    text = '[endpoints.a]\nprovider = "shipstream"\nsecrets = ["env:ONE"]\n'
    text += '[endpoints.b]\nprovider = "modern_dropship"\nsecrets = ["env:ONE"]\ntoken = "env:LONG"\n'
    assert problems_of(text) == ()


@pytest.mark.parametrize(
    ("options", "level", "words"),
    [
        ('secrets = [{ value = "env:ONE", expires = 2026-05-31T00:00:00Z }]', "error", "every secret has expired"),
        (
            'secrets = ["env:TWO", { value = "env:ONE", expires = 2026-05-31T00:00:00Z }]',
            "warning",
            "secret env:ONE expired on 2026-05-31; remove it",
        ),
        (
            'secrets = [{ value = "env:ONE", expires = 2026-06-14T00:00:00Z }]',
            "warning",
            "secret env:ONE expires on 2026-06-14; no other is valid then; add one before",
        ),
        (
            'secrets = ["env:TWO", { value = "env:ONE", expires = 2026-06-14T00:00:00Z }]',
            "warning",
            "secret env:ONE expires on 2026-06-14; others stay valid",
        ),
        ('secrets = ["env:SHORT"]', "warning", "secret env:SHORT has 5 characters and can be guessed; use at least 16"),
        ('secrets = ["env:ONE"]\nlanes = 2', "error", "lanes = 2 spreads its sequence over partitions; set lanes = 1"),
        ('secrets = ["env:ONE"]\nsignature = "verify-if-present"', "warning", "takes deliveries without a signature"),
        ('secrets = ["env:ONE"]\ntoken = "env:SHORT"', "warning", "token env:SHORT is short enough to guess"),
        (
            'secrets = ["env:ONE"]\ntoken = ["env:LONG", "env:SHORT"]',
            "warning",
            "token env:SHORT is short enough to guess",
        ),
        ('secrets = ["env:ONE"]\ntoken = ["env:LONG", "env:ALIKE"]', "warning", "lists one token twice"),
        ('secrets = ["env:ONE"]\ntoken = "env:ODD"', "error", "token env:ODD has characters that a URL holds encoded"),
        (
            'secrets = ["env:ONE"]\nsignature_scheme = { format = "plain" }',
            "warning",
            "signature_scheme does nothing: the scheme of shipstream is fixed; remove it",
        ),
    ],
)
def test_a_problem_is_named_with_what_to_do(options: str, level: str, words: str) -> None:
    """Each fault of an endpoint is one sentence at the right level."""
    (problem,) = problems_of(f'[endpoints.acme]\nprovider = "shipstream"\n{options}\n')
    assert (problem.level, problem.endpoint) == (level, "acme")
    assert problem.sentence.startswith(words)
    assert "secret-" not in problem.sentence


@pytest.mark.parametrize(
    ("ingest", "count"),
    [
        ("port = 8081", 1),
        ('host = "127.0.0.1"\nport = 8081', 1),
        ('host = "10.0.0.1"\nport = 8081', 0),
        ("port = 0\nadmin_port = 0", 0),
    ],
)
def test_two_listeners_on_one_port_are_an_error(ingest: str, count: int) -> None:
    """Webhooks and the admin pages cannot share a port of one host."""
    problems = problems_of(f'[ingest]\n{ingest}\n[endpoints.a]\nprovider = "shipstream"\nsecrets = ["env:ONE"]\n')
    sentence = "port and admin_port are both 8081, so it cannot start; set ingest.admin_port to another"
    assert problems == (Problem("error", "ingest", sentence),) * count


def test_an_unconfirmed_scheme_wants_a_token() -> None:
    """Modern Dropship's signature is not published, so its path is to be secret."""
    (problem,) = problems_of('[endpoints.md]\nprovider = "modern_dropship"\nsecrets = ["env:ONE"]\n')
    assert problem.level == "warning"
    assert "set a token" in problem.sentence


def test_two_sequences_with_one_secret_are_named() -> None:
    """A delivery for one ShipStream webhook must not count in another's sequence."""
    endpoint = '[endpoints.{0}]\nprovider = "shipstream"\nsecrets = ["env:ONE"]\n'
    problems = problems_of(endpoint.format("a") + endpoint.format("b"))
    assert [(one.level, one.endpoint) for one in problems] == [("warning", "a"), ("warning", "b")]
    assert problems[0].sentence.startswith("shares a secret with b, ")


def test_a_disabled_endpoint_has_no_problem_but_none_enabled_is_one() -> None:
    """What is switched off is left alone; everything switched off is an error."""
    off = '[endpoints.off]\nprovider = "shipstream"\nsecrets = ["env:ONE"]\nlanes = 2\nenabled = false\n'
    assert problems_of(off + '[endpoints.on]\nprovider = "dreamship"\nsecrets = ["env:TWO"]\n') == ()
    (problem,) = problems_of(off)
    assert problem.level == "error"


@pytest.mark.parametrize(("mode", "told"), [(0o644, True), (0o640, False), (0o600, False)])
def test_a_file_that_everybody_can_read_is_told(tmp_path: Path, mode: int, told: bool) -> None:
    """A secret and a token in a file that others may read are warned of, with the command that closes it."""
    for name in ("secret", "token", "password"):
        (tmp_path / name).write_text("a-text-of-more-than-22-characters")
        (tmp_path / name).chmod(mode)
    found = problems_of(
        f"""
        [kafka]
        password = "file:{tmp_path}/password"
        [endpoints.a]
        provider = "shipstream"
        secrets = ["file:{tmp_path}/secret"]
        token = "file:{tmp_path}/token"
        """
    )
    words = "can be read by every user of this machine; run chmod o-r"
    wanted = [
        Problem("warning", key, f"{name} file:{tmp_path}/{name} {words} {tmp_path}/{name}")
        for key, name in (("kafka.password", "password"), ("a", "secret"), ("a", "token"))
    ]
    assert list(found) == (wanted if told else [])


def test_what_a_process_may_not_know_is_not_called_weak() -> None:
    """The ingress does not know the signing secrets, and so does not judge them."""
    context = Context(environ={}, providers=discover(), signing_secrets=False)
    text = '[endpoints.a]\nprovider = "shipstream"\nsecrets = ["env:SHORT"]\n'
    assert find_problems(read_configuration(text, source="here.toml", context=context), discover(), NOW) == ()
