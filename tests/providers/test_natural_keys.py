"""What ShipStream's and Dropea's deliveries are known by: a retry has the same key, anything else another.

The digests were made by `printf ... | openssl dgst -sha256`.
"""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from processors.deliver.provider import Interpretation, Message
from processors.providers import discover

PROVIDERS = discover()
RECEIVED = datetime(2025, 5, 29, 12, 15, tzinfo=UTC)
V1 = {
    "topic": "order:status_update",
    "order_id": 265494,
    "prev_status": "confirmed",
    "new_status": "cancelled",
    "updated_at": "2025-05-29 14:14:58",
}
V2 = {
    "topic": "order.created",
    "market": "PT",
    "event_id": "24cdc4a3-7e0f-4d7b-bb5a-3c2af7c5b87c",
    "event_at": "2026-05-21T14:32:11.000Z",
    "resource_id": 14,
}


def natural_key(provider: str, body: dict[str, object], *, received_at: datetime = RECEIVED) -> str:
    text = json.dumps(body).encode()
    meaning = PROVIDERS[provider].interpret(Message(body, body, text, "dropea-orders", received_at))
    assert isinstance(meaning, Interpretation)
    return meaning.natural_key


def test_dropea_v1_is_known_by_what_it_says() -> None:
    """Endpoint, topic, id, both statuses and the time as written; the order of the fields does not matter."""
    key = "ff02e6c94d36f3d49af8063c976a137171f2a0b289cb7395769f82e1fe4f9f55"
    assert natural_key("dropea", dict(V1)) == key
    assert natural_key("dropea", dict(reversed(V1.items()))) == key


def test_dropea_v1_keeps_its_key_when_its_time_resolves_otherwise() -> None:
    """A retry of the autumn hour that comes an hour later is still a retry."""
    twice_told = V1 | {"updated_at": "2025-10-26 02:30:00"}
    early = natural_key("dropea", twice_told, received_at=datetime(2025, 10, 26, 0, 31, tzinfo=UTC))
    assert early == natural_key("dropea", twice_told, received_at=datetime(2025, 10, 26, 1, 31, tzinfo=UTC))


@pytest.mark.parametrize("field", V1)
def test_dropea_v1_differs_by_every_part(field: str) -> None:
    """Another topic, order, status or time is another delivery."""
    assert natural_key("dropea", V1 | {field: "9"}) != natural_key("dropea", dict(V1))


@pytest.mark.parametrize("field", ["order_id", "prev_status", "new_status", "updated_at"])
def test_dropea_v1_with_a_part_missing_is_known_by_its_bytes(field: str) -> None:
    """Two deliveries that lack the same part are told apart by the rest of their bodies."""
    one, another = V1 | {field: None, "note": 1}, V1 | {field: None, "note": 2}
    assert natural_key("dropea", one).startswith("sha256:")
    assert natural_key("dropea", one) != natural_key("dropea", another)


def test_dropea_v2_is_known_by_its_event_id() -> None:
    """Where it has none: by market, topic, resource and time."""
    assert natural_key("dropea", dict(V2)) == "24cdc4a3-7e0f-4d7b-bb5a-3c2af7c5b87c"
    assert (
        natural_key("dropea", V2 | {"event_id": None})
        == "8b67faa7becdf389ebd2207823679a58ea41ebe9ac35dee7e7f6f666fe97cd7a"
    )
    assert natural_key("dropea", V2 | {"event_id": None, "market": None}).startswith("sha256:")


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"webhook_increment_id": 12}, "12"),
        ({"webhook_increment_id": "12"}, "12"),
        ({"webhook_increment_id": 0}, "0"),
        ({"webhook_increment_id": 12, "increment_id": "1000029"}, "12"),
    ],
)
def test_shipstream_is_known_by_its_sequence_id(fields: dict[str, object], key: str) -> None:
    """`webhook_increment_id` as a number or as text; never the delivery's own `increment_id`."""
    assert natural_key("shipstream", {"topic": "delivery:created", "message": fields}) == key


@pytest.mark.parametrize("fields", [{}, {"increment_id": "1000029"}, {"webhook_increment_id": -1}, []])
def test_shipstream_without_a_sequence_id_is_known_by_its_bytes(fields: object) -> None:
    """The digest of the body is the last resort."""
    body: dict[str, object] = {"topic": "delivery:created", "message": fields}
    digest = hashlib.sha256(json.dumps(body).encode()).hexdigest()
    assert natural_key("shipstream", body) == f"sha256:{digest}"
