"""The package as another user has it: out of a wheel, in a folder that is not theirs, from a folder of their own."""

import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ops.local.broker.install import state_folder
from tests.support.checkout import ROOT

_PACKAGES = ("schemas/", "ingest/", "processors/", "ops/")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the wheel, unpacked as an installer does, readable alone."""
    built = tmp_path_factory.mktemp("wheel")
    source = built / "source"
    # Built from a copy: setuptools writes its folders beside the sources.
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    names = [name for name in listed.stdout.decode().splitlines() if name.startswith(_PACKAGES) or "/" not in name]
    for name in names:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built))
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True, capture_output=True)
    (wheel,) = built.glob("*.whl")
    place = built / "site-packages"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(place)
    for path in place.rglob("*"):
        path.chmod(stat.S_IREAD | stat.S_IXUSR)
    place.chmod(stat.S_IREAD | stat.S_IXUSR)
    return place


def program(
    site: Path, here: Path, *arguments: str, path: str = "", **environ: str
) -> "subprocess.CompletedProcess[str]":
    """`dropstream` of the wheel in the folder `here`, which finds the programs of `path` alone."""
    variables = {"PATH": path, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(here), **environ}
    return subprocess.run(
        [sys.executable, "-P", "-m", "ops", *arguments],
        cwd=here,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_file_that_is_no_code_is_in_the_wheel(site: Path) -> None:
    """Pages, styles, schemas, examples and the broker's files: what git has beside the code."""
    listed = subprocess.run(["git", "ls-files", *_PACKAGES], cwd=ROOT, capture_output=True, check=True, text=True)
    beside = {name for name in listed.stdout.splitlines() if not name.endswith((".py", "/README.md"))}
    # What older versions promised is for the test of compatibility.
    beside = {name for name in beside if not name.startswith("schemas/json/released/")}
    assert len(beside) > 30
    assert sorted(name for name in beside if not (site / name).is_file()) == []
    assert not list(site.glob("tests*"))


def contents(site: Path) -> set[str]:
    return {str(path.relative_to(site)) for path in site.rglob("*")}


def test_what_it_makes_lies_in_the_folder_of_the_person(site: Path, tmp_path: Path) -> None:
    """State goes to the current folder, or to XDG_STATE_HOME, and never beside the packages."""
    before = contents(site)
    shown = program(site, tmp_path, "kafka", "status")
    assert (shown.returncode, shown.stdout) == (1, f"no broker on {tmp_path}/.dropstream/broker\n")
    elsewhere = program(site, tmp_path, "kafka", "status", XDG_STATE_HOME=str(tmp_path / "state"))
    assert elsewhere.stdout == f"no broker on {tmp_path}/state/dropstream/broker\n"
    assert "Traceback" not in program(site, tmp_path, "up", "--once").stderr
    assert (tmp_path / ".dropstream").is_dir()
    assert contents(site) == before


def test_what_is_missing_for_a_local_broker_is_what_is_missing(site: Path, tmp_path: Path) -> None:
    """Without Java and Docker it says so; with a Java it does not ask for one, and a wheel has all else."""
    neither = program(site, tmp_path, "kafka", "start")
    assert neither.returncode == 1
    assert "there is no Java 17 or newer, and Docker is missing" in neither.stderr
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.15\"' >&2\n")
    java.chmod(0o755)
    with_java = program(site, tmp_path, "kafka", "start", path=str(java.parent))
    assert "there is Java, but Maven (mvn) is missing" in with_java.stderr
    assert "Traceback" not in neither.stderr + with_java.stderr
    assert (site / "ops" / "local" / "broker" / "kafka" / "pom.xml").is_file()


def test_another_program_s_schemas_is_one_sentence(site: Path, tmp_path: Path) -> None:
    """A package of the same name that Python would load first is named, with the way out, and no traceback."""
    foreign = tmp_path / "theirs" / "schemas"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").write_text("")
    ended = program(site, tmp_path, "doctor", PYTHONPATH=f"{foreign.parent}{os.pathsep}{site}")
    assert ended.returncode == 2
    assert ended.stderr == (
        f"error: Python finds another schemas before that of dropstream: {foreign}\n"
        "Take its folder out of PYTHONPATH, or install dropstream into a virtual environment of its own.\n"
    )


def test_a_checkout_keeps_its_state_in_itself(tmp_path: Path) -> None:
    """From a checkout it is the checkout's folder, wherever one calls it; a relative XDG_STATE_HOME does not count."""
    (tmp_path / "pyproject.toml").touch()
    here = tmp_path / "here"
    assert state_folder(tmp_path, {"XDG_STATE_HOME": "/state"}, here) == tmp_path / ".dropstream"
    assert state_folder(here, {"XDG_STATE_HOME": "state"}, here) == here / ".dropstream"
