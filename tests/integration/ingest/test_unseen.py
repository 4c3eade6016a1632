"""What nobody may see: secrets, tokens and bodies are in nothing that the system prints, whatever goes wrong."""

import signal
from pathlib import Path

import pytest

from tests.conftest import SettingsFactory
from tests.support.ports import free_ports
from tests.support.processing import SECRET, deliveries, prepared, put
from tests.support.programs import program
from tests.support.raw_http import RawClient, post

pytestmark = pytest.mark.kafka

TOKEN = "a-token-that-nobody-may-see"
OLD_TOKEN = "an-older-token-that-nobody-may-see"
PERSON = "Maria Invented, 1 Imaginary Street"
BODY = f'{{"ship_to": "{PERSON}", "topic": 3}}'.encode()
ENVIRON = {"SECRET": SECRET.decode(), "TOKEN": TOKEN, "OLD_TOKEN": OLD_TOKEN}
UNSEEN = (SECRET.decode(), TOKEN, OLD_TOKEN, PERSON, "Imaginary")


def configuration(kafka: str, port: int, spool: Path, broken: str = "") -> str:
    return (
        f'[kafka]\n{kafka}\n[ingest]\nhost = "127.0.0.1"\nport = {port}\nadmin_port = {port + 1}\n'
        f'spool_dir = "{spool}"\nheader_timeout_ms = 1000\nbody_timeout_ms = 1000\n'
        f"[process]\nadmin_port = {port + 2}\n{broken}"
        '[endpoints.shipstream]\nprovider = "shipstream"\nsecrets = ["env:SECRET"]\n'
        'token = ["env:TOKEN", "env:OLD_TOKEN"]\n'
        '[endpoints.dropea]\nprovider = "dropea"\nsecrets = ["env:SECRET"]\n'
    )


async def knock(port: int, request: bytes) -> None:
    """Sends what it is told, and takes what comes until the server closes; half a request is not waited for long."""
    async with RawClient(port) as client:
        await client.send(request)
        await client.rest()


async def test_nothing_that_is_printed_tells_a_secret_or_a_body(settings: SettingsFactory, tmp_path: Path) -> None:
    """Good, bad and broken requests, unsigned bodies, unknown endpoints, a configuration that breaks while it runs."""
    mine = await prepared(settings())
    kafka = (
        f'bootstrap_servers = "{mine.kafka.bootstrap_servers}"\ntopic_prefix = "{mine.kafka.topic_prefix}"\n'
        f"replication_factor = 1\npartitions = {mine.kafka.partitions}\n"
    )
    port = free_ports(3)
    file = tmp_path / "dropstream.toml"
    file.write_text(configuration(kafka, port, tmp_path / "spool"))
    printed: list[str] = []
    async with (
        program(tmp_path, "ingest", admin_port=port + 1, environ=ENVIRON) as ingress,
        program(tmp_path, "process", admin_port=port + 2, environ=ENVIRON) as processors,
    ):
        await ingress.ready()
        await processors.ready()
        good = post(f"/webhooks/shipstream/{TOKEN}", BODY)
        for request in (
            good,
            post(f"/webhooks/shipstream/{OLD_TOKEN}", BODY),
            post(f"/webhooks/shipstream/{TOKEN}x", BODY),
            post(f"/webhooks/nobody/{TOKEN}", BODY),
            good.replace(b"HTTP/1.1", b"HTTP/9.9"),
            good.replace(b"Content-Length: ", b"Content-Length: +"),
            good[:-5],
            f"POST /webhooks/shipstream/{TOKEN} HTTP/1.1\r\nX: \x00{PERSON}\r\n\r\n".encode(),
        ):
            await knock(port, request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        await put(mine, deliveries(40))
        await processors.shows('dropstream_process_records_total{group="deliver"} 42.0')
        file.write_text(configuration(kafka, port, tmp_path / "spool", broken="unknown_key = 1\n"))
        for running in (ingress, processors):
            running.signal(signal.SIGHUP)
            await running.said("configuration_refused")
            printed += [(await running.page(path))[1] for path in ("/metrics", "/readyz", "/livez")]
            running.signal(signal.SIGTERM)
            assert await running.ended() == 0
            printed.append(running.log.read_text(encoding="utf-8", errors="replace"))
    found = [(unseen, line) for unseen in UNSEEN for text in printed for line in text.splitlines() if unseen in line]
    assert found == []
    assert sum(map(len, printed)) > 5_000
