"""What ShipStream sends: https://docs.shipstream.io/ref/webhook.html"""

from typing import NotRequired, TypedDict


class ShipstreamMessage(TypedDict):
    """What every message has, beside the fields of its topic; `ShipstreamBody` shows one whole."""

    webhook_increment_id: int
    event_timestamp: str


class ShipstreamBody(TypedDict):
    """A body on the wire; other keys may stand beside these.

    {"merchant_code": "acme_inc", "topic": "shipment:packed", "message": {
        "unique_id": "100000595", "order_unique_id": "100000540", "order_status": "complete", "carrier": "ups",
        "items": [{"order_item_id": "2954", "sku": "A-500", "quantity": "1.0000"}],
        "packages": [{"package_id": "234", "tracker_id": "229", "items": [...], "tracking_numbers": ["TT234"]}],
        "trackers": [{"tracker_id": "229", "carrier": "ups", "tracking_number": "TT234"}],
        "webhook_increment_id": 3, "event_timestamp": "2026-11-24T09:59:09+00:00"}}
    """

    merchant_code: NotRequired[str]
    topic: str
    message: ShipstreamMessage


SIGNATURE_HEADER = "X-Plugin-Hmac-Sha256"
