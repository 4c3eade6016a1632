"""What a long-running program tells in its log: its start, its spool, its end and why; and in which form."""

import signal
import socket
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.ports import free_ports
from tests.support.programs import eventually, program
from tests.support.raw_http import RawClient, post

# Nothing listens on port 1 of the loopback: the ingress runs without Kafka.
CONFIGURATION = """
log_level = "{level}"
[kafka]
bootstrap_servers = "127.0.0.1:1"
[ingest]
host = "127.0.0.1"
port = {port}
admin_port = {admin}
kafka_deadline_ms = 1
[process]
admin_port = {admin}
[endpoints.acme]
provider = "shipstream"
secrets = ["env:ACME"]
"""


def written(folder: Path, *, level: str = "info") -> tuple[int, int]:
    """Writes a configuration; returns the ports of webhooks and admin pages."""
    port = free_ports(2)
    admin = port + 1
    (folder / "dropstream.toml").write_text(CONFIGURATION.format(level=level, port=port, admin=admin))
    return port, admin


async def deliver(port: int) -> None:
    """One delivery, which is answered 200."""
    async with RawClient(port) as client:
        await client.send(post("/webhooks/acme", b"{}"))
        assert (await client.answer()).status == 200


async def test_an_ingress_tells_its_start_its_spool_and_its_end(tmp_path: Path) -> None:
    """Where it is reached, how it is stopped, that deliveries go to the spool, and what ended it."""
    port, admin = written(tmp_path)
    async with program(tmp_path, "ingest", admin_port=admin) as running:
        (started,) = await running.said("started")
        await deliver(port)
        (began,) = await running.said("spooling_began")
        running.signal(signal.SIGTERM)
        assert await running.ended() == 0
        told = {name: started[name] for name in ("program", "version", "webhooks", "admin", "kafka", "endpoints")}
        assert told == {
            "program": "ingest",
            "version": version("dropstream"),
            "webhooks": f"127.0.0.1:{port}",
            "admin": f"127.0.0.1:{admin}",
            "kafka": "127.0.0.1:1",
            "endpoints": 1,
        }
        assert started["first_endpoints"] == ["acme"]
        assert started["stop"] == "SIGTERM or Ctrl-C; a second one ends it at once"
        assert began["why"] == "Kafka cannot be reached"
        assert [line["why"] for line in running.lines("stopping")] == ["SIGTERM"]
        assert len(running.lines("stopped")) == 1


async def test_processors_tell_weak_secrets_and_a_stop_before_kafka_is_there(tmp_path: Path) -> None:
    """A secret of five letters is a warning at the start; Ctrl-C ends processors that still wait for Kafka."""
    _, admin = written(tmp_path)
    async with program(tmp_path, "process", admin_port=admin, environ={"ACME": "short"}) as running:
        (started,) = await running.said("started")
        (weak,) = await running.said("secrets_weak")
        running.signal(signal.SIGHUP)
        assert len(await running.said("secrets_weak", 2)) == 2
        running.signal(signal.SIGINT)
        await running.said("stopped")
        assert started["groups"] == "deliver, sequence"
        assert weak["first"] == ["acme: secret env:ACME has 5 characters and can be guessed; use at least 16"]
        assert [line["why"] for line in running.lines("stopping")] == ["SIGINT"]


async def test_a_program_that_cannot_start_logs_why(tmp_path: Path) -> None:
    """A port that is taken is one line of the log and one sentence, and no traceback."""
    port, admin = written(tmp_path)
    with socket.create_server(("127.0.0.1", port)):
        async with program(tmp_path, "ingest", admin_port=admin) as running:
            assert await running.ended() == 1
            (failed,) = running.lines("failed")
            assert failed["why"].startswith(f"ingest.port: cannot listen on 127.0.0.1:{port}: ")
            assert "Traceback" not in running.log.read_text()


@pytest.mark.parametrize(("form", "begins"), [("json", b"{"), ("console", b"20")])
async def test_the_log_has_the_form_and_the_level_of_the_settings(tmp_path: Path, form: str, begins: bytes) -> None:
    """`log_format` counts in a pipe too, and below `log_level` nothing is written."""
    port, admin = written(tmp_path, level="warning")
    async with program(tmp_path, "ingest", admin_port=admin, environ={"DROPSTREAM_LOG_FORMAT": form}) as running:
        await running.ready()
        await deliver(port)
        await eventually(lambda: b"spooling_began" in running.log.read_bytes())
        running.signal(signal.SIGTERM)
        assert await running.ended() == 0
        lines = running.log.read_bytes().splitlines()
        assert all(line.startswith(begins) for line in lines)
        assert not any(b"stopping" in line for line in lines)
