"""What `dropstream reconcile` fetched becomes an event that says so, once, and never overtakes what is newer."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from processors.deliver.dedupe import DedupeStore
from processors.deliver.step import Rules, believed, deliver
from schemas.delivery import Delivery, kept_headers, raw_key, record_headers
from schemas.fetched import FetchOrigin
from schemas.records import Position, RawRecord
from schemas.times import timestamp_ms
from tests.providers.fixtures import providers
from tests.providers.outcomes import endpoint_fixture

RUN = "reconcile-20260521T143211Z-3fa9c1"
ASKED_AT = datetime(2026, 5, 21, 14, 32, 11, tzinfo=UTC)
ORDER = {
    "fetched": "order",
    "row": {
        "unique_id": "acme-7",
        "order_ref": "R-7",
        "status": "complete",
        "updated_at": "2026-05-21T10:00:00+00:00",
        "items": [{"order_item_id": "1", "sku": "MUG", "qty_ordered": "2.0000"}],
        "packages": [
            {
                "carrier": "fedex",
                "tracking": [{"number": "79", "track_url": "https://carrier.example/79"}],
                "order_items": [{"order_item_id": "1", "sku": "MUG", "quantity": 2}],
            }
        ],
    },
    "shipments": [{"shipment_id": 3, "updated_at": "2026-05-21T10:05:00+00:00"}],
}
STOCK = {"fetched": "inventory", "row": {"sku": "MUG", "qty_available": "4.0000", "qty_advertised": "5.0000"}}


def rules(**changes: Any) -> Rules:
    fixture = endpoint_fixture(providers()["shipstream"])
    return replace(fixture.rules(), **changes)


def fetched(body: object, *, newest_known: datetime | None = None, offset: int = 7) -> RawRecord:
    """The record that a run writes of a state."""
    text = body if isinstance(body, bytes) else orjson.dumps(body)
    delivery = Delivery(
        id="0197a3f0-0000-7000-8000-000000000001",
        provider="shipstream",
        endpoint="fixture",
        received_at=ASKED_AT,
        remote="acme.shipstream.app",
        headers=(),
        body=text,
        fetched=FetchOrigin(RUN, newest_known),
    )
    return RawRecord(
        position=Position("dropstream.raw", 3, offset),
        key=raw_key("fixture", 1, text),
        value=text,
        headers=record_headers(delivery),
        timestamp_ms=timestamp_ms(ASKED_AT),
    )


def store() -> DedupeStore:
    return DedupeStore(window_s=432_000)


def event(raw: RawRecord) -> dict[str, Any]:
    (record,) = deliver(raw, rules(), store())
    found: dict[str, Any] = json.loads(record.value)
    return found


def test_a_fetched_order_is_an_observed_one_without_a_sequence() -> None:
    """Its time is that of its newest change, its sender is nobody, and what it says is the state."""
    found = event(fetched(ORDER))
    assert {
        name: found.get(name) for name in ("type", "subject", "time", "timequality", "signature", "reconciled")
    } == {
        "type": "dropstream.order.observed",
        "subject": "acme-7",
        "time": "2026-05-21T10:05:00.000000Z",
        "timequality": "exact",
        "signature": "fetched",
        "reconciled": RUN,
    }
    assert {"sequence", "overtaken", "replay"} & found.keys() == set()
    assert (found["recordedtime"], found["providerevent"]) == ("2026-05-21T14:32:11.000000Z", "order.search")
    unsaid = {"variant_id": None, "cancelled": None, "seller_variant_id": None}
    line = {"item_id": "1", "sku": "MUG", **unsaid}
    assert {name: found["data"][name] for name in ("status", "provider_status", "reference", "items", "shipments")} == {
        "status": "packed",
        "provider_status": "complete",
        "reference": "R-7",
        "items": [{**line, "quantity": "2.0000"}],
        "shipments": [
            {
                "carrier": "fedex",
                "tracking_number": "79",
                "tracking_url": "https://carrier.example/79",
                "items": [{**line, "quantity": "2"}],
                "voided": None,
            }
        ],
    }
    assert found["data"]["payload"] == ORDER


@pytest.mark.parametrize(
    ("times", "status"),
    [
        ({}, "packed"),
        ({"shipped_at": "2026-05-21T11:00:00+00:00", "delivered_at": None}, "shipped"),
        ({"shipped_at": "2026-05-21T11:00:00+00:00", "delivered_at": "2026-05-21T12:00:00+00:00"}, "delivered"),
    ],
)
def test_a_complete_order_is_as_far_as_its_times_say(times: dict[str, str | None], status: str) -> None:
    """The status of an order stays `complete` from packing on; its webhooks would have told of the rest."""
    row = {**ORDER["row"], **times}  # type: ignore[dict-item] # a row
    found = event(fetched({**ORDER, "row": row}))
    assert (found["data"]["status"], found["data"]["provider_status"]) == (status, "complete")


def test_fetched_stock_counts_from_just_before_it_was_asked_for() -> None:
    """The API says no time of a figure; webhooks are dated in whole seconds, by another clock."""
    found = event(fetched(STOCK))
    assert (found["type"], found["subject"]) == ("dropstream.inventory.observed", "MUG")
    assert (found["time"], found["signature"]) == ("2026-05-21T14:32:06.000000Z", "fetched")
    assert (found["data"]["available"], found["data"]["advertised"]) == ("4.0000", "5.0000")


def test_the_same_state_fetched_twice_adds_nothing() -> None:
    """A second run repeats the id of an order's state, and the second record is the note of a repeat."""
    memory = store()
    (first,) = deliver(fetched(ORDER), rules(), memory)
    (second,) = deliver(fetched(ORDER, offset=8), rules(), memory)
    assert (first.topic, second.topic) == ("orders", "duplicates")


def test_a_state_counts_from_a_webhook_that_it_includes() -> None:
    """A webhook after the order's change and long before the question is in the answer: the event is not older."""
    included = ASKED_AT - timedelta(minutes=2)
    found = event(fetched(ORDER, newest_known=included))
    assert (found["time"], found.get("overtaken")) == ("2026-05-21T14:30:11.000000Z", None)
    assert found["id"] == event(fetched(ORDER))["id"]


def test_a_state_is_overtaken_by_a_webhook_that_it_may_lack() -> None:
    """From two minutes before the question on, nobody knows whether the answer includes the webhook."""
    raw = fetched(ORDER, newest_known=ASKED_AT - timedelta(minutes=1, seconds=59))
    found = event(raw)
    assert (found["time"], found["overtaken"]) == ("2026-05-21T10:05:00.000000Z", True)
    (record,) = deliver(raw, rules(), store())
    assert dict(record.headers)["overtaken"] == b"true"
    assert dict(record.headers)["reconciled"] == RUN.encode()


def test_a_sender_cannot_say_that_it_was_fetched() -> None:
    """The ingress keeps no header of a request that begins as ours do, however it is spelt."""
    forged = [(b"dropstream-origin", b"reconcile"), (b"Dropstream-Run", b"x"), (b"DROPSTREAM-NEWEST-KNOWN", b"y")]
    assert kept_headers([*forged, (b"X-Plugin-Hmac-Sha256", b"z")]) == (("x-plugin-hmac-sha256", b"z"),)


def test_a_record_that_only_resembles_a_fetched_one_is_judged_as_a_delivery() -> None:
    """Another word in the header of the origin makes no fetched record: then the signature is missing."""
    raw = fetched(ORDER)
    headers = tuple((name, b"Reconcile" if name == "dropstream-origin" else value) for name, value in raw.headers)
    (record,) = deliver(replace(raw, headers=headers), rules(), store())
    assert (record.topic, dict(record.headers)["dropstream-reason"]) == ("rejected", b"signature_missing")


@pytest.mark.parametrize(
    "body",
    [
        {"fetched": "order", "row": {"unique_id": "7"}},
        {"fetched": "order", "row": {"updated_at": "2026-05-21T10:00:00+00:00"}},
        {"fetched": "order", "row": {"unique_id": "7", "updated_at": "2026-05-21 10:00:00"}},
        {"fetched": "inventory", "row": {"qty_available": 1}},
        {"fetched": "weather", "row": {}},
        {"topic": "order:created", "message": {}},
        {},
    ],
)
def test_what_is_no_state_is_rejected(body: object) -> None:
    """Nothing is guessed of a row without its id or without its time."""
    (record,) = deliver(fetched(body), rules(), store())
    assert (record.topic, dict(record.headers)["dropstream-reason"]) == ("rejected", b"body_unrecognised")


def test_personal_data_of_what_was_fetched_is_redacted_as_everywhere() -> None:
    """Where events are redacted, those of fetched states are."""
    row = {**ORDER["row"], "shipping_address": {"firstname": "A"}, "status_history": [{"comment": "call B"}]}  # type: ignore[dict-item] # a row
    (record,) = deliver(fetched({**ORDER, "row": row}), rules(redact_personal_data=True), store())
    kept = json.loads(record.value)["data"]["payload"]["row"]
    assert kept["shipping_address"] == {"firstname": "[redacted]"}
    assert kept["status_history"] == [{"comment": "[redacted]"}]


def test_what_is_believed_is_known_without_remembering_it() -> None:
    """A reader of `raw` learns entity, key and time of a state; of a rejected delivery it learns nothing."""
    meaning = believed(fetched(ORDER), rules())
    assert meaning is not None
    assert meaning.natural_key == "fetched:order:acme-7:2026-05-21T10:05:00.000000Z"
    assert [fact.entity_id for fact in meaning.facts] == ["acme-7"]
    assert believed(fetched({}), rules()) is None
