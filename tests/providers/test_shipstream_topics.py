"""Every topic of https://docs.shipstream.io/ref/topics.html in one table: the events it leads to, and their keys."""

import json
from datetime import UTC, datetime

import pytest

from processors.deliver.step import deliver
from schemas.sections.endpoints import EndpointSettings
from tests.providers.fixtures import Fixture
from tests.providers.outcomes import nothing_seen

ORDER = "shipstream:fixture:o1"
SKU = "shipstream:fixture:sku1"
RECEIVING = "shipstream:fixture:delivery:29"
SERIAL = "shipstream:fixture:sku:sku1"
LABEL = "shipstream:fixture:delivery_label:29"
IMPORT = "shipstream:fixture:import:29"
PACKAGE = "shipstream:fixture:package:29"
MANIFEST = "shipstream:fixture:manifest:29"

Fields = dict[str, object]

# As in the vendor's examples, every message holds more ids than the one that it goes by.
OF_ORDER: Fields = {"unique_id": "o1", "order_ref": "9099", "source": None}
OF_SHIPMENT: Fields = {"unique_id": "s1", "order_unique_id": "o1", "order_id": 4, "warehouse_id": "1"}
OF_TRACKER: Fields = {"tracker_id": 23, "order_unique_id": "o1", "shipment_unique_id": "s1", "warehouse_id": 1}
OF_PRODUCT: Fields = {"sku": "sku1", "external_id": "x1"}
OF_SERIAL: Fields = {"serial_id": 234, "product_id": 7, "sku": "sku1", "target_id": 15, "package_id": 22}
OF_DELIVERY: Fields = {"delivery_id": 29, "increment_id": "1000029", "merchant_ref": "r1"}
OF_STOCK: Fields = {
    "stock_adjustments": {"sku1": {"sku": "sku1", "product_id": 7, "qty_adjust": 1, "qty_available": 2}}
}

TOPICS: list[tuple[str, Fields, list[tuple[str, str]]]] = [
    ("order:created", OF_ORDER | OF_STOCK, [("order.created", ORDER), ("inventory.adjusted", SKU)]),
    ("order:canceled", OF_ORDER | OF_STOCK, [("order.cancelled", ORDER), ("inventory.adjusted", SKU)]),
    ("order:items_updated", OF_ORDER, [("order.items_updated", ORDER)]),
    ("order:holded", OF_ORDER, [("order.held", ORDER)]),
    ("order:completed", OF_ORDER, [("order.completed", ORDER)]),
    ("order:shipped", OF_ORDER, [("order.shipped", ORDER)]),
    ("order:delivered", OF_ORDER, [("order.delivered", ORDER)]),
    ("order:address_validation_failed", OF_ORDER, [("order.address_validation_failed", ORDER)]),
    ("order:address_changed", OF_ORDER, [("order.address_changed", ORDER)]),
    ("order:status_changed", OF_ORDER, [("order.status_changed", ORDER)]),
    ("order:shipments_updated", OF_ORDER, [("order.shipments_updated", ORDER)]),
    ("order:shipping_options_changed", OF_ORDER, [("order.shipping_options_changed", ORDER)]),
    ("inventory:adjusted", OF_STOCK, [("inventory.adjusted", SKU)]),
    ("product:created", OF_PRODUCT, [("catalog.product_created", SKU)]),
    ("product:updated", OF_PRODUCT, [("catalog.product_updated", SKU)]),
    ("product:deleted", OF_PRODUCT, [("catalog.product_deleted", SKU)]),
    (
        "product:sku_changed",
        OF_PRODUCT | {"old_sku": "sku0"},
        [("catalog.product_sku_changed", "shipstream:fixture:sku0"), ("catalog.product_sku_changed", SKU)],
    ),
    ("product_media:created", OF_PRODUCT, [("catalog.product_media_created", SKU)]),
    ("product_media:updated", OF_PRODUCT, [("catalog.product_media_updated", SKU)]),
    ("product_media:deleted", OF_PRODUCT, [("catalog.product_media_deleted", SKU)]),
    ("serial_number:created", OF_SERIAL, [("other.serial_number_created", SERIAL)]),
    ("serial_number:updated", OF_SERIAL, [("other.serial_number_updated", SERIAL)]),
    ("serial_number:checkin", OF_SERIAL, [("other.serial_number_checked_in", SERIAL)]),
    ("serial_number:checkout", OF_SERIAL, [("other.serial_number_checked_out", SERIAL)]),
    ("delivery:created", OF_DELIVERY, [("other.delivery_created", RECEIVING)]),
    ("delivery:canceled", OF_DELIVERY, [("other.delivery_cancelled", RECEIVING)]),
    ("delivery:accepted", OF_DELIVERY, [("other.delivery_accepted", RECEIVING)]),
    ("delivery:processed", OF_DELIVERY, [("other.delivery_processed", RECEIVING)]),
    (
        "delivery:exception",
        OF_DELIVERY,
        [("incident.delivery_exception", RECEIVING), ("other.delivery_exception", RECEIVING)],
    ),
    ("delivery:putaway", OF_DELIVERY, [("other.delivery_put_away", RECEIVING)]),
    (
        "delivery:committed",
        OF_DELIVERY | OF_STOCK,
        [("inventory.adjusted", SKU), ("other.delivery_committed", RECEIVING)],
    ),
    ("delivery:status_changed", OF_DELIVERY, [("other.delivery_status_changed", RECEIVING)]),
    (
        "delivery_label:created",
        {"unique_id": 29},
        [("other.delivery_label_created", LABEL)],
    ),
    (
        "delivery_label:voided",
        {"unique_id": 29},
        [("other.delivery_label_voided", LABEL)],
    ),
    ("import:created", {"unique_id": 29}, [("other.import_created", IMPORT)]),
    ("import:completed", {"unique_id": 29}, [("other.import_completed", IMPORT)]),
    ("shipment:packed", OF_SHIPMENT, [("order.shipment_packed", ORDER)]),
    ("shipment:shipped", OF_SHIPMENT, [("order.shipment_shipped", ORDER)]),
    ("shipment:delivered", OF_SHIPMENT, [("order.shipment_delivered", ORDER)]),
    ("shipment:reverted", OF_SHIPMENT, [("order.shipment_reverted", ORDER)]),
    ("shipment:labels_voided", OF_SHIPMENT, [("order.shipment_labels_voided", ORDER)]),
    ("package:packed", {"package_id": 29}, [("other.package_packed", PACKAGE)]),
    ("package:manifested", {"package_id": 29}, [("other.package_manifested", PACKAGE)]),
    ("package:shipped", {"package_id": 29}, [("other.package_shipped", PACKAGE)]),
    ("package:delivered", {"package_id": 29}, [("other.package_delivered", PACKAGE)]),
    ("tracker:updated", OF_TRACKER, [("order.tracker_updated", ORDER)]),
    ("tracker:delivered", OF_TRACKER, [("order.tracker_delivered", ORDER)]),
    (
        "tracker:exception",
        OF_TRACKER,
        [("order.tracker_exception", ORDER), ("incident.tracker_exception", ORDER)],
    ),
    ("track:created", OF_TRACKER | {"package_id": 22}, [("order.track_created", ORDER)]),
    (
        "manifest:sealed",
        {"manifest_id": 29, "warehouse_id": 1},
        [("other.manifest_sealed", MANIFEST)],
    ),
    (
        "manifest:loaded",
        {"manifest_id": 29, "warehouse_id": 1},
        [("other.manifest_loaded", MANIFEST)],
    ),
    # Vendor code sends it: https://github.com/ShipStream/middleware. It names nothing, so it goes by its sequence id.
    ("test:ping", {}, [("other.ping", "shipstream:fixture:12")]),
]


def events(topic: str, fields: Fields) -> list[tuple[str, str]]:
    message = {**fields, "webhook_increment_id": 12, "event_timestamp": "2021-12-07T16:08:15+00:00"}
    fixture = Fixture(
        provider="shipstream",
        name=topic,
        body=json.dumps({"topic": topic, "message": message}).encode(),
        headers=(),
        received_at=datetime(2021, 12, 7, 16, 8, 16, tzinfo=UTC),
        endpoint=EndpointSettings(provider="shipstream", signature="verify-if-present"),
        expected={},
    )
    records = deliver(fixture.record(), fixture.rules(), nothing_seen())
    return [
        (dict(record.headers)["type"].decode().removeprefix("dropstream."), record.key.decode()) for record in records
    ]


@pytest.mark.parametrize(("topic", "fields", "expected"), TOPICS, ids=[topic for topic, _, _ in TOPICS])
def test_a_topic_leads_to_its_events(topic: str, fields: Fields, expected: list[tuple[str, str]]) -> None:
    """Every documented topic has its own event, keyed by the entity that the vendor's page names."""
    assert events(topic, fields) == expected


def test_the_table_holds_every_documented_topic() -> None:
    """51 topics stand on the vendor's page; `test:ping` comes from the vendor's code."""
    assert len({topic for topic, _, _ in TOPICS}) == len(TOPICS) == 52


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("order:teleported", "order"),
        ("Order:Created", "unknown"),
        ("order.created", "unknown"),
        ("order:created ", "order"),
    ],
)
def test_a_topic_that_is_not_on_the_page_is_kept_under_other(topic: str, kind: str) -> None:
    """An unknown name never guesses a domain, and never goes away."""
    assert events(topic, dict(OF_ORDER)) == [("other.unknown_event", f"shipstream:fixture:{kind}:o1")]


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("unique_id", "moon"),
        ("order_unique_id", "order"),
        ("delivery_id", "delivery"),
        ("package_id", "package"),
        ("tracker_id", "tracker"),
        ("sku", "sku"),
    ],
)
def test_an_unknown_topic_goes_by_the_first_id_that_it_has(field: str, kind: str) -> None:
    """What is unknown stays in order with its entity where one is named."""
    found = events("moon:full", {field: "o1", "colour": "red"})
    assert found == [("other.unknown_event", f"shipstream:fixture:{kind}:o1")]


def test_what_counts_from_1_each_for_itself_never_shares_a_key() -> None:
    """Delivery 29, label 29, import 29, package 29 and manifest 29 are five things with five keys."""
    ids: Fields = {"delivery_id": 29, "unique_id": 29, "package_id": 29, "manifest_id": 29}
    topics = ("delivery:created", "delivery_label:created", "import:created", "package:packed", "manifest:sealed")
    keys = [events(topic, ids)[-1][1] for topic in topics]
    assert keys == [RECEIVING, LABEL, IMPORT, PACKAGE, MANIFEST]
