"""What is on real Kafka after deliveries of every kind: events, observations, and the lanes that their tries share."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.formats.json import JSONFormat
from jsonschema import Draft202012Validator
from prometheus_client import CollectorRegistry
from uuid_utils import uuid7

from ops.docs.json_schema import event_schema
from ops.kafka.reader import read_topic
from ops.kafka.topics import apply
from processors.groups import deliver_group
from processors.metrics import ProcessMetrics
from processors.providers import discover
from schemas.delivery import Delivery
from schemas.records import RawRecord
from schemas.settings import Settings
from schemas.vocabulary import Domain
from tests.conftest import SettingsFactory
from tests.integration.consumers.test_strangers import Found, read_with_librdkafka
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, SECRET, STARTED_AT, audited, prepared, put
from tests.support.raw_http import post
from tests.support.serving import read_raw, serving
from tests.support.waiting import UNHURRIED_MS

pytestmark = pytest.mark.kafka

LENIENT = """
[endpoints.lenient]
provider = "shipstream"
secrets = ["env:SECRET"]
signature = "verify-if-present"
"""
LANED = f"""
[ingest]
host = "127.0.0.1"
port = 0
kafka_deadline_ms = {UNHURRIED_MS}
spool_bytes_max = 0

[endpoints.dreamship]
provider = "dreamship"
secrets = ["env:SECRET"]
lanes = 4
"""
# Body -> its key (CRC-32 modulo 4) and the key's partition of three (murmur2).
LANES = {
    b'{"id":1,"status":"fulfilled"}': (b"dreamship#0", 0),
    b'{"id":2,"status":"fulfilled"}': (b"dreamship#1", 1),
    b'{"id":6,"status":"fulfilled"}': (b"dreamship#2", 0),
    b'{"id":4,"status":"fulfilled"}': (b"dreamship#3", 2),
    b'{"id":3,"status":"fulfilled"}': (b"dreamship#1", 1),
}


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[None]:
    """The group `deliver` at work in this process."""
    stopping = asyncio.Event()
    group = deliver_group(settings, discover(), ProcessMetrics(CollectorRegistry()), stopping)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(group.run())
        try:
            yield
        finally:
            stopping.set()


async def processed(settings: Settings, batch: Sequence[Delivery]) -> None:
    """Returns when every delivery of the batch has been put into `raw` and led to its outputs, once."""
    await put(settings, batch)
    async with working(settings):
        verdict = await audited(settings, len(batch))
    assert (verdict.clean, verdict.pending) == (True, 0), verdict


def made(endpoint: str, provider: str, body: Any, *headers: tuple[str, bytes]) -> Delivery:
    """A delivery with these headers; `body` is bytes, or what becomes JSON."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return Delivery(str(uuid7()), provider, endpoint, STARTED_AT, "192.0.2.1", headers, content)


def shipstream(topic: str, endpoint: str = "shipstream", *, secret: bytes = SECRET, **message: Any) -> Delivery:
    """A ShipStream delivery, signed with the standard library alone."""
    body = orjson.dumps({"topic": topic, "message": message})
    signature = base64.b64encode(hmac.digest(secret, body, "sha256"))
    return made(endpoint, "shipstream", body, ("x-plugin-hmac-sha256", signature))


def hex_signature(body: bytes) -> bytes:
    return hmac.digest(SECRET, body, "sha256").hex().encode()


def base64_signature(body: bytes) -> bytes:
    return base64.b64encode(hmac.digest(SECRET, body, "sha256"))


def check_event(found: Found, domain: Domain) -> tuple[bytes, str, str]:
    """Key, type and subject of a record that the CloudEvents SDK reads and that keeps its schema."""
    event = from_kafka(KafkaMessage(headers=found.headers, key=found.key, value=found.value), JSONFormat())
    written = json.loads(found.value)
    Draft202012Validator(event_schema(domain), format_checker=Draft202012Validator.FORMAT_CHECKER).validate(written)
    assert found.headers["content-type"] == b"application/cloudevents+json; charset=UTF-8"
    assert found.headers["type"].decode() == event.get_type()
    assert event.get_data() == written["data"]
    return found.key, event.get_type(), event.get_subject() or ""


async def test_one_observation_per_verified_delivery(settings: SettingsFactory) -> None:
    """A verified ShipStream delivery is observed once, however many events it has; any other one never."""
    mine = await prepared(settings(ENDPOINTS + LENIENT + PROCESS, environ=ENVIRON, partitions=1))
    stock = {f"SKU-{number}": {"sku": f"SKU-{number}", "qty_adjust": 1} for number in range(5)}
    several = shipstream("order:created", unique_id="1", webhook_increment_id=101, stock_adjustments=stock)
    unsigned = orjson.dumps({"topic": "order:created", "message": {"unique_id": "9", "webhook_increment_id": 109}})
    dreamship = b'{"id":1,"status":"draft","webhook_increment_id":110}'
    await processed(
        mine,
        [
            several,  # offset 0
            shipstream("order:created", secret=b"another", unique_id="2", webhook_increment_id=102),
            made("shipstream", "shipstream", unsigned),
            made("lenient", "shipstream", unsigned),
            shipstream("order:created", "lenient", unique_id="3", webhook_increment_id=103),  # offset 4
            shipstream("order:created", "removed", unique_id="4", webhook_increment_id=104),
            shipstream("never:heard-of", webhook_increment_id=105),  # offset 6
            several,  # the provider's retry
            made("dreamship", "dreamship", dreamship, ("x-dreamship-signature", hex_signature(dreamship))),
        ],
    )
    observed = [(found.key, json.loads(found.value)) for found in read_with_librdkafka(mine, "sequence")]
    raw = f"{mine.kafka.topic_prefix}raw"
    assert [(key, one["endpoint"], one["sequence"], one["raw"]) for key, one in observed] == [
        (b"shipstream", "shipstream", 101, f"{raw}/0/0"),
        (b"lenient", "lenient", 103, f"{raw}/0/4"),
        (b"shipstream", "shipstream", 105, f"{raw}/0/6"),
    ]
    rejected = [dict(record.headers) for record in await read_topic(mine, "rejected")]
    assert [(headers["dropstream-reason"], headers["dropstream-raw"]) for headers in rejected] == [
        (b"signature_invalid", f"{raw}/0/1".encode()),
        (b"signature_missing", f"{raw}/0/2".encode()),
        (b"endpoint_unknown", f"{raw}/0/5".encode()),
    ]


async def test_strangers_read_catalog_and_other(settings: SettingsFactory) -> None:
    """Events of `catalog` and `other`, with the strangest ids there are, are read by librdkafka and the SDK alike."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
    variant = b'{"id":7,"event":{"uuid":"u-1","action":"item-variant-added"},"data":{"item":6,"sku":"MUG"}}'
    unheard = b'{"topic":"never.heard-of","event_id":"e-1"}'
    await processed(
        mine,
        [
            shipstream("product:created", sku="MUG-BLUE", webhook_increment_id=1),
            shipstream("product:sku_changed", sku="NEW", old_sku="OLD", webhook_increment_id=2),
            shipstream("product:created", sku="A\x00\x1f\x7f\x85\ufffeB", webhook_increment_id=3),
            shipstream("product:created", sku="€" * 255, webhook_increment_id=4),
            shipstream("product:created", sku="x" * 256, webhook_increment_id=5),
            shipstream("never:heard-of", webhook_increment_id=6),
            made("dreamship", "dreamship", variant, ("x-dreamship-signature", hex_signature(variant))),
            made("dropea", "dropea", unheard, ("x-dropea-signature", b"sha256=" + base64_signature(unheard))),
        ],
    )
    created = "dropstream.catalog.product_created"
    renamed = "dropstream.catalog.product_sku_changed"
    assert [check_event(found, Domain.CATALOG) for found in read_with_librdkafka(mine, "catalog")] == [
        (b"shipstream:shipstream:MUG-BLUE", created, "MUG-BLUE"),
        (b"shipstream:shipstream:OLD", renamed, "OLD"),
        (b"shipstream:shipstream:NEW", renamed, "NEW"),
        (
            b"shipstream:shipstream:A\x00\x1f\x7f\xc2\x85\xef\xbf\xbeB",
            created,
            "A\ufffd\ufffd\ufffd\ufffd\ufffdB",
        ),
        (b"shipstream:shipstream:" + b"\xe2\x82\xac" * 255, created, "€" * 255),
        (b"dreamship:dreamship:7", "dropstream.catalog.variant_added", "7"),
    ]
    other = [check_event(found, Domain.OTHER) for found in read_with_librdkafka(mine, "other")]
    assert other[0] == (b"shipstream:shipstream:5", "dropstream.other.unidentified", "5")
    assert other[1] == (b"shipstream:shipstream:6", "dropstream.other.unknown_event", "6")
    assert [kind for _, kind, _ in other[2:]] == ["dropstream.other.unknown_event"]


async def test_a_retry_meets_its_first_try_in_its_lane(settings: SettingsFactory) -> None:
    """With four lanes every delivery lies in its key's partition, its retry behind it, and the retry is dropped."""
    mine = settings(LANED + PROCESS, environ=ENVIRON, partitions=3)
    await apply(mine)
    async with serving(mine) as running:
        for body in (*LANES, *LANES):
            signature = b"X-Dreamship-Signature: " + hex_signature(body)
            assert (await running.ask(post("/webhooks/dreamship", body, signature))).status == 200
    tries = await read_raw(mine, 2 * len(LANES))
    assert {one.value for one in tries} == set(LANES)
    assert all((one.key, one.partition) == LANES[one.value or b""] for one in tries)
    async with working(mine):
        verdict = await audited(mine, 2 * len(LANES))
    assert (verdict.clean, verdict.outputs) == (True, {"orders": 5, "duplicates": 5}), verdict
    places = {f"{one.topic}/{one.partition}/{one.offset}": one.value for one in tries}
    for record in await read_topic(mine, "duplicates"):
        check_duplicate(record, places)


def check_duplicate(record: RawRecord, places: dict[str, bytes | None]) -> None:
    """It names two places with the same body in one partition, the first try before the retry."""
    note = json.loads(record.value or b"")
    first, retry = (tuple(map(int, note[name].split("/")[1:])) for name in ("first", "raw"))
    assert record.key == b"dreamship"
    assert places[note["first"]] == places[note["raw"]]
    assert first[0] == retry[0]
    assert first[1] < retry[1]
