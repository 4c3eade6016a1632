"""Finds or fetches what runs Apache Kafka here: jars by Maven for a Java 17 or newer, else the official Docker image.

The answer is a `Runtime`, or `Unavailable` with the reason, for the caller to choose the in-memory broker. What was
fetched once is kept in the state folder; a folder there is complete or absent, never half filled.
"""

import asyncio
import os
import pwd
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.local.broker.runtime import IMAGE, KAFKA_VERSION, DockerRuntime, JavaRuntime, Runtime
from ops.local.broker.tool import locked, run_tool
from schemas.errors import DropstreamError

CHECKOUT = Path(__file__).resolve().parents[3]
SOURCE_FOLDER = Path(__file__).resolve().with_name("kafka")
# Maven colours what it says even where nobody sees it.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def state_folder(root: Path, environ: Mapping[str, str], here: Path) -> Path:
    """Where broker, secrets and logs of a local system lie; `root` is the folder that the packages were loaded from.

    In a checkout that is `.dropstream` of the checkout. An installed package's folder is not ours to write: then it is
    `$XDG_STATE_HOME/dropstream` where that variable is set, else `.dropstream` in the current folder `here`.
    https://specifications.freedesktop.org/basedir-spec/latest/
    """
    if (root / "pyproject.toml").is_file():
        return root / ".dropstream"
    home = environ.get("XDG_STATE_HOME", "")
    # The specification: a relative path is to be ignored.
    return Path(home) / "dropstream" if home.startswith("/") else here / ".dropstream"


STATE_FOLDER = state_folder(CHECKOUT, os.environ, Path.cwd())

_JAVA_OLDEST = 17
_ASK_TIMEOUT_S = 20.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Java:
    path: str
    version: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The answer where Kafka cannot run here; `reason` is a clause that says what is missing."""

    reason: str


async def find_kafka(
    cache: Path, *, environ: Mapping[str, str], progress: Progress, version: str = KAFKA_VERSION
) -> Runtime | Unavailable:
    """The runtime for Kafka on this machine; fetched into `cache` once, also for several processes.

    Another `version` than ours needs Java with Maven.

    Raises:
        DropstreamError: Maven or Docker is there but could not fetch Kafka; names the log.
    """
    java = await _find_java(environ)
    if isinstance(java, _Java):
        jars = cache / version
        maven = shutil.which("mvn", path=environ.get("PATH"))
        if _complete(jars) or maven:
            await _fetch_jars(jars, maven=maven or "mvn", environ=environ, progress=progress)
            return JavaRuntime(java.path, java.version, jars)
        java = Unavailable("there is Java, but Maven (mvn) is missing")
    if version != KAFKA_VERSION:
        return java
    docker = await _find_docker(environ)
    if isinstance(docker, Unavailable):
        return Unavailable(f"{java.reason}, and {docker.reason}")
    await _fetch_image(docker, cache, environ=environ, progress=progress)
    return docker


def read_java_version(shown: str) -> tuple[str, int] | None:
    """The version in what `java -version` shows and its feature number: 17 of "17.0.15", 8 of "1.8.0"; else None."""
    found = re.search(r'version "((?:1\.)?(\d+)[\w.+-]*)"', shown)
    return (found.group(1), int(found.group(2))) if found else None


async def _find_java(environ: Mapping[str, str]) -> _Java | Unavailable:
    home = environ.get("JAVA_HOME")
    path = f"{home}/bin/java" if home else shutil.which("java", path=environ.get("PATH"))
    if path is None:
        return Unavailable(f"there is no Java {_JAVA_OLDEST} or newer")
    code, shown = await _ask([path, "-version"], environ)
    version = read_java_version(shown)
    if code != 0 or version is None:
        return Unavailable(f"{path} does not run{' (from JAVA_HOME)' if home else ''}")
    if version[1] < _JAVA_OLDEST:
        return Unavailable(f"{path} is Java {version[0]}, older than {_JAVA_OLDEST}")
    return _Java(path, version[0])


async def _find_docker(environ: Mapping[str, str]) -> DockerRuntime | Unavailable:
    docker = shutil.which("docker", path=environ.get("PATH"))
    if docker is None:
        return Unavailable("Docker is missing")
    code, shown = await _ask([docker, "info", "--format", "{{.SecurityOptions}}"], environ)
    if code != 0:
        return Unavailable("no Docker daemon answers")
    # Under rootless Docker the container's root is the person; any other user of it could not write the mount.
    return DockerRuntime(docker, None if "rootless" in shown else f"{os.getuid()}:{os.getgid()}")


async def _ask(command: list[str], environ: Mapping[str, str]) -> tuple[int, str]:
    """The exit code and the output of a command that answers at once; 127 where it cannot be run, 124 when late."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(environ),
        )
    except OSError as error:
        return 127, str(error)
    try:
        async with asyncio.timeout(_ASK_TIMEOUT_S):
            shown, _ = await process.communicate()
    except TimeoutError:
        return 124, ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, shown.decode(errors="replace")


async def _fetch_jars(jars: Path, *, maven: str, environ: Mapping[str, str], progress: Progress) -> None:
    if _complete(jars):
        return
    async with locked(jars.parent / "lock"):
        if _complete(jars):
            return  # another process fetched them while we waited
        partial = _empty_folder(jars.with_name(f"{jars.name}.partial"))
        log = jars.parent / "maven.log"
        progress(f"fetching Apache Kafka {jars.name} with Maven (once, about 45 MB)")
        command = [maven, "--batch-mode", f"--file={SOURCE_FOLDER / 'pom.xml'}", "dependency:copy-dependencies"]
        repository = repository_options(_home(), jars.parent / "maven")
        code = await run_tool(
            [
                *command,
                *repository,
                f"-Dkafka.version={jars.name}",
                f"-DoutputDirectory={partial}",
                "-DincludeScope=runtime",
            ],
            log=log,
            environ=environ,
            on_line=lambda line: _report_download(line, jars.name, progress),
        )
        if code != 0 or not any(partial.glob("kafka_*.jar")):
            gist = maven_gist(log.read_text(errors="replace"))
            raise DropstreamError(f"Maven could not fetch Apache Kafka: {gist}\nSee {log}, then try again.")
        partial.rename(jars)


def _complete(jars: Path) -> bool:
    return jars.is_dir()


def _empty_folder(partial: Path) -> Path:
    """`partial`, new and empty; the process that left an older one is dead, for this one holds the lock."""
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def _report_download(line: str, version: str, progress: Progress) -> None:
    if line.startswith("[INFO] Downloading ") and line.endswith(".jar"):
        progress(f"fetching Apache Kafka {version} with Maven: {line.rsplit('/', 1)[1]}")


def repository_options(home: Path | None, own: Path) -> list[str]:
    """Where Maven is to keep what it downloads: nothing where it can in the person's `home`, else in the folder `own`.

    Java takes the home from the list of users, whatever HOME says; that of a service's user is often nowhere.
    """
    there = home and next((place for place in (home / ".m2", home) if place.exists()), None)
    return [] if there and os.access(there, os.W_OK) else [f"-Dmaven.repo.local={own}"]


def _home() -> Path | None:
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:  # Of a container: a number without a name.
        return None


def maven_gist(output: str) -> str:
    """The line of Maven's output that says what went wrong, at most 300 characters."""
    lines = [line.strip() for line in _COLOUR.sub("", output).splitlines() if line.strip()]
    errors = [line.removeprefix("[ERROR]").strip() for line in lines if line.startswith("[ERROR]")]
    gist = next((line for line in errors if line), lines[-1] if lines else "it said nothing")
    return gist if len(gist) <= 300 else gist[:299] + "…"


async def _fetch_image(docker: DockerRuntime, cache: Path, *, environ: Mapping[str, str], progress: Progress) -> None:
    code, _ = await _ask([docker.docker, "image", "inspect", IMAGE], environ)
    if code == 0:
        return
    log = cache / "docker.log"
    progress(f"fetching {IMAGE} with Docker (once)")
    async with locked(cache / "lock"):
        code = await run_tool([docker.docker, "pull", IMAGE], log=log, environ=environ)
    if code != 0:
        said = log.read_text(errors="replace").strip().splitlines()
        raise DropstreamError(
            f"Docker could not pull {IMAGE}: {said[-1] if said else 'it said nothing'}\nSee {log}, then try again."
        )
