"""Registers the schemas in a registry: what under which subject, once, and never on a guess of what it answers."""

import json
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import encode_basic_auth, web
from jsonschema import Draft7Validator, Draft202012Validator

from ops.docs.channels import CHANNELS
from ops.docs.examples import examples
from ops.docs.json_schema import schemas
from ops.docs.registration import as_draft_7, planned_subjects
from ops.docs.registry import RegistryAccess, RegistryError, checked_registry_url, open_registry
from tests.support.programs import VerbResult, verb
from tests.unit.ops.docs.confluent_registry import confluent_registry

SUBJECTS = [
    "dropstream.orders-value",
    "dropstream.inventory-value",
    "dropstream.catalog-value",
    "dropstream.incidents-value",
    "dropstream.other-value",
    "dropstream.gaps-value",
    "dropstream.duplicates-value",
    "dropstream.sequence-value",
    "dropstream.acts-value",
]
SECRETS = {"PASSWORD": "made-up-password", "TOKEN": "made-up-token"}


async def register(folder: Path, url: str, *arguments: str) -> VerbResult:
    """`dropstream schemas register`, as a program with a configuration of its own."""
    configuration = folder / "dropstream.toml"
    configuration.write_text('[kafka]\nbootstrap_servers = "127.0.0.1:1"\n', encoding="utf-8")
    command = ("schemas", "register", "--registry", url, "--config", str(configuration), *arguments)
    return await verb(*command, environ=SECRETS)


def test_every_topic_with_a_schema_has_a_subject_of_its_name() -> None:
    """The prefix is that of the topics, and raw and rejected, whose values are bytes, have none."""
    assert [one.subject for one in planned_subjects("dropstream.")] == SUBJECTS
    assert planned_subjects("acme.")[0].subject == "acme.orders-value"


@pytest.mark.parametrize("name", sorted(schemas()))
def test_draft_7_says_the_same(name: str) -> None:
    """Every real record is valid by both drafts, and what one refuses the other refuses."""
    newest = schemas()[name]
    old = as_draft_7(newest)
    Draft7Validator.check_schema(old)
    text = json.dumps(old)
    assert "$defs" not in text
    assert '"examples"' not in text
    assert beside_references(old) == []
    topic = next(one.topic for one in CHANNELS if f"{one.schema}.v1.json" == name)
    assert examples()[topic]
    for record in examples()[topic]:
        value = json.loads(record.value)
        for changed in (value, {**value, "data": 7}, *({**value, field: ["wrong"]} for field in value)):
            assert Draft7Validator(old).is_valid(changed) == Draft202012Validator(newest).is_valid(changed)


def beside_references(value: Any) -> list[set[str]]:
    """What stands beside a reference, which draft 7 ignores."""
    if isinstance(value, list):
        return [found for one in value for found in beside_references(one)]
    if not isinstance(value, Mapping):
        return []
    mine = [set(value) - {"$ref"}] if isinstance(value.get("$ref"), str) and len(value) > 1 else []
    return mine + [found for one in value.values() for found in beside_references(one)]


async def test_it_registers_once(tmp_path: Path) -> None:
    """A dry run writes nothing, a first call all of it, a second call nothing; levels that stand are left."""
    async with confluent_registry() as registry:
        registry.levels["dropstream.gaps-value"] = "FULL"
        dry = await register(tmp_path, registry.url, "--dry-run", "--json")
        assert registry.writes == []
        assert [(one["subject"], one["outcome"]) for one in dry.rows] == [(one, "would register") for one in SUBJECTS]
        first = await register(tmp_path, registry.url, "--json")
        assert (first.code, first.errors) == (0, "")
        assert first.rows[0] == {
            "subject": "dropstream.orders-value",
            "outcome": "registered",
            "version": 1,
            "id": 100,
            "compatibility": "FORWARD_TRANSITIVE",
            "detail": "level set to FORWARD_TRANSITIVE",
        }
        assert registry.levels["dropstream.gaps-value"] == "FULL"
        written = list(registry.writes)
        assert len(written) == 17
        second = await register(tmp_path, registry.url)
        assert second.output.splitlines()[0] == "dropstream.orders-value\tunchanged\t1\t100\tFORWARD_TRANSITIVE\t"
        assert registry.writes == written
        third = await register(tmp_path, registry.url, "--compatibility", "FULL")
        assert third.output.splitlines()[0].endswith("\tFULL\tlevel set from FORWARD_TRANSITIVE to FULL")
        assert set(registry.levels.values()) == {"FULL"}


async def test_a_schema_that_is_refused_fails_the_call_and_no_other_schema(tmp_path: Path) -> None:
    """Each is named with the registry's reason, in a dry run too; the others are registered."""
    async with confluent_registry() as registry:
        registry.versions["dropstream.other-value"] = ['{"type":"object"}']
        registry.levels["dropstream.other-value"] = "BACKWARD"
        registry.objections["dropstream.other-value"] = ["PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL"]
        for arguments in (("--dry-run", "--json"), ("--json",)):
            result = await register(tmp_path, registry.url, *arguments)
            assert result.code == 1
            row = next(one for one in result.rows if one["subject"] == "dropstream.other-value")
            assert row["outcome"] == "refused"
            assert "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL" in row["detail"]
            assert result.errors == (
                "error: the registry refuses dropstream.other-value by its compatibility level; "
                "FORWARD_TRANSITIVE is what version 1 promises (--compatibility)\n"
            )
        assert len(registry.versions) == len(SUBJECTS)


async def test_a_registry_that_goes_half_way_loses_nothing_that_is_known(tmp_path: Path) -> None:
    """What was registered is shown, the call fails and says how far it came; called again it does the rest."""
    async with confluent_registry() as registry:
        # Each subject is written twice: its level, and its schema.
        registry.odd, registry.writes_max = web.Response(status=503, text='{"message": "made-up outage"}'), 4
        broken = await register(tmp_path, registry.url, "--json")
        assert broken.code == 1
        assert [(one["subject"], one["outcome"]) for one in broken.rows] == [(SUBJECTS[0], "registered")]
        assert "made-up outage" in broken.errors
        assert "failed after 1 of 9 subjects: what is registered stays; call it again for the rest" in broken.errors
        registry.odd = None
        again = await register(tmp_path, registry.url, "--json")
        assert (again.code, again.errors) == (0, "")
        assert {one["subject"]: one["outcome"] for one in again.rows} == {
            **dict.fromkeys(SUBJECTS[:2], "unchanged"),
            **dict.fromkeys(SUBJECTS[2:], "registered"),
        }


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>welcome</html>", "answers HTTP 200 without JSON, so it is no schema registry: check --registry"),
        (200, b"{}", "answers HTTP 200 without a compatibility level, so it is no schema registry"),
        (200, b"[]", "answers HTTP 200 without a compatibility level, so it is no schema registry"),
        (204, b"", "answers HTTP 204 without JSON"),
        (302, b"", "sends elsewhere (HTTP 302)"),
        (401, b"", "denies access (HTTP 401): it wants a login"),
        (404, b'{"error_code":404,"message":"no such page"}', "answers HTTP 404 without a compatibility level"),
        (404, b'{"error_code":40402,"message":"no such version"}', "refused (error 40402): no such version"),
        (502, b"<html>bad gateway</html>", "failed (HTTP 502): without a reason"),
        (500, b'{"error_code":50001,"message":"the\\u001b[31m store"}', "failed (HTTP 500): the\ufffd[31m store"),
        (200, b'"' + b"x" * 4_200_000 + b'"', "answers more than 4194304 bytes"),
    ],
)
async def test_an_odd_answer_is_told_and_nothing_is_written(status: int, body: bytes, said: str) -> None:
    """Whatever answers instead of a registry, or as a broken one, is an error that says what came."""
    async with confluent_registry() as registry:
        registry.odd = web.Response(status=status, body=body)
        async with open_registry(RegistryAccess(registry.url)) as opened:
            with pytest.raises(RegistryError) as error:
                await opened.level("dropstream.orders-value")
        assert said in str(error.value)
        assert registry.url in str(error.value)
        assert registry.writes == []


@pytest.mark.parametrize(
    ("method", "arguments", "body"),
    [
        ("find", ("s", "{}"), {"version": 1}),
        ("find", ("s", "{}"), {"version": True, "id": 1}),
        ("versions", ("s",), {"versions": [1]}),
        ("versions", ("s",), ["1"]),
        ("objections", ("s", "{}"), {"is_compatible": "yes"}),
        ("register", ("s", "{}"), {"id": "7"}),
        ("set_level", ("s", "FULL"), {"compatibility": "NONE"}),
    ],
)
async def test_half_an_answer_is_none(method: str, arguments: tuple[str, ...], body: object) -> None:
    """An answer without what was asked for, or of another type, is never taken for one."""
    async with confluent_registry() as registry:
        registry.odd = web.json_response(body)
        async with open_registry(RegistryAccess(registry.url)) as opened:
            with pytest.raises(RegistryError):
                await getattr(opened, method)(*arguments)


def self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 that nobody else has signed, and a server's side of TLS with it."""
    certificate, key = folder / "tls.pem", folder / "tls.key"
    options = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    names = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    command = ["openssl", "req", *options, *names, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    return certificate, tls


async def test_a_login_goes_over_tls_alone(tmp_path: Path) -> None:
    """Basic and bearer work with the authority that is named; without it, or in clear, nothing is sent."""
    certificate, tls = self_signed(tmp_path)
    basic = ("--user", "ann", "--password", "env:PASSWORD")
    async with confluent_registry(tls) as registry:
        registry.authorization = encode_basic_auth("ann", "made-up-password", "utf-8")
        assert (await register(tmp_path, registry.url, *basic, "--ca-file", str(certificate))).code == 0
        registry.authorization = "Bearer made-up-token"
        token = ("--token", "env:TOKEN", "--ca-file", str(certificate), "--dry-run")
        assert (await register(tmp_path, registry.url, *token)).code == 0
        denied = await register(tmp_path, registry.url, *basic, "--ca-file", str(certificate))
        assert denied.errors == (
            f"error: the schema registry at {registry.url} denies access (HTTP 401): check the login and its rights\n"
        )
        stranger = await register(tmp_path, registry.url, *basic)
        assert "is not trusted here, so nothing was sent: name its authority with --ca-file" in stranger.errors
    clear = await register(tmp_path, "http://registry.example:8081", *basic)
    assert (clear.code, clear.errors.startswith("error: http://registry.example:8081 is not encrypted")) == (2, True)
    for result in (denied, stranger, clear):
        assert "made-up" not in result.errors + result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--user", "ann"), "--user and --password belong together"),
        (("--token", "env:TOKEN", "--user", "ann", "--password", "env:PASSWORD"), "--token is a login of its own"),
        (("--token", "env:NOBODY"), "the login at the registry: the environment has no NOBODY"),
        (("--compatibility", "SOMETIMES"), "is none of: NONE, BACKWARD, BACKWARD_TRANSITIVE, FORWARD"),
    ],
)
async def test_a_wrong_call_ends_with_2(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """The sentence says what does not fit, before anything is sent."""
    result = await register(tmp_path, "http://127.0.0.1:1", *arguments)
    assert result.code == 2
    assert said in " ".join(result.errors.split())


@pytest.mark.parametrize("text", ["registry.example", "ftp://registry.example", "https://ann:secret@registry.example"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    """Without repeating it, for it may hold a password."""
    with pytest.raises(ValueError, match=r"https://registry|--user") as error:
        checked_registry_url(text)
    assert "secret" not in str(error.value)
