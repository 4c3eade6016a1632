"""What the field sends, all the way: each case over HTTP, through real Kafka, comes out as its fixture says."""

import json
from datetime import date
from typing import Any

import pytest

from ops.kafka.reader import read_topic
from ops.kafka.topics import apply
from schemas.vocabulary import EVENT_TOPICS
from tests.conftest import SettingsFactory
from tests.integration.processors.test_contract_events import working
from tests.providers.fixtures import Fixture, load_fixtures
from tests.support.processing import PROCESS, audited
from tests.support.raw_http import post
from tests.support.serving import serving
from tests.support.waiting import UNHURRIED_MS
from tests.unit.processors.test_hostile_bodies import STOCK_OF_10_000

pytestmark = pytest.mark.kafka

# The cases from the field have this day of receipt; two of them stand on it, and are received on another one here.
FROM_THE_FIELD = date(2026, 11, 24)
OF_THAT_DAY = {"time-an-hour-ahead", "time-two-days-ahead"}
INGEST = f"""
[ingest]
host = "127.0.0.1"
port = 0
kafka_deadline_ms = {UNHURRIED_MS}
spool_bytes_max = 0
"""


async def test_every_case_from_the_field_comes_out_right(settings: SettingsFactory) -> None:
    """Each case at an endpoint of its own: its events, or its reason; and the audit finds nothing to say."""
    cases = {
        f"case-{number}": fixture
        for number, fixture in enumerate(load_fixtures())
        if fixture.received_at.date() == FROM_THE_FIELD and fixture.name not in OF_THAT_DAY
    }
    environ = {name.upper(): one.endpoint.secrets[0].value.value.decode() for name, one in cases.items()}
    tables = "".join(endpoint_table(name, fixture) for name, fixture in cases.items())
    mine = settings(INGEST + PROCESS + tables, environ=environ)
    await apply(mine)
    async with serving(mine) as running:
        for name, fixture in cases.items():
            lines = [f"{header}: ".encode() + value for header, value in fixture.headers]
            assert (await running.ask(post(f"/webhooks/{name}", fixture.body, *lines))).status == 200
    async with working(mine):
        verdict = await audited(mine, len(cases))
    assert (verdict.clean, verdict.pending) == (True, 0), verdict
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in cases}
    for topic in EVENT_TOPICS:
        for record in await read_topic(mine, topic):
            event = json.loads(record.value or b"")
            found[event["endpoint"]].append({"topic": topic, "key": (record.key or b"").decode(), **event})
    rejected = {
        headers["dropstream-endpoint"].decode(): headers["dropstream-reason"].decode()
        for headers in [
            {name: value or b"" for name, value in record.headers} for record in await read_topic(mine, "rejected")
        ]
    }
    for name, fixture in cases.items():
        if "rejected" in fixture.expected:
            assert rejected.pop(name) == fixture.expected["rejected"], fixture
        assert sorted(map(comparable, found[name])) == sorted(
            comparable({**event, "key": event["key"].replace(":fixture:", f":{name}:")})
            for event in fixture.expected.get("events", ())
        ), fixture
    assert rejected == {}


async def test_the_stock_of_ten_thousand_skus_comes_through(settings: SettingsFactory) -> None:
    """One delivery of more than a mebibyte is taken, and each of its SKUs has its event, in one transaction."""
    tables = '[endpoints.acme]\nprovider = "shipstream"\nsignature = "verify-if-present"\n'
    mine = settings(INGEST + PROCESS + tables, environ={}, partitions=1)
    await apply(mine)
    async with serving(mine) as running:
        body = json.dumps(STOCK_OF_10_000["shipstream"]).encode()
        assert (await running.ask(post("/webhooks/acme", body))).status == 200
    async with working(mine):
        verdict = await audited(mine, 1)
    assert (verdict.clean, verdict.pending, verdict.outputs) == (True, 0, {"inventory": 10_000}), verdict


def endpoint_table(name: str, fixture: Fixture) -> str:
    lines = [f"[endpoints.{name}]", f'provider = "{fixture.provider}"', f'secrets = ["env:{name.upper()}"]']
    if fixture.endpoint.signature is not None:
        lines.append(f'signature = "{fixture.endpoint.signature}"')
    return "\n".join([*lines, ""])


def comparable(event: dict[str, Any]) -> str:
    """What a fixture says of an event, as text; the time only where the provider says it."""
    names = ("topic", "key", "type", "subject", "timequality", "providerevent")
    time = "" if event["timequality"] == "received" else event["time"]
    data = {name: value for name, value in event["data"].items() if name != "payload"}
    return json.dumps([[event[name] for name in names], time, data])
