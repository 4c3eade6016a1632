"""Two bad days, from the provider's HTTP request to the line that a consumer in another service prints."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from uuid_utils import uuid7

from ingest.app import ingress
from ingest.receive import Stamps
from ops.audit.run import audit
from ops.kafka.reader import read_topic
from processors.providers import discover
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.integration.replay.test_replay import processed_with, with_a_bug
from tests.support.consuming import consumer, python_program
from tests.support.processing import ENDPOINTS, ENVIRON, MORTAL, audited, prepared, start_processor
from tests.support.replaying import counts, program
from tests.support.waiting import until

pytestmark = pytest.mark.kafka

COUNT = 20
INGEST = '[ingest]\nhost = "127.0.0.1"\nport = 0\nspool_bytes_max = 0\n'


@asynccontextmanager
async def receiving(settings: Settings) -> AsyncIterator[str]:
    """A running ingress; its base URL."""
    stamps = Stamps(new_id=uuid7, now_us=lambda: time.time_ns() // 1_000)
    async with ingress(settings, registry=CollectorRegistry(), stamps=stamps) as running:
        await until(lambda: running.publisher.connected)
        yield f"http://127.0.0.1:{running.port}"


async def consumed_orders(settings: Settings) -> list[str]:
    """The keys of the order lines that the consumer in another service prints of all that is in the topic."""
    expected = len(await read_topic(settings, "orders"))
    async with consumer(
        python_program(),
        settings.kafka.bootstrap_servers,
        *("--prefix", settings.kafka.topic_prefix, "--from", "beginning"),
    ) as reading:
        lines = await reading.prints(lambda lines: len([one for one in lines if one.startswith("order ")]) >= expected)
    return [line.split()[4] for line in lines if line.startswith("order ")]


async def test_a_wrong_secret_from_http_to_the_consumer(settings: SettingsFactory, tmp_path: Path) -> None:
    """Monday's deliveries are answered 200 and rejected; after the fix and one redrive the consumer has each, once."""
    mine = await prepared(settings(INGEST + ENDPOINTS + MORTAL, environ=ENVIRON))
    dropstream = program(mine, tmp_path)
    async with receiving(mine) as url:
        sent = await dropstream.run("send", "shipstream-order-created", "--count", str(COUNT), "--url", url)
    assert sent.code == 0, sent
    monday = await start_processor(mine, tmp_path, "monday", {**ENVIRON, "SECRET": "a-wrong-one"})
    assert (await audited(mine, COUNT)).outputs == {"rejected": COUNT}
    monday.process.kill()
    await monday.ended()
    done = await dropstream.run("redrive", "--endpoint", "shipstream", "--yes")
    assert (done.code, counts(done.out)["became events"]) == (0, COUNT), done
    keys = await consumed_orders(mine)
    assert len(keys) == len(set(keys)) == COUNT
    assert (await audit(mine)).clean


async def test_a_parser_s_bug_from_http_to_the_consumer(settings: SettingsFactory, tmp_path: Path) -> None:
    """A bug hid orders from the consumer; a look, a copy and a replay in place later it has each of them, once."""
    mine = await prepared(settings(INGEST + ENDPOINTS + MORTAL, environ=ENVIRON))
    dropstream = program(mine, tmp_path)
    async with receiving(mine) as url:
        sent = await dropstream.run("send", "dropea-v2-order", "--count", str(COUNT), "--url", url)
    assert sent.code == 0, sent
    await processed_with(mine, {**discover(), "dropea": with_a_bug(discover()["dropea"])}, COUNT)
    assert await consumed_orders(mine) == []
    looked = await dropstream.run("replay", "--provider", "dropea", "--dry-run")
    copied = await dropstream.run("replay", "--provider", "dropea", "--into", "fixed", "--yes")
    mended = await dropstream.run("replay", "--provider", "dropea", "--in-place", "--yes")
    assert (looked.code, copied.code, mended.code) == (0, 0, 0), (looked, copied, mended)
    assert counts(looked.out)["moved domain"] == COUNT
    assert len(await read_topic(mine, "orders.fixed")) == COUNT
    keys = await consumed_orders(mine)
    assert len(keys) == len(set(keys)) == COUNT
    assert (await audit(mine)).clean
