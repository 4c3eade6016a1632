"""Command lines that run a class of Kafka: with a Java on this machine, or inside a container of the official image.

Decides options and mounts. Does not start anything, and does not look for Java, Maven or Docker (`install`).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

KAFKA_VERSION = "4.3.1"
BROKER_MAIN = "kafka.Kafka"
FORMAT_MAIN = "kafka.tools.StorageTool"
IMAGE = f"apache/kafka:{KAFKA_VERSION}"

# The serial collector and the first compiler alone: seconds matter at start, and the broker here is never the limit.
_JVM_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# Where the image keeps its jars: https://github.com/apache/kafka/blob/4.3.1/docker/jvm/Dockerfile
_IMAGE_JARS = "/opt/kafka/libs/*"


@dataclass(frozen=True, slots=True)
class Launch:
    """A class of Kafka to run for one node; `folder` is the node's, `port` is published where there is a container."""

    folder: Path
    main: str
    arguments: tuple[str, ...]
    port: int | None = None


class Runtime(Protocol):
    """A way to run Kafka. `bind_host` is what the client listener binds to."""

    @property
    def bind_host(self) -> str: ...

    @property
    def nodes_max(self) -> int: ...

    def command(self, launch: Launch) -> list[str]:
        """The argument list that runs `launch` in the foreground and ends with it."""

    def instead_of_signals(self, folder: Path) -> dict[str, list[str]]:
        """Signal name -> the command that has its effect, where a plain signal to the process would not."""


@dataclass(frozen=True, slots=True)
class JavaRuntime:
    """Runs Kafka from `jars` with `java`, which calls itself `version`.

    `archive` is a class-data archive to start from, `archive_at_exit` one that a broker writes when it ends.
    """

    java: str
    version: str
    jars: Path
    archive: Path | None = None
    archive_at_exit: Path | None = None

    @property
    def bind_host(self) -> str:
        return "127.0.0.1"

    @property
    def nodes_max(self) -> int:
        return 3

    def command(self, launch: Launch) -> list[str]:
        dumps = self.archive_at_exit and launch.main == BROKER_MAIN
        return [
            self.java,
            *_JVM_OPTIONS,
            *([f"-XX:SharedArchiveFile={self.archive}"] if self.archive else []),
            *([f"-XX:ArchiveClassesAtExit={self.archive_at_exit}"] if dumps else []),
            *_log_options(launch.folder),
            "-cp",
            # Sorted, for a class-data archive is refused when the class path differs.
            ":".join(str(jar) for jar in sorted(self.jars.glob("*.jar"))),
            launch.main,
            *launch.arguments,
        ]

    def instead_of_signals(self, folder: Path) -> dict[str, list[str]]:  # noqa: ARG002 the protocol's
        return {}


@dataclass(frozen=True, slots=True)
class DockerRuntime:
    """Runs Kafka in a container that dies with its `docker run`; `user` is uid:gid, or None for the image's root map.

    The node's folder is mounted under its own path, so paths in files mean the same inside and outside.
    """

    docker: str
    user: str | None

    @property
    def bind_host(self) -> str:
        # Published ports arrive at the container's outer address; Docker binds 127.0.0.1 of the machine.
        return "0.0.0.0"  # noqa: S104

    @property
    def nodes_max(self) -> int:
        # Nodes in separate containers do not reach each other at the 127.0.0.1 that clients connect to.
        return 1

    def command(self, launch: Launch) -> list[str]:
        return [
            self.docker,
            "run",
            "--rm",
            f"--name={container_name(launch.folder)}",
            *([f"--user={self.user}"] if self.user else ["--user=0:0"]),
            # Without it SELinux forbids the mount; elsewhere it means nothing.
            "--security-opt=label=disable",
            f"--volume={launch.folder}:{launch.folder}",
            *([f"--publish=127.0.0.1:{launch.port}:{launch.port}"] if launch.port else []),
            "--entrypoint=java",
            IMAGE,
            *_JVM_OPTIONS,
            *_log_options(launch.folder),
            "-cp",
            _IMAGE_JARS,
            launch.main,
            *launch.arguments,
        ]

    def instead_of_signals(self, folder: Path) -> dict[str, list[str]]:
        # `docker run` hands TERM on to the broker. These three would only hit `docker run` itself.
        name = container_name(folder)
        return {
            "KILL": [self.docker, "rm", "--force", name],
            "STOP": [self.docker, "pause", name],
            "CONT": [self.docker, "unpause", name],
        }


def container_name(folder: Path) -> str:
    """The one name of the container of the node in `folder`."""
    return "dropstream-" + hashlib.sha256(str(folder).encode()).hexdigest()[:16]


def _log_options(folder: Path) -> tuple[str, ...]:
    return (f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}", f"-Ddropstream.log={folder / 'broker.log'}")
