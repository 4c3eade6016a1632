"""The command lines that run Kafka, and the probe's view of ports."""

import socket
from pathlib import Path

from ops.local.broker.probe import find_free_ports, port_is_free
from ops.local.broker.runtime import DockerRuntime, JavaRuntime, Launch
from tests.support.ports import free_ports

_LAUNCH = Launch(Path("/data/node-1"), "kafka.Kafka", ("/data/node-1/server.properties",), 9092)


def test_container_mounts_the_node_and_publishes_its_port_on_loopback() -> None:
    """A container has the node's folder under its own path, the client port on 127.0.0.1, and dies with its client."""
    command = DockerRuntime("docker", "1000:1000").command(_LAUNCH)
    assert command[:3] == ["docker", "run", "--rm"]
    assert command[3].startswith("--name=dropstream-")
    assert command[4:9] == [
        "--user=1000:1000",
        "--security-opt=label=disable",
        "--volume=/data/node-1:/data/node-1",
        "--publish=127.0.0.1:9092:9092",
        "--entrypoint=java",
    ]
    assert command[9] == "apache/kafka:4.3.1"
    assert command[-4:] == ["-cp", "/opt/kafka/libs/*", "kafka.Kafka", "/data/node-1/server.properties"]


def test_container_is_frozen_and_killed_by_docker() -> None:
    """A signal to `docker run` would miss the broker, so Docker does what the signal means; TERM it hands on itself."""
    runtime = DockerRuntime("docker", None)
    name = runtime.command(_LAUNCH)[3].removeprefix("--name=")
    assert runtime.instead_of_signals(_LAUNCH.folder) == {
        "KILL": ["docker", "rm", "--force", name],
        "STOP": ["docker", "pause", name],
        "CONT": ["docker", "unpause", name],
    }


def test_only_a_broker_dumps_the_archive(tmp_path: Path) -> None:
    """The class-data archive is written by a broker, and not by the formatter that runs before it."""
    for name in ("b.jar", "a.jar"):
        (tmp_path / name).touch()
    runtime = JavaRuntime("java", "17", tmp_path, archive_at_exit=Path("/x.jsa"))
    assert "-XX:ArchiveClassesAtExit=/x.jsa" in runtime.command(_LAUNCH)
    assert "-XX:ArchiveClassesAtExit=/x.jsa" not in runtime.command(Launch(Path("/d"), "kafka.tools.StorageTool", ()))
    command = runtime.command(_LAUNCH)
    assert command[command.index("-cp") + 1] == f"{tmp_path}/a.jar:{tmp_path}/b.jar"


def test_taken_ports_are_passed_over() -> None:
    """A port that a program listens on is not free, and a run of free ports begins after it."""
    first = free_ports(2)
    with socket.create_server(("127.0.0.1", first + 1)):
        assert port_is_free(first)
        assert not port_is_free(first + 1)
        assert find_free_ports(2, after=first) >= first + 2
