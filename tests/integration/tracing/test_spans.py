"""The traces of a webhook on real Kafka, from the request to its events, at a small collector; and one that hangs."""

import asyncio
import hashlib
import hmac
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest

from ops.kafka.reader import read_topic
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.integration.tracing.collecting import Collector, collector
from tests.support.ports import free_ports
from tests.support.processing import ENDPOINTS, ENVIRON, SECRET, prepared
from tests.support.programs import Program, program
from tests.support.waiting import PATIENCE_S, until, until_it_is

pytestmark = pytest.mark.kafka

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00"
SERVER, PRODUCER, CONSUMER = 2, 4, 5


def order(number: int) -> bytes:
    """A ShipStream order; `number` is its sequence id."""
    message = {"unique_id": f"SO-{number}", "webhook_increment_id": number, "event_timestamp": "2026-05-21T14:00:00Z"}
    return orjson.dumps({"merchant_code": "acme", "topic": "order:created", "message": message})


def signed(body: bytes, **headers: str) -> dict[str, str]:
    mac = b64encode(hmac.digest(SECRET, body, hashlib.sha256)).decode()
    return {"X-Plugin-Hmac-Sha256": mac, "Content-Type": "application/json", **headers}


@asynccontextmanager
async def running(
    settings: Settings, folder: Path, traces: Mapping[str, str]
) -> AsyncIterator[tuple[Program, Program, aiohttp.ClientSession]]:
    """An ingress and processors with these variables, and somebody who sends to the ingress."""
    kafka, port = settings.kafka, free_ports(3)
    (folder / "dropstream.toml").write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\ntopic_prefix = "{kafka.topic_prefix}"\n'
        f'replication_factor = 1\npartitions = 3\n[ingest]\nhost = "127.0.0.1"\nport = {port}\n'
        f"admin_port = {port + 1}\nspool_bytes_max = 0\n[process]\nadmin_port = {port + 2}\n{ENDPOINTS}"
    )
    environ = {**ENVIRON, **traces}
    async with (
        program(folder, "ingest", admin_port=port + 1, environ=environ) as ingest,
        program(folder, "process", admin_port=port + 2, environ=environ) as process,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        await ingest.ready()
        await process.ready()
        yield ingest, process, client


async def spans_of_one(traced: Collector) -> None:
    """Waits for the spans of one delivery, those of group `sequence` last."""

    await until(lambda: any("sequence" in one.name for one in traced.named("process ")) and bool(traced.named("POST")))


async def test_one_webhook_is_traced_from_the_request_to_its_event(settings: SettingsFactory, tmp_path: Path) -> None:
    """The request continues the sender's trace; each later step is a trace of its own, linked to what it read."""
    mine = await prepared(settings(ENDPOINTS, environ=ENVIRON))
    prefix = mine.kafka.topic_prefix
    with collector() as traced:
        async with running(mine, tmp_path, traced.environ) as (ingest, process, client):
            for number, traceparent in ((1, UNSAMPLED), (2, SAMPLED)):
                body = order(number)
                async with client.post(
                    "/webhooks/shipstream", data=body, headers=signed(body, traceparent=traceparent)
                ) as answer:
                    assert answer.status == 200
            delivery = answer.headers["Dropstream-Delivery"]
            await spans_of_one(traced)
            pages = [await openmetrics(one.admin_port) for one in (ingest, process)]
        names = ("ingest_answer_seconds", 'process_transaction_seconds_bucket{group="deliver"')
        for page, name in zip(pages, names, strict=True):
            assert any(name in line and "0af7651916cd43dd8448eb211c80319c" in line for line in page.splitlines())
        (request,) = traced.named("POST /webhooks/{endpoint}")
        assert (request.service, request.kind) == ("dropstream-ingest", SERVER)
        assert (request.trace, request.parent) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
        assert request.attributes["http.response.status_code"] == 200
        (sent,) = traced.named(f"send {prefix}raw")
        assert (sent.kind, sent.trace, sent.parent) == (PRODUCER, request.trace, request.span)
        assert sent.attributes["messaging.message.id"] == delivery
        steps = {one.attributes["messaging.destination.name"]: one for one in traced.named("process ")}
        assert steps.keys() == {f"{prefix}raw", f"{prefix}sequence"}
        for step in steps.values():
            assert (step.service, step.kind, step.parent) == ("dropstream-process", CONSUMER, "")
            assert step.links == [(sent.trace, sent.span)]
        assert len({request.trace, *(one.trace for one in steps.values())}) == 3
        (event,) = await events_of(mine, delivery)
        (written,) = traced.named(f"send {prefix}orders")
        deliver = steps[f"{prefix}raw"]
        assert (written.kind, written.trace, written.parent) == (PRODUCER, deliver.trace, deliver.span)
        assert written.attributes["cloudevents.event_id"] == event["id"]
        assert event["traceparent"] == sent.traceparent


async def openmetrics(admin_port: int) -> str:
    """The page of metrics as a Prometheus that keeps exemplars asks for it."""
    headers = {"Accept": "application/openmetrics-text;version=1.0.0"}
    async with aiohttp.request("GET", f"http://127.0.0.1:{admin_port}/metrics", headers=headers) as answer:
        assert answer.content_type == "application/openmetrics-text"
        return await answer.text()


async def events_of(settings: Settings, delivery: str) -> list[dict[str, str]]:
    """The events of the delivery in `orders`."""
    found = [orjson.loads(one.value or b"") for one in await read_topic(settings, "orders")]
    return [one for one in found if one["delivery"] == delivery]


async def test_a_collector_that_hangs_holds_up_nothing(settings: SettingsFactory, tmp_path: Path) -> None:
    """With a small queue and a collector that never answers, every delivery becomes an event, and both programs end."""
    mine = await prepared(settings(ENDPOINTS, environ=ENVIRON))
    with collector(answers=False) as traced:
        small = {"OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10"}
        async with running(mine, tmp_path, {**traced.environ, **small}) as (ingest, process, client):
            for number in range(1, 101):
                body = order(number)
                async with client.post("/webhooks/shipstream", data=body, headers=signed(body)) as answer:
                    assert answer.status == 200

            async def are_there() -> bool:
                return len(await read_topic(mine, "orders")) == 100

            await until_it_is(are_there)
            for one in (ingest, process):
                began = time.monotonic()
                one.process.terminate()
                assert await one.ended() == 0
                assert time.monotonic() - began < PATIENCE_S / 2
        assert traced.spans == []


async def test_without_variables_no_tracing_is_loaded() -> None:
    """OpenTelemetry is not imported by a program that is not asked for traces."""
    asked = (
        "import sys, ops.service.ingest_command, ops.service.process_command; "
        "print([one for one in sys.modules if one.startswith('opentelemetry')])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", asked, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out == b"[]\n"
