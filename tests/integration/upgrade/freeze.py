"""Freezes what a version leaves in Kafka and on disk, for the test that a later version takes it over.

    python -m tests.integration.upgrade.freeze VERSION CHECKOUT HOST:PORT

CHECKOUT is a work tree of that version, whose programs run here as they were, with the environment of this one; at
HOST:PORT is an empty Kafka. What they leave goes to the folder VERSION beside this file: `records.jsonl` with every
record of every topic, and the file of a spool. `stored.py` reads both. It is done once for each release, and what it
made is never changed after.
"""

import asyncio
import base64
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.integration.processors.test_sequence_group import shipped
from tests.support.ports import free_ports
from tests.support.processing import ENVIRON
from tests.support.waiting import PATIENCE_S

PREFIX = "frozen."
# 5 and 6 never came, 3 was late, and 2 came twice.
CAME = (1, 2, 4, 3, 2, 7, 8)
SPOOLED = (9, 10, 11)
_CONFIGURATION = """
[kafka]
bootstrap_servers = "{bootstrap}"
topic_prefix = "frozen."
partitions = 1
replication_factor = 1
[ingest]
host = "127.0.0.1"
port = {port}
admin_port = {admin}
spool_dir = "{spool}"
[process]
admin_port = 0
[sequence]
grace_seconds = 1
[endpoints.shipstream]
provider = "shipstream"
secrets = ["env:SECRET"]
"""


async def freeze(version: str, checkout: Path, bootstrap: str) -> Path:
    """The folder in which all lies."""
    folder = Path(__file__).parent / version
    folder.mkdir()
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        await _in_kafka(checkout, here, bootstrap)
        await _in_a_spool(checkout, here)
        (spooled,) = (here / "spool").glob("spool-*.sqlite")
        shutil.copy(spooled, folder / "spool.sqlite")
    lines = [json.dumps(one, separators=(",", ":")) async for one in _records(bootstrap)]
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


async def _in_kafka(checkout: Path, here: Path, bootstrap: str) -> None:
    """Deliveries through ingress and processors, until the hole that they leave is reported."""
    port, config = _configured(here, bootstrap)
    async with _program(checkout, config, "topics", "apply") as applied:
        assert await applied.wait() == 0
    async with _program(checkout, config, "ingest"), _program(checkout, config, "process"):
        await _post(port, CAME)
        async with asyncio.timeout(PATIENCE_S):
            while not [one async for one in _records(bootstrap, "gaps")]:  # noqa: ASYNC110 another program writes it
                await asyncio.sleep(0.5)


async def _in_a_spool(checkout: Path, here: Path) -> None:
    """Deliveries to an ingress that has no Kafka."""
    port, config = _configured(here, f"127.0.0.1:{free_ports(1)}")
    async with _program(checkout, config, "ingest"):
        await _post(port, SPOOLED)


def _configured(here: Path, bootstrap: str) -> tuple[int, Path]:
    port, admin = free_ports(1), free_ports(1)
    text = _CONFIGURATION.format(bootstrap=bootstrap, port=port, admin=admin, spool=here / "spool")
    config = here / "dropstream.toml"
    config.write_text(text, encoding="utf-8")
    return port, config


@asynccontextmanager
async def _program(checkout: Path, config: Path, *verb: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The verb of that version, ended as a person ends it."""
    environ = {**os.environ, **ENVIRON, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "ops", *verb, "--config", str(config)), cwd=config.parent, env=environ
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()


async def _post(port: int, numbers: tuple[int, ...]) -> None:
    began = datetime.now(UTC)
    async with aiohttp.ClientSession() as client, asyncio.timeout(PATIENCE_S):
        for number in numbers:
            one = shipped(number, began + timedelta(seconds=number), began)
            headers = {name: value.decode() for name, value in one.headers}
            url = f"http://127.0.0.1:{port}/webhooks/shipstream"
            while not await _is_kept(client, url, one.body, headers):  # noqa: ASYNC110 another program starts yet
                await asyncio.sleep(0.5)


async def _is_kept(client: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        async with client.post(url, data=body, headers=headers) as answer:
            return answer.status == 200
    except aiohttp.ClientConnectorError:
        return False


async def _records(bootstrap: str, only: str = "") -> AsyncIterator[dict[str, Any]]:
    """Every committed record, with its offset; bytes are in base64."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        topics = sorted(name for name in await consumer.topics() if name.startswith(PREFIX + only))
    for topic in topics:
        async with AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
        ) as consumer:
            partition = TopicPartition(topic, 0)
            end = (await consumer.end_offsets([partition]))[partition]
            while await consumer.position(partition) < end:
                for record in (await consumer.getmany(timeout_ms=500)).get(partition, ()):
                    yield {
                        "topic": topic.removeprefix(PREFIX),
                        "offset": record.offset,
                        "timestamp": record.timestamp,
                        "key": _text(record.key),
                        "value": _text(record.value),
                        "headers": [[name, _text(value)] for name, value in record.headers],
                    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


if __name__ == "__main__":
    print(asyncio.run(freeze(sys.argv[1], Path(sys.argv[2]).resolve(), sys.argv[3])))  # noqa: T201 a tool of a person
