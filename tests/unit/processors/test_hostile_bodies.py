"""What a hostile or a huge delivery may cost: a bounded number of bounded records, whatever its megabyte holds."""

from datetime import UTC, datetime

import orjson
import pytest

from processors.deliver.step import Rules, deliver
from processors.providers import discover
from processors.replay import endpoint_of
from schemas.configuration import Context, read_configuration
from schemas.delivery import Delivery, read_record, record_headers
from schemas.notes.rejections import read_rejected
from schemas.records import Position, RawRecord, Record
from schemas.topics import record_bytes_max
from tests.providers.outcomes import header, nothing_seen

MEBIBYTE = 1_048_576
SETTINGS = read_configuration(
    "".join(
        f'[endpoints.{name}]\nprovider = "{name}"\nsignature = "verify-if-present"\n'
        for name in ("dreamship", "shipstream", "modern_dropship", "dropea")
    ),
    source="test",
    context=Context({}, ("dreamship", "shipstream", "modern_dropship", "dropea")),
)
RULES = Rules(SETTINGS.endpoints, discover(), record_bytes_max(SETTINGS))


def filled(start: bytes, entry: bytes, end: bytes) -> bytes:
    """As many entries as a mebibyte holds."""
    count = (MEBIBYTE - len(start) - len(end)) // (len(entry) + 1)
    return start + b",".join([entry] * count) + end


def numbered(start: bytes, entry: bytes, end: bytes) -> bytes:
    """The same, each entry with a number of its own in the place of %d."""
    count = (MEBIBYTE - len(start) - len(end)) // (len(entry) + 7)
    return start + b",".join(entry % number for number in range(count)) + end


SHAPES = {
    "dropea, empty items": (
        "dropea",
        filled(
            b'{"topic":"order.created","market":"PT","event_id":"e","resource_id":1,"resource":{"line_items":[',
            b"{}",
            b"]}}",
        ),
    ),
    "dropea, a market without end": (
        "dropea",
        orjson.dumps({"topic": "order.created", "market": "ΐ" * 320_000, "resource_id": 1}),
    ),
    "dreamship, empty items": ("dreamship", filled(b'{"id":1,"status":"x","line_items":[', b"{}", b"]}")),
    "modern, short variants": (
        "modern_dropship",
        numbered(b'{"_id":"1","type":"variant.unavailable","data":{"variants":[', b"%d", b"]}}"),
    ),
    "shipstream, a map of stock": (
        "shipstream",
        numbered(
            b'{"topic":"inventory:adjusted","message":{"webhook_increment_id":1,"stock_adjustments":{',
            b'"%d":{}',
            b"}}}",
        ),
    ),
    "shipstream, 7,000 real adjustments": (
        "shipstream",
        numbered(
            b'{"topic":"inventory:adjusted","message":{"webhook_increment_id":1,"stock_adjustments":{',
            b'"SKU-%d":{"sku":"SKU","external_id":null,"product_id":1,"qty_adjust":-1,"qty_available":10,"qty_advertised":10,'
            b'"a":"0123456789012345678901"}',
            b"}}}",
        ),
    ),
}


def _variant(number: int) -> dict[str, object]:
    price = {"retailPrice": 12.5, "retailCurrency": "USD", "basePrice": 8.25, "baseCurrency": "USD"}
    size = {"weight": 1.5, "weightUnits": "lb", "dimensions": {"length": 1, "width": 2, "height": 3, "units": "in"}}
    own = {"id": f"{number:024x}", "sku": f"SKU-{number}", "title": f"Variant {number}", "inventoryAmount": 5}
    code = {"barcode": "0123456789012", "barcodeType": "EAN", "options": [{"name": "Size", "value": "M"}]}
    return {**own, **price, **code, "skipCount": False, **size, "attributes": {}}


def _adjustment(sku: str) -> dict[str, object]:
    figures = {"qty_adjust": -5, "qty_available": 95, "qty_advertised": 95}
    return {"sku": sku, "external_id": None, "product_id": 7, **figures}


STOCK_OF_10_000: dict[str, dict[str, object]] = {
    "shipstream": {
        "topic": "inventory:adjusted",
        "message": {
            "stock_adjustments": {sku: _adjustment(sku) for sku in (f"SHOP-{number:06}" for number in range(10_000))},
            "webhook_increment_id": 12,
        },
    },
    "modern_dropship": {
        "_id": "1",
        "type": "product.inventoryChanged",
        "data": {"id": "2", "variants": [_variant(number) for number in range(10_000)]},
    },
}


def become(provider: str, body: bytes) -> tuple[Record, ...]:
    delivery = Delivery("id", provider, provider, datetime(2026, 5, 21, tzinfo=UTC), "192.0.2.1", (), body)
    headers = tuple(record_headers(delivery))
    return deliver(RawRecord(Position("raw", 0, 7), b"k", body, headers, 0), RULES, nothing_seen())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_megabyte_becomes_few_and_small_records(shape: str) -> None:
    """At most 25,000 records, none larger than its topic takes; where that cannot be, one rejected record."""
    provider, body = SHAPES[shape]
    records = become(provider, body)
    assert 1 <= len(records) <= 25_000
    assert max(record.bytes_count for record in records) <= RULES.record_bytes_max
    if records[0].topic == "rejected":
        assert len(records) == 1
        assert records[0].value == body


def test_a_large_real_stock_change_is_not_rejected() -> None:
    """Thousands of SKUs in one delivery are a shop's right."""
    records = become(*SHAPES["shipstream, 7,000 real adjustments"])
    assert {record.topic for record in records} <= {"inventory", "other"}
    assert len(records) > 1


@pytest.mark.parametrize("provider", ["shipstream", "modern_dropship"])
def test_the_stock_of_ten_thousand_skus_fits_the_defaults(provider: str) -> None:
    """One delivery of 10,000 SKUs, with all that the vendor says of each, is within every bound, and one event each."""
    body = orjson.dumps(STOCK_OF_10_000[provider])
    assert MEBIBYTE < len(body) <= SETTINGS.ingest.body_bytes_max
    records = become(provider, body)
    assert [record.topic for record in records] == ["inventory"] * 10_000
    assert sum(record.bytes_count for record in records) < 20 * MEBIBYTE


def test_a_record_that_cannot_be_copied_is_named() -> None:
    """What another producer wrote too large for `rejected` is told by its place, and stops nothing."""
    value = b"x" * (RULES.record_bytes_max - 50)
    (record,) = deliver(RawRecord(Position("raw", 3, 9), b"k", value, (), 0), RULES, nothing_seen())
    assert record.value == b""
    assert header(record, "dropstream-raw") == "raw/3/9"
    assert header(record, "dropstream-reason") == "endpoint_unknown"


@pytest.mark.parametrize("name", ["anything", "dropstream-endpoint", "dropstream-delivery", "traceparent"])
def test_a_header_without_a_value_stops_nothing(name: str) -> None:
    """Kafka lets another producer write one; its record is rejected, can be read again, and is of no endpoint."""
    headers = (("dropstream-endpoint", b"dreamship"), (name, None))
    raw = RawRecord(Position("raw", 3, 9), None, None, headers, 0)
    (record,) = deliver(raw, RULES, nothing_seen())
    assert (record.topic, record.headers[:2]) == ("rejected", (headers[0], (name, b"")))
    found = read_rejected(RawRecord(raw.position, record.key, record.value, record.headers, 0))
    assert found is not None
    named = "" if name == "dropstream-endpoint" else "dreamship"
    assert endpoint_of(raw) == endpoint_of(found[0]) == read_record(raw).endpoint == named


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "nonsense", ""])
@pytest.mark.parametrize("timestamp_ms", [-(2**62), 2**62, -1, 0])
def test_no_time_of_a_record_is_an_error(text: str, timestamp_ms: int) -> None:
    """Kafka takes any number as a time, and another producer may write any header."""
    headers = (("dropstream-received-at", text.encode()),)
    received_at = read_record(RawRecord(Position("raw", 0, 1), b"k", b"", headers, timestamp_ms)).received_at
    assert received_at.tzinfo is UTC
