"""The compose file: other people's schema takes it, each part starts with what it is given, and no secret is in it."""

import re
from pathlib import Path
from typing import Any

import pytest

from ops.local.broker.runtime import IMAGE
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from tests.support.checkout import ROOT
from tests.support.deployment import DEPLOY, filled_example, read_as_deployed, read_yaml, run
from tests.support.tools import tool

FILE = DEPLOY / "compose.yaml"
OURS = ("topics", "ingest", "process", "console", "reconcile")
SIGNING = {"process", "console", "reconcile"}
_VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::[-?][^}]*)?\}")


def services() -> dict[str, Any]:
    (document,) = read_yaml(FILE.read_text(encoding="utf-8"))
    found: dict[str, Any] = document["services"]
    return found


def environ(service: dict[str, Any]) -> dict[str, str]:
    given = filled_example()
    return {name: _VARIABLE.sub(lambda match: given[match[1]], value) for name, value in service["environment"].items()}


def test_the_compose_specification_takes_it() -> None:
    """Validated against the specification's own schema."""
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", FILE)


@pytest.mark.parametrize("name", OURS)
def test_every_part_starts_with_what_it_is_given(name: str, tmp_path: Path) -> None:
    """deploy/dropstream.toml and the service's own variables are a configuration without a fault."""
    given = environ(services()[name])
    if name == "console" and "console" not in Settings.model_fields:
        given = {key: value for key, value in given.items() if "CONSOLE__" not in key}
    text = (DEPLOY / "dropstream.toml").read_text(encoding="utf-8")
    read = read_as_deployed(text, given, folder=tmp_path, signing_secrets=name in SIGNING)
    assert set(read.endpoints) == {"shipstream-acme", "dreamship", "modern-dropship", "dropea-orders"}
    assert (read.kafka.bootstrap_servers, read.kafka.replication_factor) == ("kafka:9092", 1)


@pytest.mark.parametrize("endpoint", ["shipstream-acme", "dreamship", "modern-dropship", "dropea-orders"])
def test_one_provider_alone_is_enough(endpoint: str, tmp_path: Path) -> None:
    """With one table left, and the others' variables empty, every part starts; with its own empty, it is named."""
    whole = (DEPLOY / "dropstream.toml").read_text(encoding="utf-8")
    head, *tables = re.split(r"(?m)^(?=\[endpoints\.)", whole)
    (table,) = [one for one in tables if one.startswith(f"[endpoints.{endpoint}]")]
    own, others = (set(re.findall(r"env:([A-Z_]+)", one)) for one in (table, "".join(tables).replace(table, "")))
    for name in OURS:
        variables = environ(services()[name])
        given = {key: "" if key in others else value for key, value in variables.items()}
        signing = name in SIGNING
        read = read_as_deployed(head + table, given, folder=tmp_path, signing_secrets=signing)
        assert set(read.endpoints) == {endpoint}
    with pytest.raises(ConfigurationError) as caught:
        read_as_deployed(head + table, {}, folder=tmp_path)
    assert {name for name in own if name in str(caught.value)} == own


def test_a_variable_that_may_be_empty_stops_no_compose() -> None:
    """Compose itself asks only for what every installation needs: the console's token and Grafana's password."""
    text = FILE.read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{([A-Z_]+):\?", text)) == {"CONSOLE_TOKEN", "GRAFANA_PASSWORD"}


def test_every_variable_is_in_the_example_and_no_secret_is() -> None:
    """`.env.example` names all that the file asks for, and gives values to nothing but the address."""
    asked = set(_VARIABLE.findall(FILE.read_text(encoding="utf-8")))
    assert asked == set(filled_example())
    example = (DEPLOY / ".env.example").read_text(encoding="utf-8")
    given = [line for line in example.splitlines() if not line.startswith("#") and line.partition("=")[2]]
    assert given == ["PUBLISH_ADDRESS=127.0.0.1"]
    assert "deploy/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_only_who_verifies_knows_what_signs() -> None:
    """The ingress and the topics' job have tokens alone."""
    for name in ("topics", "ingest"):
        assert set(environ(services()[name])) == {"MODERN_DROPSHIP_TOKEN", "DROPEA_TOKEN"}


@pytest.mark.parametrize("name", OURS)
def test_no_part_may_do_what_it_need_not(name: str) -> None:
    """Nothing to write but volumes and memory, no capability, no way to more."""
    service = services()[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "user", "network_mode", "pid"} & set(service)


def test_images_are_pinned_by_version_and_name_no_registry() -> None:
    """The broker is the one that the tests run on."""
    images = {name: one["image"] for name, one in services().items()}
    assert images["kafka"] == IMAGE
    for image in images.values():
        assert re.fullmatch(r"[a-z]+(/[a-z]+)?:v?\d+\.\d+\.\d+", image), image


def test_only_webhooks_may_be_published_beyond_this_machine() -> None:
    """Every port is the loopback address's, but the ingress's, whose address a person chooses."""
    ports = {name: one["ports"] for name, one in services().items() if "ports" in one}
    assert ports.pop("ingest") == ["${PUBLISH_ADDRESS:-127.0.0.1}:8080:8080"]
    assert all(port.startswith("127.0.0.1:") for each in ports.values() for port in each)


def test_the_order_of_the_start_is_kafka_topics_and_then_the_rest() -> None:
    """Nothing of ours starts before the topics are there."""
    found = services()
    assert found["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    for name in ("ingest", "process", "console", "reconcile"):
        assert found[name]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}


def test_every_file_that_is_mounted_exists() -> None:
    """A missing one would become an empty folder, silently."""
    mounted = [volume for one in services().values() for volume in one.get("volumes", ())]
    sources = [one["source"] if isinstance(one, dict) else one.partition(":")[0] for one in mounted]
    files = [DEPLOY / source for source in sources if source.startswith("./")]
    assert len(files) > 6
    missing = {str(file.relative_to(ROOT)) for file in files if not file.exists()}
    assert not missing
