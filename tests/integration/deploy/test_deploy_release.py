"""What a release is made by: the workflow files, the targets that they call, and what those targets make.

A workflow runs nowhere but at its host; here it is held to the host's own schema, and to everything of this repository
that it names.
"""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import TOPICS
from tests.support.checkout import ROOT
from tests.support.deployment import CHART, DEPLOY, quiet_environment, read_yaml, run
from tests.support.tools import tool

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}")

every_workflow = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)


def jobs(file: Path) -> dict[str, Any]:
    (document,) = read_yaml(file.read_text(encoding="utf-8"))
    found: dict[str, Any] = document["jobs"]
    return found


def steps(file: Path) -> Iterator[Any]:
    for job in jobs(file).values():
        yield from job.get("steps", ())


def scripts(file: Path) -> list[str]:
    return [step["run"] for step in steps(file) if "run" in step]


@every_workflow
def test_the_host_takes_every_workflow(file: Path) -> None:
    """Validated against the schema of its host."""
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", file)


def test_the_host_takes_the_list_of_what_is_kept_up_to_date() -> None:
    """And the folders in it are there."""
    file = ROOT / ".github" / "dependabot.yml"
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.dependabot", file)
    (document,) = read_yaml(file.read_text(encoding="utf-8"))
    folders = [folder for one in document["updates"] for folder in one.get("directories", [one.get("directory")])]
    assert [folder for folder in folders if not (ROOT / folder.lstrip("/")).is_dir()] == []


@every_workflow
def test_every_target_that_a_workflow_calls_exists(file: Path) -> None:
    """`make X` of a step is a target of the Makefile."""
    called = set(re.findall(r"\bmake ([a-z]+)", "\n".join(scripts(file))))
    assert called
    assert called <= TARGETS


@every_workflow
def test_every_script_of_a_workflow_is_one_for_bash(file: Path) -> None:
    """Each reads as a shell reads it, and takes no text of a stranger into itself."""
    for script in scripts(file):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        assert not _EXPRESSION.search(script), "give it by `env`, which no text can leave"


@every_workflow
def test_a_workflow_may_do_what_it_needs_and_ends(file: Path) -> None:
    """Reading alone is its own right; a job that needs more names it, and no job runs without a bound."""
    (document,) = read_yaml(file.read_text(encoding="utf-8"))
    assert document["permissions"] == {"contents": "read"}
    for name, job in document["jobs"].items():
        assert "uses" in job or job["timeout-minutes"] <= 60, name
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= document["jobs"].keys()
        writes = {right for right, level in job.get("permissions", {}).items() if level == "write"}
        assert writes <= {"id-token", "attestations", "contents"}
        assert ("contents" in writes) is (name == "release")
    assert "pull_request_target" not in file.read_text(encoding="utf-8")


@every_workflow
def test_every_action_has_a_version(file: Path) -> None:
    """A major version or a commit, never a branch that moves; those of this repository are there."""
    used = [step["uses"] for step in steps(file) if "uses" in step]
    used += [job["uses"] for job in jobs(file).values() if "uses" in job]
    assert used
    for one in used:
        if one.startswith("./"):
            assert (ROOT / one).is_file()
        else:
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|[0-9a-f]{40}|release/v\d+)", one), one


def test_nothing_is_published_before_everything_passed() -> None:
    """Tests, then what is built, then the image; a publication needs both."""
    found = jobs(WORKFLOWS[-1])
    assert found["build"]["needs"] == "check"
    assert found["check"]["uses"] == "./.github/workflows/ci.yml"
    assert found["image"]["needs"] == "build"
    for name in ("publish", "release"):
        assert found[name]["needs"] == ["build", "image"]
        assert "(needs.image.result == 'success' || needs.image.result == 'skipped')" in found[name]["if"]


def test_the_image_is_for_two_architectures_and_stands_on_a_digest() -> None:
    """With its provenance and its bill of materials; the Dockerfile takes what the workflow gives."""
    (build,) = [one for one in steps(WORKFLOWS[-1]) if one.get("uses", "").startswith("docker/build-push-action@")]
    given = build["with"]
    assert given["platforms"] == "linux/amd64,linux/arm64"
    assert (given["provenance"], given["sbom"], given["push"]) == ("mode=max", True, True)
    # A chart without a tag of its own asks for its appVersion, which has no `v`.
    assert given["tags"] == "${{ env.IMAGE }}:${{ steps.version.outputs.number }}"
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    arguments = dict(line.split("=", 1) for line in given["build-args"].splitlines())
    assert set(arguments) <= set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
    assert arguments["PYTHON_IMAGE"] == "${{ steps.base.outputs.image }}"
    base = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", text, re.MULTILINE)
    assert base
    assert jobs(WORKFLOWS[-1])["image"]["env"]["BASE"] == base[1]
    assert 'org.opencontainers.image.base.name="${PYTHON_IMAGE}"' in text


def test_the_bill_of_materials_is_attested_by_the_path_that_it_has() -> None:
    """The action reads its predicate from one path, knows no pattern, and the file there is that of `make sbom`."""
    (attested,) = [one["with"] for one in steps(WORKFLOWS[-1]) if "cyclonedx" in json.dumps(one.get("with", ""))]
    assert attested["predicate-type"] == "https://cyclonedx.org/bom"
    assert attested["predicate-path"] == "${{ steps.bill.outputs.file }}"
    (named,) = [one["run"] for one in steps(WORKFLOWS[-1]) if one.get("id") == "bill"]
    assert "file=dist/dropstream-${GITHUB_REF_NAME#v}.cdx.json" in named
    assert "dist/dropstream-$(VERSION).cdx.json" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_one_version_is_written_everywhere() -> None:
    """Package, chart, image, compose file and the example of values say the same, and a tag must say it too."""
    version = PROJECT["version"]
    (chart,) = read_yaml((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert f"ARG VERSION={version}\n" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert f"image: dropstream:{version}\n" in (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert f"tag: {version}\n" in (CHART / "values-managed-kafka.yaml").read_text(encoding="utf-8")
    assert make("tagged", f"TAG=v{version}") == (0, "")
    code, said = make("tagged", "TAG=v99.0.0")
    assert code != 0
    assert said.startswith(f"the tag is v99.0.0, and pyproject.toml says {version}\n")


def make(*arguments: str, folder: Path = ROOT) -> tuple[int, str]:
    """The exit code and what was said against it."""
    done = subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, check=False, env=quiet_environment()
    )
    return done.returncode, done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the targets read, in a folder where they may write."""
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    (tmp_path / ".dropstream").mkdir()
    (tmp_path / ".dropstream" / "tools").symlink_to(ROOT / ".dropstream" / "tools")
    return tmp_path


def test_the_bill_of_materials_has_every_pinned_package(copy: Path) -> None:
    """Each by name, version, address and hashes; made twice, it is the same."""
    tool("cyclonedx-py")
    version = PROJECT["version"]
    file = copy / "dist" / f"dropstream-{version}.cdx.json"
    texts = []
    for _ in range(2):
        assert make("sbom", folder=copy)[0] == 0
        texts.append(file.read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    bill = json.loads(texts[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert (bill["metadata"]["component"]["name"], bill["metadata"]["component"]["version"]) == ("dropstream", version)
    pinned = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted((one["name"], one["version"]) for one in bill["components"]) == sorted(pinned)
    for one in bill["components"]:
        assert one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}"
        assert {found["alg"] for reference in one["externalReferences"] for found in reference["hashes"]} == {"SHA-256"}


def test_the_chart_is_packed_with_all_that_it_reads(copy: Path) -> None:
    """Templates, values, schema, the table of topics, alarms and dashboard are in the package."""
    tool("helm")
    assert make("chart", folder=copy)[0] == 0
    package = copy / "dist" / f"dropstream-{PROJECT['version']}.tgz"
    values = copy / "values.yaml"
    values.write_text("settings: {endpoints: {shop: {provider: shipstream, secrets: ['env:S']}}}\n", encoding="utf-8")
    strimzi = ("--set", "topics.strimzi.enabled=true,topics.strimzi.cluster=events,monitoring.rules.enabled=true")
    said = run(tool("helm"), "template", "shop", package, "--kube-version", "1.33.0", "--values", values, *strimzi)
    assert len([one for one in read_yaml(said) if one["kind"] == "KafkaTopic"]) == len(TOPICS)
    (rules,) = [one["spec"] for one in read_yaml(said) if one["kind"] == "PrometheusRule"]
    assert rules["groups"]
