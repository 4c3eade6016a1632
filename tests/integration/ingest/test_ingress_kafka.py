"""The ingress when Kafka is away, silent or coming back, and when it stops.

Silent means here that the topic was taken away under a connected producer: a real broker that acknowledges nothing,
until the topic is there again.
"""

import asyncio
import gc
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from ingest.budgets import ByteBudget, Reservation
from ingest.kafka.batches import DeliveryReport
from ops.service.admin import admin
from ops.service.running_configuration import begun
from schemas.delivery import PendingRecord
from schemas.errors import DropstreamError
from schemas.kafka.batch_producer import BatchProducer
from tests.conftest import SettingsFactory
from tests.support.raw_http import RawClient, post
from tests.support.serving import create_raw, read_raw, serving, serving_settings, take_raw_away
from tests.support.waiting import PATIENCE_S, UNHURRIED_MS, until

pytestmark = pytest.mark.kafka

# Nothing listens there: port 1 of the loopback.
_NOWHERE = "127.0.0.1:1"


async def test_without_kafka_it_starts_and_refuses(settings: SettingsFactory) -> None:
    """No broker at all: 503 with Retry-After, alive but not ready, and it stops; neither waits for a deadline."""
    mine = serving_settings(settings, f"stop_grace_ms = {UNHURRIED_MS}", bootstrap_servers=_NOWHERE)
    async with asyncio.timeout(PATIENCE_S), serving(mine, connected=False) as running:
        answer = await running.ask(post("/webhooks/acme", b"body"))
        health = running.ingress.health()
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert (health.live, health.ready) == (True, False)
    assert running.requests("acme", "unavailable") == 1


async def test_it_connects_when_kafka_comes(settings: SettingsFactory) -> None:
    """Deliveries are refused until the topic is there, then stored, without a restart."""
    mine = serving_settings(settings)
    async with serving(mine, connected=False) as running:
        assert (await running.ask(post("/webhooks/acme", b"early"))).status == 503
        await create_raw(mine)
        await until(lambda: running.ingress.health().ready)
        assert (await running.ask(post("/webhooks/acme", b"in time"))).status == 200
        assert [record.value for record in await read_raw(mine, 1)] == [b"in time"]


async def test_what_kafka_does_not_acknowledge_is_not_answered_200(settings: SettingsFactory) -> None:
    """After the deadline the answer is 503; the record stays in hand, counted, until Kafka has it after all."""
    mine = serving_settings(settings, f"kafka_deadline_ms = 300\nproducer_hung_ms = {UNHURRIED_MS}")
    await create_raw(mine)
    async with serving(mine) as running:
        await take_raw_away(mine)
        began_at = time.monotonic()
        assert (await running.ask(post("/webhooks/acme", b"late"))).status == 503
        assert time.monotonic() - began_at >= 0.3
        assert running.ingress.budget.held_bytes > len(b"late")
        assert not running.ingress.health().ready
        await create_raw(mine)
        await until(lambda: running.ingress.health().ready)
        assert running.ingress.budget.held_bytes == 0
        await running.stored(b"in time")
        records = [record.value for record in await read_raw(mine, 2)]
        assert list(dict.fromkeys(records)) == [b"late", b"in time"]
        assert records.count(b"late") == 1


async def test_bytes_in_flight_are_bounded(settings: SettingsFactory) -> None:
    """While 60 of 100 kB wait for Kafka, 60 more are refused at once and 10 of another endpoint are taken."""
    bounds = "in_flight_bytes_max = 100_000\nbody_bytes_max = 65_000"
    lines = f"kafka_deadline_ms = 300\nproducer_hung_ms = {UNHURRIED_MS}\n{bounds}"
    mine = serving_settings(settings, lines)
    await create_raw(mine)
    async with serving(mine) as running:
        await take_raw_away(mine)
        for endpoint, body in (("acme", bytes(60_000)), ("acme", bytes(60_000)), ("laned", bytes(10_000))):
            answer = await running.ask(post(f"/webhooks/{endpoint}", body))
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert (running.requests("acme", "unavailable"), running.requests("laned", "unavailable")) == (1, 1)
        assert running.requests("acme", "in_flight_full") == 1
        await create_raw(mine)
        await until(lambda: running.ingress.budget.held_bytes == 0)
        await running.stored(bytes(60_000))


async def test_stopping_answers_what_came_and_refuses_what_comes(settings: SettingsFactory) -> None:
    """A delivery in hand is answered 200 once Kafka has it; others get 503 or no connection."""
    mine = serving_settings(settings, f"stop_grace_ms = {UNHURRIED_MS}")
    await create_raw(mine)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        running = await stack.enter_async_context(serving(mine))
        await take_raw_away(mine)
        async with (
            RawClient(running.port) as waiting,
            RawClient(running.port) as reading,
            RawClient(running.port) as idle,
        ):
            await waiting.send(post("/webhooks/acme", b"waiting"))
            await reading.send(post("/webhooks/acme", b"reading").removesuffix(b"ing"))
            await idle.send(b"GET /webhooks/acme HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await idle.answer()).status == 200
            await until(lambda: running.ingress.receiver.in_progress == 2)

            group.create_task(stack.pop_all().aclose())
            await until(lambda: running.ingress.receiver.stopping)
            await idle.send(post("/webhooks/acme", b"too late"))
            late = await idle.answer()
            assert (late.status, late.headers["retry-after"], late.headers["connection"]) == (503, "5", "close")
            with pytest.raises(ConnectionRefusedError):
                await running.ask(post("/webhooks/acme", b"much too late"))

            await reading.send(b"ing")
            await create_raw(mine)
            assert [(await client.answer()).status for client in (waiting, reading)] == [200, 200]
    assert {record.value for record in await read_raw(mine, 2)} == {b"waiting", b"reading"}


def known_partitions(topic: str) -> set[int]:
    """The partitions that the clients of this process believe the topic to have; there is no public way to them."""
    clients = [one.client for one in gc.get_objects() if type(one) is BatchProducer]
    return {number for one in clients for number in one.cluster.partitions_for_topic(topic) or ()}


async def test_stopping_has_an_end(settings: SettingsFactory) -> None:
    """Where Kafka never answers, stop_grace_ms is the end; who waits gets anything but 200."""
    mine = serving_settings(settings, "producers = 1\nstop_grace_ms = 300")
    await create_raw(mine)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(serving(mine))
        await take_raw_away(mine)
        async with RawClient(running.port) as client, RawClient(running.port) as later:
            await client.send(post("/webhooks/acme", b"waiting"))
            await until(lambda: running.ingress.receiver.in_progress == 1)
            # From then on the client takes nothing until it knows the topic again.
            await until(lambda: not known_partitions(f"{mine.kafka.topic_prefix}raw"))
            await later.send(post("/webhooks/acme", b"waiting before the client"))
            await until(lambda: running.ingress.receiver.in_progress == 2)
            async with asyncio.timeout(PATIENCE_S):
                await stack.pop_all().aclose()
    assert running.requests("acme", "stored") == 0
    assert running.ingress.budget.held_bytes == 0


async def test_a_port_that_is_taken_is_said_in_words(settings: SettingsFactory) -> None:
    """The error names the setting and the address."""
    mine = serving_settings(settings, bootstrap_servers=_NOWHERE)
    async with serving(mine, connected=False) as running:
        taken = mine.model_copy(update={"ingest": mine.ingest.model_copy(update={"port": running.port})})
        with pytest.raises(DropstreamError, match=rf"^ingest.port: cannot listen on 127.0.0.1:{running.port}: "):
            async with serving(taken, connected=False):
                pass


async def test_the_admin_port_tells_how_it_is(settings: SettingsFactory) -> None:
    """Liveness, readiness with the facts, and figures; anything else is not found."""
    mine = serving_settings(settings)
    async with serving(mine, connected=False) as running:
        health, configuration = running.ingress.health, begun(Path("dropstream.toml"), "")
        async with (
            admin(host="127.0.0.1", port=0, registry=running.registry, health=health, running=configuration) as port,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
        ):
            facts = {"live": True, "ready": False, "kafka_connected": False, "in_flight_bytes": 0, "stopping": False}
            async with client.get("/livez") as livez, client.get("/readyz") as readyz:
                assert (livez.status, readyz.status) == (200, 503)
                assert facts.items() <= (await readyz.json()).items()
            await create_raw(mine)
            await until(lambda: running.ingress.health().ready)
            await running.ask(post("/webhooks/acme", b"body"))
            async with client.get("/readyz") as readyz, client.get("/metrics") as metrics:
                assert (readyz.status, metrics.headers["content-type"][:10]) == (200, "text/plain")
                figures = (await metrics.text()).splitlines()
            assert 'dropstream_ingest_requests_total{endpoint="acme",outcome="stored"} 1.0' in figures
            assert 'dropstream_ingest_body_bytes_total{endpoint="acme"} 4.0' in figures
            assert "dropstream_ingest_acknowledge_seconds_count 1.0" in figures
            assert "dropstream_ingest_in_flight_bytes 0.0" in figures
            assert "dropstream_ingest_producer_connected 1.0" in figures
            async with client.get("/") as unknown, client.post("/metrics") as posted:
                assert (unknown.status, posted.status) == (404, 405)


async def test_a_batch_that_kafka_refuses_does_not_stop_the_next(settings: SettingsFactory) -> None:
    """A delivery over the topic's own limit is answered 503; the producer that it broke is replaced."""
    mine = serving_settings(settings)
    await create_raw(mine, bytes_max=200_000)
    async with serving(mine) as running:
        assert (await running.ask(post("/webhooks/acme", b"before"))).status == 200
        assert (await running.ask(post("/webhooks/acme", b"x" * 300_000))).status == 503
        await until(lambda: running.ingress.publisher.takes(b"acme"))
        assert (await running.ask(post("/webhooks/acme", b"after"))).status == 200
        assert [record.value for record in await read_raw(mine, 2)] == [b"before", b"after"]


async def test_a_batch_that_is_given_up_counts_by_its_deliveries(settings: SettingsFactory) -> None:
    """Two that are too large for the topic only together are two write failures, of one batch."""
    mine = serving_settings(settings)
    await create_raw(mine, bytes_max=200_000)
    record = PendingRecord("acme", b"acme", bytes(120_000), [], time.time_ns() // 1_000_000)
    async with serving(mine) as running:
        publisher, budget = running.ingress.publisher, ByteBudget(0)
        reports = await asyncio.gather(*(publisher.publish_and_wait(record, Reservation(budget)) for _ in range(2)))
        labels = {"error": "MessageSizeTooLargeError"}
        assert reports == [DeliveryReport.REFUSED, DeliveryReport.REFUSED]
        assert running.registry.get_sample_value("dropstream_ingest_write_failures_total", labels) == 2
