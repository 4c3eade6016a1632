"""The house stays as it is drawn: who imports whom, what `schemas` may touch, and what no file may say."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.local.broker.runtime import KAFKA_VERSION
from tests.support.checkout import ROOT

MAY_IMPORT = {
    "schemas": set(),
    "ingest": {"schemas"},
    "processors": {"schemas"},
    "ops": {"schemas", "ingest", "processors"},
    "tests": {"schemas", "ingest", "processors", "ops"},
}
# `schemas` is data: nothing that opens a socket, reads a clock or starts a program.
IMPURE = {"asyncio", "socket", "subprocess", "time", "random", "os", "aiohttp", "threading"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_import_arrows_point_one_way(package: str) -> None:
    """A package imports itself, third parties, and only those of ours that the drawing allows."""
    for path in modules(package):
        ours = {name.partition(".")[0] for name in imports(path)} & set(MAY_IMPORT)
        assert ours <= MAY_IMPORT[package] | {package}, path


def test_ports_of_tests_come_from_one_place() -> None:
    """Tests beside each other never find the same port: `tests/support/ports.py` alone gives one to a program."""
    searchers = {path.relative_to(ROOT) for path in modules("tests") if "find_free_ports" in path.read_text("utf-8")}
    # The second tests the search itself, of the product.
    assert searchers - {Path("tests/unit/house/test_house.py")} == {Path("tests/unit/ops/local/broker/test_runtime.py")}


def hurries(path: Path) -> Iterator[int]:
    """The lines that give a wait a number of seconds of its own, or call a time too long by a number."""
    clocks = {"monotonic", "perf_counter", "process_time", "time"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            given = [*(node.args if name in {"timeout", "wait_for"} else ())]
            given += [one.value for one in node.keywords if one.arg == "timeout"]
            if any(isinstance(one, ast.Constant) and isinstance(one.value, int | float) for one in given):
                yield node.lineno
        if isinstance(node, ast.Compare) and isinstance(node.ops[-1], ast.Lt | ast.LtE):
            measured = any(isinstance(one, ast.Attribute) and one.attr in clocks for one in ast.walk(node))
            if measured and isinstance(node.comparators[-1], ast.Constant):
                yield node.lineno


def test_no_test_is_in_a_hurry() -> None:
    """Waits end with their condition or with `PATIENCE_S`, and no test fails because something took a second more."""
    judged = [path for path in modules("tests") if not {"bench", "chaos"} & set(path.parts)]
    assert [f"{path.relative_to(ROOT)}:{line}" for path in judged for line in hurries(path)] == []


def test_no_wait_loses_a_cancellation() -> None:
    """Python 3.11's `asyncio.wait_for` can swallow the cancellation of its task; `asyncio.timeout` does not."""
    packages = (*MAY_IMPORT, "tests")
    users = {
        path for package in packages for path in modules(package) if "asyncio.wait_for(" in path.read_text("utf-8")
    }
    assert users == {Path(__file__)}


def test_schemas_are_pure() -> None:
    """Nothing in `schemas` touches a socket, a clock, the environment or another process.

    But for `schemas/kafka`: it holds the workarounds of aiokafka that ingress, processors and tools share, it opens and
    ends their clients, and so it must lie below all three.
    """
    edge = ROOT / "schemas" / "kafka"
    for path in (path for path in modules("schemas") if not path.is_relative_to(edge)):
        assert not {name.partition(".")[0] for name in imports(path)} & IMPURE, path


def private_names(path: Path) -> Iterator[str]:
    """The private attributes that a file reads from what is not its own object or class."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
            owner = node.value
            if not (isinstance(owner, ast.Name) and owner.id in {"self", "cls", "other"}):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.attr}"


def test_private_names_of_aiokafka_are_in_one_place() -> None:
    """Only `schemas/kafka` knows aiokafka from inside, so that one page says what to read again at its next version."""
    edge = ROOT / "schemas" / "kafka"
    product = [path for package in ("schemas", "ingest", "processors", "ops") for path in modules(package)]
    outside = [path for path in product if not path.is_relative_to(edge)]
    clients = [path for path in outside if any(name.partition(".")[0] == "aiokafka" for name in imports(path))]
    assert [name for path in clients for name in private_names(path)] == []
    assert not [path for path in clients if "SLF001" in path.read_text(encoding="utf-8")]
    inside = {"aiokafka.protocol", "aiokafka.producer", "aiokafka.consumer", "aiokafka.coordinator"}
    assert not [path for path in clients for name in imports(path) if ".".join(name.split(".")[:2]) in inside]


def test_every_private_name_of_aiokafka_is_explained() -> None:
    """What `schemas/kafka` reads behind aiokafka's public names stands on its page."""
    page = (ROOT / "schemas" / "kafka" / "README.md").read_text(encoding="utf-8")
    for path in modules("schemas/kafka"):
        for name in private_names(path):
            assert f"{name.partition(' ')[2]}`" in page or f"{name.partition(' ')[2]}." in page, name


def test_answers_with_errors_are_read_in_one_place() -> None:
    """Calls of aiokafka that give an answer's error as data, or as nothing, stand in `schemas/kafka` alone."""
    swallowing = {
        "committed",
        "describe_configs",
        "describe_consumer_groups",
        "describe_topics",
        "list_consumer_group_offsets",
        "list_topics",
    }
    outside = [path for package in ("ingest", "processors", "ops") for path in modules(package)]
    calls = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.func.attr}"
        for path in outside
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in swallowing
    }
    # librdkafka's, whose list is whole or an error.
    assert {one for one in calls if not one.startswith("ops/local/broker/memory.py")} == set()


def test_providers_do_not_know_each_other() -> None:
    """A provider is one file or one folder that stands alone, so that a fifth is one more."""
    folder = ROOT / "processors" / "providers"
    for path in modules("processors/providers"):
        own = f"processors.providers.{path.relative_to(folder).parts[0].removesuffix('.py')}."
        others = [name for name in imports(path) if name.startswith("processors.providers")]
        assert not [name for name in others if not f"{name}.".startswith(own)], path


def test_locks_name_no_index() -> None:
    """The pinned dependencies carry name, version and hash, and no address."""
    for lock in (*ROOT.glob("requirements*.txt"), ROOT / "examples" / "python" / "requirements.txt"):
        text = lock.read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "--index" not in text
        assert "--find-links" not in text
    for lock in (ROOT / "examples" / "node", ROOT / "deploy" / "tools" / "quicktype"):
        packages = json.loads((lock / "package-lock.json").read_text(encoding="utf-8"))["packages"]
        mine = packages.pop("")
        assert mine["dependencies"] == {
            name: packages[f"node_modules/{name}"]["version"] for name in mine["dependencies"]
        }
        assert all(one["integrity"].startswith("sha512-") and "resolved" not in one for one in packages.values())


def test_every_tracked_python_file_belongs_to_a_package() -> None:
    """There is no room that the drawing does not show."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name.partition("/")[0] for name in listed.stdout.split()} <= set(MAY_IMPORT) | {"examples"}


def test_examples_stand_alone() -> None:
    """Who copies an example needs nothing of ours but what lies beside it."""
    for path in modules("examples"):
        assert not {name.partition(".")[0] for name in imports(path)} & set(MAY_IMPORT), path


def test_examples_use_the_versions_that_are_tested() -> None:
    """The Python example's pins are ours, and the Java example's Kafka is the broker's."""
    ours = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pins = re.findall(
        r"^\S+==\S+", (ROOT / "examples" / "python" / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert "aiokafka" in {pin.partition("==")[0] for pin in pins}
    assert all(f"\n{pin} " in f"\n{ours}" for pin in pins)
    pom = (ROOT / "examples" / "java" / "pom.xml").read_text(encoding="utf-8")
    assert f"<artifactId>kafka-clients</artifactId>\n      <version>{KAFKA_VERSION}</version>" in pom
    addresses = set(re.findall(r"https?://[^\s<\"]+", pom))
    assert addresses == {"http://maven.apache.org/POM/4.0.0"}
