"""The command line as a person meets it: exit codes, one sentence for an error, plain lines in a pipe."""

import os
import pty
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from typer.testing import CliRunner

from ops.cli import app, main
from tests.support.programs import bare_environ
from tests.support.waiting import PATIENCE_S

SECRETS = {"ACME": "tiger-lily-secret", "TOKEN": "path-token-secret-of-some-length"}
# Nothing listens on port 1 of the loopback.
CONFIGURATION = """
[kafka]
bootstrap_servers = "127.0.0.1:1"
[ingest]
port = 1
admin_port = 2
[process]
admin_port = 1
[endpoints.acme]
provider = "shipstream"
secrets = ["env:ACME"]
[endpoints.guarded]
provider = "modern_dropship"
secrets = ["env:ACME"]
token = "env:TOKEN"
enabled = false
"""
VERBS = (
    *(
        ["up"],
        ["ingest"],
        ["drain"],
        ["process"],
        ["send"],
        ["tail"],
        ["gaps"],
        ["gaps", "dismiss"],
        ["audit"],
        ["replay"],
        ["redrive"],
        ["schemas", "export"],
        ["doctor"],
        ["console"],
    ),
    *(["topics", "plan"], ["topics", "apply"]),
    *(["kafka", "start"], ["kafka", "stop"], ["kafka", "status"]),
    *(["trace"], ["offsets", "show"], ["offsets", "set"]),
    *(["endpoints", "list"], ["endpoints", "check"], ["endpoints", "token"], ["endpoints", "add"]),
    *(["shipstream", "webhooks", verb] for verb in ("list", "create", "enable", "disable", "delete")),
)
# What a pipe never gets: an escape sequence, or a character that draws a box.
FOR_TERMINALS = re.compile("[\x1b\u2500-\u257f]")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a configuration that is right, for a cluster that is not there."""
    (tmp_path / "dropstream.toml").write_text(CONFIGURATION)
    return tmp_path


@dataclass(frozen=True, slots=True)
class Ended:
    """A run of the command line: its exit code and what it wrote."""

    code: object
    stdout: str
    stderr: str


class Dropstream(Protocol):
    def __call__(self, *arguments: str, **environ: str) -> Ended:
        """Runs `dropstream` with these arguments in the test's directory, in a pipe."""


@pytest.fixture
def dropstream(place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Dropstream:
    """The program as its entry point runs it, in this process."""
    monkeypatch.chdir(place)
    for name in [name for name in os.environ if name.startswith("DROPSTREAM_")]:
        monkeypatch.delenv(name)
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)

    def run(*arguments: str, **environ: str) -> Ended:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["dropstream", *arguments])
            for name, value in environ.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        return Ended(ended.value.code or 0, *capfd.readouterr())

    return run


def on_a_terminal(place: Path, *arguments: str, **environ: str) -> str:
    """What the verb writes to a terminal 90 characters wide, run as a program of its own."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ops", *arguments]
    variables = bare_environ(**{"TERM": "xterm", "COLUMNS": "90", **SECRETS, **environ})
    with subprocess.Popen(command, cwd=place, env=variables, stdout=theirs, stdin=theirs):
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65_536):
                shown += part
        except OSError:  # Linux says so when the other end of a terminal is closed.
            pass
        finally:
            os.close(ours)
    return shown.decode()


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_has_a_page_with_an_example(verb: list[str]) -> None:
    """The help of a verb is short and shows how to call it."""
    page = CliRunner().invoke(app, [*verb, "--help"])
    assert page.exit_code == 0
    assert "Example:" in page.output
    assert f"dropstream {' '.join(verb)}" in " ".join(page.output.partition("Example:")[2].split())
    assert len(page.output.splitlines()) <= 35


def test_without_a_verb_it_shows_every_verb(dropstream: Dropstream) -> None:
    """A first look names the verbs, in plain text."""
    shown = dropstream()
    assert shown.code == 2
    assert {verb[0] for verb in VERBS} <= set(shown.stderr.split())
    assert not FOR_TERMINALS.search(shown.stderr)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["topics", "plan", "--confg", "x"], "No such option: --confg"),
        (["send", "shipstream-ordr-created"], "nearest: shipstream-order-created"),
        (["send", '{"topic":"' + 256 * "x" + '"}'], "no sample, and no file that can be read (File name too long)"),
        (["send", "."], "no file that can be read (Is a directory)"),
        (["send", "shipstream-order-created", "--endpoint", "acne"], "nearest: acme"),
        (["send", "modern-dropship"], "no enabled endpoint has the provider modern_dropship"),
        (["send", "shipstream-order-created", "--url", "notaurl"], "'notaurl' is not a base URL such as"),
        (["tail", "orders", "--from", "tomorrow"], "is none of: beginning, latest, P:OFFSET, a time"),
        (["tail", "orders", "--where", "status"], "is not FIELD=VALUE"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_wrong_call_ends_with_2(dropstream: Dropstream, arguments: list[str], sentence: str) -> None:
    """A user's mistake is told on stderr with the way out, never as a traceback."""
    ended = dropstream(*arguments)
    assert ended.code == 2
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_faulty_configuration_ends_with_2_and_every_fault(place: Path, dropstream: Dropstream) -> None:
    """All faults are told at once, one line each."""
    (place / "bad.toml").write_text(
        CONFIGURATION.replace("admin_port", "admin_prot").replace("shipstream", "shipsteam")
    )
    ended = dropstream("topics", "plan", "--config", "bad.toml")
    assert ended.code == 2
    assert ended.stderr == (
        "error: bad.toml: 3 faults\n"
        "  ingest.admin_prot: no such setting; nearest valid name: admin_port\n"
        "  process.admin_prot: no such setting; nearest valid name: admin_port\n"
        "  endpoints.acme.provider: no such provider; nearest valid name: shipstream\n"
    )


@pytest.mark.parametrize(
    ("arguments", "more", "named"),
    [
        ([], {}, "dropstream.toml"),
        (["--config", "a.toml"], {}, "a.toml"),
        ([], {"DROPSTREAM_CONFIG": "b.toml"}, "b.toml"),
    ],
)
def test_the_configuration_is_looked_for_in_order(
    place: Path, dropstream: Dropstream, arguments: list[str], more: dict[str, str], named: str
) -> None:
    """--config counts, else the variable, else the file in this directory; a missing one is named."""
    (place / "dropstream.toml").unlink()
    ended = dropstream("endpoints", "list", *arguments, **more)
    assert ended.code == 2
    assert ended.stderr.startswith(f"error: {named}: 1 fault\n  cannot be read: No such file or directory; ")


@pytest.mark.parametrize("arguments", [["topics", "plan"], ["topics", "apply"], ["tail", "orders"]], ids=" ".join)
def test_a_cluster_that_is_not_there_is_one_sentence(
    dropstream: Dropstream, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka away: exit 1 without a wait for the time-out, and one line that says where it was looked for."""
    monkeypatch.setattr("ops.kafka.clients.CONNECT_TIMEOUT_S", 2 * PATIENCE_S)
    began_at = time.monotonic()
    ended = dropstream(*arguments)
    assert ended.code == 1
    assert ended.stderr.startswith("error: cannot reach Kafka at 127.0.0.1:1; ")
    assert ended.stderr.count("\n") == 1
    assert time.monotonic() - began_at < PATIENCE_S


def test_an_ingress_that_is_not_there_is_one_sentence(dropstream: Dropstream) -> None:
    """A refused connection: exit 1, and one line that says what to start."""
    ended = dropstream("send", "shipstream-order-created", "--first", "7", "--yes")
    assert ended.code == 1
    assert ended.stderr == (
        "error: nothing answers at http://127.0.0.1:1: Connection refused; "
        "start the ingress with dropstream ingest, or name it with --url\n"
    )


def test_the_ingress_is_looked_for_where_it_listens(dropstream: Dropstream) -> None:
    """The address of the settings counts, and IPv6 is written as a URL wants it."""
    numbered = ("shipstream-order-created", "--first", "7", "--yes")
    address = {"DROPSTREAM_INGEST__HOST": "::1", "DROPSTREAM_INGEST__ADMIN_HOST": "::1"}
    assert "nothing answers at http://[::1]:1: " in dropstream("send", *numbered, **address).stderr
    assert "not answering at http://[::1]:2/readyz; " in dropstream("doctor", **address).stdout


def test_the_doctor_of_an_ingress_needs_no_signing_secret(
    dropstream: Dropstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the secrets are not, it says so, and checks all the rest; the same holds for the list of the endpoints."""
    monkeypatch.delenv("ACME")
    told = dropstream("doctor")
    assert "signing secrets\twarning\tendpoints.acme.secrets[0].value: the environment has no ACME" in told.stdout
    assert "time zones\tok\t" in told.stdout
    assert "kafka\tfailed\tcannot reach Kafka at 127.0.0.1:1" in told.stdout
    assert told.code == 1
    assert dropstream("endpoints", "list").code == 0


def test_the_list_of_endpoints_shows_no_secret(dropstream: Dropstream) -> None:
    """Secrets are shown as references and tokens not at all, a line for each endpoint, tabs between."""
    shown = dropstream("endpoints", "list")
    assert shown.code == 0
    assert shown.stdout == (
        "acme\tshipstream\t/webhooks/acme\tenv:ACME\trequire\tyes\n"
        "guarded\tmodern_dropship\t/webhooks/guarded/***\tenv:ACME\trequire\tno\n"
    )


def test_a_terminal_gets_colour_and_a_pipe_does_not(place: Path) -> None:
    """The same verb draws a coloured table for a person; NO_COLOR takes the colour and leaves the table."""
    coloured = on_a_terminal(place, "endpoints", "list")
    plain = on_a_terminal(place, "endpoints", "list", NO_COLOR="1")
    green = re.compile("\x1b\\[[0-9;]*32m")
    assert green.search(coloured)
    assert "\u2500" in coloured
    assert not green.search(plain)
    assert "guarded" in plain
    assert max(len(line.rstrip()) for line in re.sub("\x1b\\[[0-9;]*m", "", coloured).splitlines()) <= 90


def test_a_token_is_fresh_and_long(dropstream: Dropstream) -> None:
    """Two tokens differ, and each carries 256 bits in characters that a path holds."""
    first, second = (dropstream("endpoints", "token").stdout.strip() for _ in range(2))
    assert first != second
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", first)


def test_the_doctor_names_what_is_missing_and_goes_on(dropstream: Dropstream) -> None:
    """A failed check fails the verb, after every other check has been told."""
    ended = dropstream("doctor")
    levels = {line.split("\t")[0]: line.split("\t")[1] for line in ended.stdout.splitlines()}
    assert ended.code == 1
    assert levels["configuration"] == "ok"
    assert levels["endpoints"] == "ok"
    assert levels["time zones"] == "ok"
    assert levels["kafka"] == "failed"
    assert levels["ingress"] == "warning"
    assert levels["processors"] == "warning"


def test_the_doctor_tells_of_a_place_that_it_cannot_look_at(dropstream: Dropstream) -> None:
    """A spool below what this user may not search, or that can be no path, is a failed check and no traceback."""
    ended = dropstream("doctor", DROPSTREAM_INGEST__SPOOL_DIR=256 * "x")
    assert ended.code == 1
    assert "cannot be looked at (File name too long); set ingest.spool_dir" in ended.stdout


def test_the_doctor_tells_the_faults_of_a_configuration(dropstream: Dropstream) -> None:
    """A configuration that cannot be used ends the doctor as it ends every verb, with the file named."""
    ended = dropstream("doctor", DROPSTREAM_KAFKA__PARTITIONS="none")
    assert ended.code == 2
    assert ended.stdout.startswith("time zones\tok\t")
    assert ended.stderr == "error: dropstream.toml: 1 fault\n  kafka.partitions: Input should be a valid integer\n"
