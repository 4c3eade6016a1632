"""`dropstream topics acls`: what an administrator grants is what the programs of this configuration need."""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from ops.cli import main
from schemas.kafka.rights.table import Purpose, rights_of

CONFIGURATION = """
[kafka]
bootstrap_servers = "k1:9092, k2:9092"
topic_prefix = "shop."
security_protocol = "SASL_SSL"
sasl_mechanism = "SCRAM-SHA-512"
username = "admin of $HOME"
password = "env:NOT_READ_HERE"
[endpoints.acme]
provider = "shipstream"
secrets = ["env:NOT_READ_HERE"]
"""
ACL = re.compile(
    r'^      - resource:\n {10}type: (\w+)\n {10}name: "(.+)"\n {10}patternType: (\w+)\n {8}operations: \[(.+)\]$',
    re.MULTILINE,
)
Called = Callable[..., tuple[object, str, str]]


@pytest.fixture
def acls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    """The verb's exit code and what it writes, beside a configuration without any secret at hand but the password."""
    (tmp_path / "dropstream.toml").write_text(CONFIGURATION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOT_READ_HERE", "tiger-lily-password")

    def called(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["dropstream", "topics", "acls", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capsys.readouterr())

    return called


def test_the_table_has_the_names_of_this_configuration(acls: Called) -> None:
    """A right a line; what names begin with is told from a whole name."""
    assert acls("ingest") == (
        0,
        "ingest\ttopic\tshop.layout\tliteral\tRead\ningest\ttopic\tshop.raw\tliteral\tWrite\n",
        "",
    )
    code, out, _ = acls("process", "--json")
    rows = [orjson.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {
        "for": "process",
        "resource": "transactional-id",
        "name": "shop.deliver-",
        "pattern": "prefix",
        "operation": "Write",
    } in rows


def test_all_programs_are_shown_where_none_is_named_and_each_once(acls: Called) -> None:
    """Twice the same word grants nothing twice."""
    _, everything, _ = acls()
    assert {line.split("\t")[0] for line in everything.splitlines()} == {str(one) for one in Purpose}
    assert acls("ingest", "ingest") == acls("ingest")


def test_a_line_of_kafka_acls_is_words_of_a_shell(acls: Called) -> None:
    """Servers with a space between, and a name with a blank and a dollar, stay one word each."""
    code, out, _ = acls("ingest", "--format", "kafka-acls")
    comment, *lines = out.splitlines()
    assert (code, comment, len(lines)) == (0, "# ingest: `dropstream ingest`", 2)
    words = [shlex.split(line) for line in lines]
    assert {tuple(one[:3]) for one in words} == {("kafka-acls", "--bootstrap-server", "k1:9092, k2:9092")}
    assert words[1][3:] == [
        *("--command-config", "admin.properties", "--add", "--allow-principal", "User:admin of $HOME"),
        *("--operation", "Write", "--topic", "shop.raw"),
    ]
    _, named, _ = acls("ingest", "--format", "kafka-acls", "--principal", "User:CN=it's mine")
    assert [shlex.split(line)[7] for line in named.splitlines()[1:]] == ["User:CN=it's mine"] * 2


def test_a_user_of_strimzi_is_a_document_with_each_right(acls: Called) -> None:
    """As many users as programs, and no right more or less."""
    code, out, _ = acls("ingest", "process", "--format", "strimzi")
    users = out.split("---\n")[1:]
    named = [re.findall("^  name: (.*)$", one, re.MULTILINE) for one in users]
    assert (code, named) == (0, [["dropstream-ingest"], ["dropstream-process"]])
    granted = {(*one[:3], operation) for one in ACL.findall(users[1]) for operation in one[3].split(", ")}
    kinds = {"transactional-id": "transactionalId"}
    assert granted == {
        (kinds.get(one.resource, one.resource), one.name, "prefix" if one.is_prefix else "literal", one.operation)
        for one in rights_of(Purpose.PROCESS, "shop.")
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ingress",), "ingress"),
        (("--principal", "User:a"), "--principal is for --format kafka-acls alone"),
        (("--format", "strimzi", "--principal", "User:a"), "--principal is for --format kafka-acls alone"),
        (("--format", "strimzi", "--json"), "--json and --header are for the table"),
        (("--format", "kafka-acls", "--header"), "--json and --header are for the table"),
    ],
)
def test_what_would_be_left_out_silently_is_refused(acls: Called, arguments: tuple[str, ...], said: str) -> None:
    """An administrator who names a principal does not read rights that are granted to nobody; nothing is written."""
    code, out, err = acls(*arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_no_secret_is_shown(acls: Called) -> None:
    """The password logs in, and stands in no line."""
    for form in ("table", "kafka-acls", "strimzi"):
        assert "tiger-lily" not in "".join(map(str, acls("--format", form)))
