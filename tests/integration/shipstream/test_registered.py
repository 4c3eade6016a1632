"""The whole way: an endpoint is registered at ShipStream, and what ShipStream then sends becomes a verified event."""

import base64
import json
import subprocess

import aiohttp
import pytest

from ops.kafka.topics import apply
from processors.deliver.dedupe import DedupeStore
from processors.deliver.step import Rules, deliver
from processors.providers import discover
from schemas.topics import record_bytes_max
from tests.conftest import SettingsFactory
from tests.integration.ops.test_send import raw_records
from tests.integration.shipstream.conftest import Dropstream
from tests.integration.shipstream.instance import Shipstream
from tests.support.serving import serving

BODY = json.dumps(
    {
        "topic": "inventory:adjusted",
        "message": {
            "webhook_increment_id": 1,
            "event_timestamp": "2026-03-01T12:00:00+00:00",
            "stock_adjustments": {"MUG": {"sku": "MUG", "qty_adjust": 5, "qty_available": 7, "qty_advertised": 7}},
        },
    }
).encode()


@pytest.fixture
def lines(dropstream: Dropstream) -> str:
    """The lines that registering an endpoint gives."""
    ended = dropstream(
        *("endpoints", "add", "acme", "--provider", "shipstream"),
        *("--url", "https://hooks.example", "--topics", "inventory:adjusted"),
    )
    assert ended.code == 0
    return ended.stdout


async def test_what_the_registered_webhook_sends_is_verified(
    lines: str, shipstream: Shipstream, settings: SettingsFactory
) -> None:
    """The URL that ShipStream was given is the ingress's, and its secret is the endpoint's."""
    mine = settings(f'[ingest]\nhost = "127.0.0.1"\nport = 0\nspool_bytes_max = 0\n{lines}')
    await apply(mine)
    (webhook,) = shipstream.webhooks
    mac = subprocess.run(  # noqa: ASYNC221 a moment, in a test
        ["openssl", "dgst", "-sha256", "-hmac", webhook["secret_key"], "-binary"],
        input=BODY,
        check=True,
        capture_output=True,
    ).stdout
    signed = base64.b64encode(mac).decode()
    async with serving(mine) as running, aiohttp.ClientSession() as http:
        path = webhook["url"].removeprefix("https://hooks.example")
        url = f"http://127.0.0.1:{running.port}{path}"
        async with http.post(url, data=BODY, headers={"X-Plugin-Hmac-Sha256": signed}) as answer:
            assert answer.status == 200
        async with http.post(url[:-1], data=BODY, headers={"X-Plugin-Hmac-Sha256": signed}) as answer:
            assert answer.status == 404
    (raw,) = await raw_records(mine, 1)
    outputs = deliver(
        raw,
        Rules(mine.endpoints, discover(), record_bytes_max=record_bytes_max(mine)),
        DedupeStore(window_s=1),
    )
    event = next(json.loads(one.value or b"") for one in outputs if one.topic == "inventory")
    assert (event["signature"], event["subject"], event["data"]["available"]) == ("verified", "MUG", "7")
