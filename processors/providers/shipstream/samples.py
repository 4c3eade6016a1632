"""Webhooks of ShipStream that `dropstream send` makes up and signs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import orjson

from processors.deliver.signatures import base64_text, mac
from processors.providers.shipstream.wire import SIGNATURE_HEADER, ShipstreamBody, ShipstreamMessage
from schemas.times import rfc3339, timestamp_ms


def sign(body: bytes, secret: bytes, _at: datetime) -> Mapping[str, str]:
    """The headers of a webhook that ShipStream has signed."""
    return {SIGNATURE_HEADER: base64_text(mac(secret, body)).decode()}


def _sample_body(topic: str, number: int, at: datetime, fields: Mapping[str, Any]) -> bytes:
    common = ShipstreamMessage(webhook_increment_id=number, event_timestamp=rfc3339(at))
    message = cast(ShipstreamMessage, {**fields, **common})
    return orjson.dumps(ShipstreamBody(merchant_code="sample", topic=topic, message=message))


def _sample_stock(sku: str, adjustment: int, number: int) -> dict[str, Any]:
    left = 100 + number % 100
    figures = {"qty_adjust": adjustment, "qty_available": left, "qty_advertised": left}
    return {"sku": sku, "external_id": None, "product_id": 7, **figures}


def sample_order(number: int, at: datetime) -> bytes:
    """An order of two SKUs, with the stock that is left of each."""
    run = f"{timestamp_ms(at)}-{number}"
    sold = {f"MUG-BLUE-{run}": 2, f"MUG-RED-{run}": 1}
    fields = {
        "unique_id": run,
        "order_ref": f"SAMPLE-{number}",
        "source": None,
        "stock_adjustments": {sku: _sample_stock(sku, -count, number) for sku, count in sold.items()},
        "items": [
            {"order_item_id": str(line), "sku": sku, "name": sku, "qty_ordered": f"{count}.0000"}
            for line, (sku, count) in enumerate(sold.items(), start=1)
        ],
    }
    return _sample_body("order:created", number, at, fields)


def sample_adjustment(number: int, at: datetime) -> bytes:
    """Five more of one SKU."""
    sku = f"MUG-BLUE-{timestamp_ms(at)}-{number}"
    fields = {"stock_adjustments": {sku: _sample_stock(sku, 5, number)}}
    return _sample_body("inventory:adjusted", number, at, fields)
