"""`dropstream endpoints add`: files for their owner, lines that work, nothing over anything that is there."""

import stat
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ops.cli import app
from schemas.configuration import Context, read_configuration

BASE = ("--url", "https://hooks.example/in")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory: no configuration yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DROPSTREAM_CONFIG", raising=False)
    monkeypatch.setenv("GIVEN_KEY", "a-key-of-the-platform")
    return tmp_path


def add(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["endpoints", "add", *arguments])


@pytest.mark.parametrize(
    ("provider", "options", "files", "told"),
    [
        ("shipstream", (), ["new.secret", "new.token"], "(its webhooks, or dropstream shipstream webhooks create)"),
        ("modern_dropship", (), ["new.secret", "new.token"], "Settings > Webhooks"),
        ("dreamship", ("--secret", "env:GIVEN_KEY"), ["new.token"], "API settings"),
        ("dropea", ("--secret", "env:GIVEN_KEY"), ["new.token"], "My Account > Access Token"),
        (
            "shipstream",
            ("--secret", "env:GIVEN_KEY"),
            ["new.token"],
            "(its webhooks, or dropstream shipstream webhooks create)",
        ),
    ],
)
def test_the_lines_make_a_configuration(
    place: Path, provider: str, options: tuple[str, ...], files: list[str], told: str
) -> None:
    """Standard output is a configuration by itself; the URL to paste is told beside it, with the token."""
    ended = add("new", "--provider", provider, *BASE, *options)
    assert ended.exit_code == 0, ended.stderr
    assert sorted(file.name for file in (place / "secrets").iterdir()) == files
    assert {stat.S_IMODE(file.stat().st_mode) for file in (place / "secrets").iterdir()} == {0o600}
    token = (place / "secrets/new.token").read_text().strip()
    assert f": https://hooks.example/in/webhooks/new/{token}\n" in ended.stderr
    assert told in ended.stderr
    assert token not in ended.stdout
    context = Context(environ={"GIVEN_KEY": "a-key-of-the-platform"}, providers=[provider])
    endpoint = read_configuration(ended.stdout, source="new.toml", context=context).endpoints["new"]
    assert endpoint.provider == provider
    assert endpoint.token[0].value.decode() == token
    secret = place / "secrets/new.secret"
    expected = "a-key-of-the-platform" if options else secret.read_text().strip()
    assert endpoint.secrets[0].value.value.decode() == expected


def test_our_secret_is_shown_on_demand_alone(place: Path) -> None:
    """Where a page wants the secret it lies in its file, or is printed with --show-secret."""
    quiet = add("one", "--provider", "modern_dropship", *BASE)
    secret = (place / "secrets/one.secret").read_text().strip()
    assert secret not in quiet.output
    assert f"and the secret in {place}/secrets/one.secret; --show-secret would print it" in quiet.stderr
    loud = add("two", "--provider", "modern_dropship", *BASE, "--show-secret")
    secret = (place / "secrets/two.secret").read_text().strip()
    assert f"and this secret: {secret}\n" in loud.stderr
    assert secret not in loud.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("acme", "--provider", "shipstream", *BASE), "endpoint acme is configured already; take another name"),
        (("new", "--provider", "shipsteam", *BASE), "no such provider; nearest: shipstream"),
        (("new", "--provider", "dreamship", *BASE), "dreamship signs with an API key of the account; name where it"),
        (("new", "--provider", "dropea", *BASE, "--topics", "all"), "dropea takes no subscriptions from here"),
        (("new", "--provider", "dropea", *BASE, "--secret", "clear-text-key"), "a secret is a reference: env:NAME or"),
        (("new", "--provider", "dropea", *BASE, "--secret", "env:NOWHERE"), "the environment has no NOWHERE"),
        (("a/b", "--provider", "shipstream", *BASE), "an endpoint's name must match"),
        (("a\n", "--provider", "shipstream", *BASE), "an endpoint's name must match"),
        (("new", "--provider", "shipstream", "--url", "https://h.example/?q=1"), "is not a base URL such as"),
        (("new", "--provider", "shipstream", "--url", "https://h.example:99999"), "Port out of range"),
        (("old", "--provider", "shipstream", *BASE), "old.secret exists already; take another name, or remove it"),
    ],
)
def test_a_refusal_makes_nothing(place: Path, arguments: tuple[str, ...], sentence: str) -> None:
    """A name that is taken, by the configuration or by a file, and every other mistake: exit 2 and no new file."""
    (place / "acme").write_text("a-secret-of-acme")
    (place / "dropstream.toml").write_text('[endpoints.acme]\nprovider = "shipstream"\nsecrets = ["file:acme"]\n')
    (place / "secrets").mkdir()
    (place / "secrets/old.secret").symlink_to(place / "nowhere")
    ended = add(*arguments)
    assert ended.exit_code == 2
    assert sentence in " ".join(ended.stderr.split())
    assert "clear-text-key" not in ended.output
    assert ended.stdout == ""
    assert [file.name for file in (place / "secrets").iterdir()] == ["old.secret"]


@pytest.mark.parametrize(
    ("folder", "why"),
    [("taken", "File exists"), ("taken/below", "Not a directory"), (256 * "x", "File name too long")],
    ids=["taken", "below", "long"],
)
def test_a_folder_that_cannot_be_is_one_sentence(place: Path, folder: str, why: str) -> None:
    """A file where the folder should be, or a name that none can have: told, and nothing is half made."""
    (place / "taken").write_text("")
    ended = add("new", "--provider", "shipstream", *BASE, "--secrets-dir", folder)
    assert ended.exit_code == 1
    assert str(ended.exception) == f"cannot make {place}/{folder}/new.token: {why}; nothing was made"


def test_odd_folders_are_written_as_toml(place: Path) -> None:
    """Quotes and spaces in a path stay what they are."""
    ended = add("new", "--provider", "shipstream", *BASE, "--secrets-dir", 'a "b" c')
    assert tomllib.loads(ended.stdout)["endpoints"]["new"]["token"] == f'file:{place}/a "b" c/new.token'
