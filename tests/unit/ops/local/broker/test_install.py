"""What runs Kafka here is found, fetched whole or not at all, and its absence is explained."""

import os
import re
import shlex
from pathlib import Path

import pytest

from ops.local.broker.install import (
    SOURCE_FOLDER,
    Unavailable,
    find_kafka,
    maven_gist,
    read_java_version,
    repository_options,
)
from ops.local.broker.runtime import KAFKA_VERSION, DockerRuntime, JavaRuntime
from schemas.errors import DropstreamError

_JAVA_17 = """echo 'openjdk version "17.0.15" 2025-04-15' >&2"""
_JAVA_8 = """echo 'java version "1.8.0_402"' >&2"""


def _silent(_step: str) -> None:
    return


def _programs(folder: Path, **scripts: str) -> dict[str, str]:
    """An environment whose PATH has these shell scripts first, the shell's own tools, and nothing else."""
    folder.mkdir()
    for name, script in scripts.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    tools = folder / "tools"
    tools.mkdir()
    for tool in ("touch", "mkdir"):
        (tools / tool).symlink_to(f"/bin/{tool}")
    return {"PATH": f"{folder}:{tools}"}


@pytest.mark.parametrize(
    ("shown", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', ("17.0.15", 17)),
        ('openjdk version "21" 2023-09-19', ("21", 21)),
        ('java version "1.8.0_402"', ("1.8.0_402", 8)),
        ('openjdk version "25-ea" 2025-09-16', ("25-ea", 25)),
        ("No Java runtime present, requesting install.", None),
    ],
)
def test_java_version_is_read(shown: str, version: tuple[str, int] | None) -> None:
    """The version is read from what each generation of Java shows."""
    assert read_java_version(shown) == version


def test_maven_gist_is_the_reason() -> None:
    """Of Maven's output, the first error that says something is told."""
    output = "[INFO] Scanning\n[ERROR]\n[ERROR] Failed to execute goal: could not resolve x\n[ERROR] Re-run with -X\n"
    assert maven_gist(output) == "Failed to execute goal: could not resolve x"
    coloured = "\x1b[0m\x1b[0m[ERROR] Could not create local repository\n[ERROR] \n[ERROR] To see more, use -e\n"
    assert maven_gist(coloured) == "Could not create local repository"
    assert maven_gist("bash: broken\n") == "bash: broken"
    assert maven_gist("") == "it said nothing"


def test_a_user_without_a_home_can_fetch_kafka_too(tmp_path: Path) -> None:
    """Maven keeps its files in the person's home where there is one, else in the folder of the broker."""
    own = tmp_path / "maven"
    assert repository_options(tmp_path, own) == []
    assert repository_options(tmp_path / "nowhere", own) == [f"-Dmaven.repo.local={own}"]
    assert repository_options(None, own) == [f"-Dmaven.repo.local={own}"]


@pytest.mark.parametrize(
    ("scripts", "reason"),
    [
        ({}, "there is no Java 17 or newer, and Docker is missing"),
        ({"java": _JAVA_8}, r".*/java is Java 1\.8\.0_402, older than 17, and Docker is missing"),
        ({"java": "exit 1"}, r".*/java does not run, and Docker is missing"),
        ({"java": _JAVA_17}, r"there is Java, but Maven \(mvn\) is missing, and Docker is missing"),
        ({"docker": "exit 1"}, "there is no Java 17 or newer, and no Docker daemon answers"),
    ],
)
async def test_missing_programs_are_named(tmp_path: Path, scripts: dict[str, str], reason: str) -> None:
    """Where Kafka cannot run, the reason names every program that is missing or too old."""
    found = await find_kafka(tmp_path / "cache", environ=_programs(tmp_path / "bin", **scripts), progress=_silent)
    assert isinstance(found, Unavailable)
    assert re.fullmatch(reason, found.reason)


async def test_failed_maven_leaves_nothing_to_use(tmp_path: Path) -> None:
    """A failed download is told with Maven's reason and log, and the next run fetches anew."""
    cache = tmp_path / "cache"
    failing = "echo '[ERROR] Could not transfer artifact: timed out'; exit 1"
    environ = _programs(tmp_path / "failing", java=_JAVA_17, mvn=failing)
    with pytest.raises(DropstreamError, match=r"could not fetch Apache Kafka: Could not transfer .*timed out") as told:
        await find_kafka(cache, environ=environ, progress=_silent)
    assert str(cache / "maven.log") in str(told.value)
    assert not (cache / KAFKA_VERSION).exists()
    (cache / f"{KAFKA_VERSION}.partial" / "old.jar").touch()
    working = 'for word in "$@"; do case $word in -DoutputDirectory=*) touch "${word#*=}/kafka_2.13-x.jar";; esac; done'
    environ = _programs(tmp_path / "working", java=_JAVA_17, mvn=working)
    found = await find_kafka(cache, environ=environ, progress=_silent)
    assert found == JavaRuntime(str(tmp_path / "working" / "java"), "17.0.15", cache / KAFKA_VERSION)
    assert [jar.name for jar in (cache / KAFKA_VERSION).iterdir()] == ["kafka_2.13-x.jar"]


async def test_docker_stands_in_for_java(tmp_path: Path) -> None:
    """Without Java the official image is pulled once and used, as this user unless Docker is rootless."""
    pulled = shlex.quote(str(tmp_path / "pulled"))
    docker = f"""case $1 in
        info) echo '[name=seccomp]' ;;
        image) test -e {pulled} ;;
        pull) test "$2" = apache/kafka:{KAFKA_VERSION} && touch {pulled} ;;
    esac"""
    environ = _programs(tmp_path / "bin", docker=docker)
    found = await find_kafka(tmp_path / "cache", environ=environ, progress=_silent)
    assert found == DockerRuntime(str(tmp_path / "bin" / "docker"), f"{os.getuid()}:{os.getgid()}")
    assert (tmp_path / "pulled").exists()


def test_pom_and_code_name_one_version() -> None:
    """The version of the jars is the version of the image and of the cache folder."""
    assert f"<kafka.version>{KAFKA_VERSION}</kafka.version>" in (SOURCE_FOLDER / "pom.xml").read_text(encoding="utf-8")
