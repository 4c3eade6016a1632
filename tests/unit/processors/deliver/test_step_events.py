"""The attributes of known events, written out: a change of the namespace, the recipe or a name must change this file.

The ids were made with openssl from RFC 9562's recipe: SHA-1 over the namespace's 16 bytes and the name.
"""

import base64
import hmac
import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from processors.deliver.step import deliver
from schemas.event_attributes import Event
from schemas.event_data import OtherData
from schemas.events import event_context, event_record
from schemas.records import Position, Record
from schemas.vocabulary import Domain, SignatureStatus, TimeQuality
from tests.providers.fixtures import Fixture, load_fixtures, providers
from tests.providers.outcomes import check_events, endpoint_fixture, nothing_seen, records

ORDER_CREATED = next(one for one in load_fixtures() if str(one) == "shipstream/order-created")
# The provider's ids are a stranger's text: C0, DEL, C1 and what Unicode calls no character.
HOSTILE = "A\x00\x1f\x7f\x85\ufdd0\ufffe\U0010ffffB"
OTHER = OtherData(payload={})
# All that can be said of a delivery.
SAID = event_context(
    natural_key="5",
    provider_event="product:created",
    time=datetime(2026, 5, 21, tzinfo=UTC),
    time_quality=TimeQuality.EXACT,
    received_at=datetime(2026, 5, 21, tzinfo=UTC),
    provider="shipstream",
    endpoint="fixture",
    signature=SignatureStatus.VERIFIED,
    sequence=5,
    raw=Position("dropstream.raw", 3, 7),
    delivery="0197a3f0-0000-7000-8000-000000000001",
    body_differs=True,
    repaired=True,
    repeated=True,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    replay="0197a3f0-0000-7000-8000-00000000000f",
    reconciled="reconcile-20260521T143211Z-3fa9c1",
    is_overtaken=True,
)


def attributes(record: Record) -> dict[str, Any]:
    """The event without its data."""
    event: dict[str, Any] = json.loads(record.value)
    del event["data"]
    return event


def about(sku: str) -> Fixture:
    """A signed ShipStream delivery of the product `sku`."""
    body = orjson.dumps({"topic": "product:created", "message": {"sku": sku, "webhook_increment_id": 5}})
    signature = base64.b64encode(hmac.digest(b"made-up", body, "sha256"))
    bare = endpoint_fixture(providers()["shipstream"])
    return replace(bare, body=body, headers=(("x-plugin-hmac-sha256", signature),))


def test_every_attribute_of_a_known_event() -> None:
    """The first event of the vendor's own example has exactly these attributes."""
    assert attributes(records(ORDER_CREATED)[0]) == {
        "specversion": "1.0",
        "id": "ef19b8bb-1db7-5337-b0f9-6510ee8c0c71",
        "source": "/dropstream/shipstream/fixture",
        "type": "dropstream.order.created",
        "subject": "100000015",
        "time": "2021-12-07T16:08:15.000000Z",
        "timequality": "exact",
        "recordedtime": "2021-12-07T16:08:16.000000Z",
        "provider": "shipstream",
        "endpoint": "fixture",
        "providerevent": "order:created",
        "signature": "verified",
        "sequence": "12",
        "rawtopic": "dropstream.raw",
        "rawpartition": 3,
        "rawoffset": "7",
        "delivery": "0197a3f0-0000-7000-8000-000000000001",
        "datacontenttype": "application/json",
        "dataschema": "urn:dropstream:schema:order-data:v1",
    }


def test_the_ids_of_a_known_delivery() -> None:
    """An id is the UUIDv5 of endpoint, natural key, domain and entity as a JSON list, in a namespace of our own."""
    ids = [attributes(record)["id"] for record in records(ORDER_CREATED) if record.topic != "sequence"]
    assert ids == [
        "ef19b8bb-1db7-5337-b0f9-6510ee8c0c71",  # ["fixture","12","order","100000015"]
        "394f8db7-9d5d-5859-98d8-34470ba3e26e",  # ["fixture","12","inventory","sku123"]
        "bac16432-bd76-5500-9257-478192b70f1f",  # ["fixture","12","inventory","sku456"]
    ]


def test_where_it_came_from_follows_the_raw_record() -> None:
    """Another offset and delivery change `rawoffset` and `delivery`, both text, and nothing else."""
    retry = replace(ORDER_CREATED, offset=2**40, delivery_id="0197a3f0-0000-7000-8000-000000000002")
    first, again = attributes(records(ORDER_CREATED)[0]), attributes(records(retry)[0])
    changed = {name: again[name] for name in again if again[name] != first[name]}
    assert changed == {"rawoffset": "1099511627776", "delivery": "0197a3f0-0000-7000-8000-000000000002"}


@pytest.mark.parametrize(
    ("name", "schemas"),
    [
        ("shipstream/order-created", ["order", "inventory", "inventory"]),
        ("shipstream/product-updated", ["catalog"]),
        ("shipstream/tracker-exception", ["order", "incident"]),
        ("shipstream/unknown-topic", ["other"]),
    ],
)
def test_every_domain_names_its_schema(name: str, schemas: list[str]) -> None:
    """`dataschema` is the versioned name of what `data` follows."""
    fixture = next(one for one in load_fixtures() if str(one) == name)
    found = [attributes(record)["dataschema"] for record in records(fixture) if record.topic != "sequence"]
    assert found == [f"urn:dropstream:schema:{domain}-data:v1" for domain in schemas]


def test_the_headers_of_an_event() -> None:
    """Content type, event type, provider and endpoint are headers, for filters that read no value."""
    assert records(ORDER_CREATED)[0].headers == (
        ("content-type", b"application/cloudevents+json; charset=UTF-8"),
        ("type", b"dropstream.order.created"),
        ("provider", b"shipstream"),
        ("endpoint", b"fixture"),
    )


def test_an_id_of_control_characters() -> None:
    """The key and the data hold the id exactly; the subject holds it with U+FFFD where CloudEvents forbids more."""
    catalog, _ = records(about(HOSTILE))
    event = json.loads(catalog.value)
    assert catalog.key == b"shipstream:fixture:A\x00\x1f\x7f\xc2\x85\xef\xb7\x90\xef\xbf\xbe\xf4\x8f\xbf\xbfB"
    assert event["subject"] == "A\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdB"
    assert event["data"]["sku"] == HOSTILE
    check_events((catalog,))


def test_two_ids_that_look_alike_stay_two() -> None:
    """Ids that differ only in what a subject cannot show have one subject, two keys and two event ids."""
    one, other = records(about("A\x01"))[0], records(about("A\x02"))[0]
    assert attributes(one)["subject"] == attributes(other)["subject"] == "A\ufffd"
    assert (one.key, other.key) == (b"shipstream:fixture:A\x01", b"shipstream:fixture:A\x02")
    assert attributes(one)["id"] != attributes(other)["id"]


@pytest.mark.parametrize("character", ["x", "€", "\U0001f600", "\x01"])
def test_an_id_of_255_characters(character: str) -> None:
    """It is the key's end in full, whatever its bytes, and the subject has 255 characters."""
    catalog, _ = records(about(character * 255))
    assert catalog.topic == "catalog"
    assert catalog.key == b"shipstream:fixture:" + character.encode() * 255
    assert attributes(catalog)["subject"] == ("\ufffd" if character == "\x01" else character) * 255
    check_events((catalog,))


def test_an_id_of_256_characters_is_none() -> None:
    """The delivery goes to `other`, whole, under its own natural key; it is not cut to another product's id."""
    other, _ = records(about("x" * 256))
    assert (other.topic, other.key) == ("other", b"shipstream:fixture:5")
    assert attributes(other)["type"] == "dropstream.other.unidentified"
    check_events((other,))


def test_the_first_processing_is_no_replay() -> None:
    """`replay` and `bodydiffers` are absent, not null; so is `sequence` where the provider has none."""
    dreamship = next(one for one in load_fixtures() if str(one) == "dreamship/order-created")
    (record,) = deliver(dreamship.record(), dreamship.rules(), nothing_seen())
    assert {"replay", "bodydiffers", "sequence"} & json.loads(record.value).keys() == set()


def test_an_event_has_the_attributes_that_are_documented() -> None:
    """Names and order are those of `Event`; what can be absent is absent, never null."""
    plain = json.loads(records(about("MUG"))[0].value)
    marked = json.loads(event_record(SAID, domain=Domain.OTHER, what="x", entity_id="1", data=OTHER).value)
    documented = [field.name for field in fields(Event)]
    absent = {"bodydiffers", "repaired", "repeated", "replay", "reconciled", "overtaken", "traceparent"}
    assert list(marked) == documented
    assert list(plain) == [name for name in documented if name not in absent]
