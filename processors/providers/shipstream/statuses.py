"""ShipStream's words for how far an order has come."""

from collections.abc import Mapping
from typing import Any

from processors.deliver.fields import text
from schemas.vocabulary import OrderStatus

# States and statuses of https://docs.shipstream.io/ref/order.html, "Order States and Statuses"; `partial_backorder`
# belongs to two states and is left to the state. There `complete` means that the whole order is packed and labelled, so
# that shipping and delivery come after it. `pending` and `closed` are Magento's, on which the platform is built.
_ORDER_STATUSES: Mapping[str | None, OrderStatus] = {
    "new": OrderStatus.PENDING,
    "pending": OrderStatus.PENDING,
    "backordered": OrderStatus.PENDING,
    "processing": OrderStatus.PROCESSING,
    "holded": OrderStatus.ON_HOLD,
    "delayed_shipment": OrderStatus.ON_HOLD,
    "unresolved": OrderStatus.ON_HOLD,
    "invalid_address": OrderStatus.ON_HOLD,
    "unable_to_process": OrderStatus.ON_HOLD,
    "complete": OrderStatus.PACKED,
    "shipped": OrderStatus.SHIPPED,
    "delivered": OrderStatus.DELIVERED,
    "closed": OrderStatus.COMPLETED,
    "canceled": OrderStatus.CANCELLED,
}


def status_of(word: str | None, state: object) -> OrderStatus | None:
    """The status in our words, by ShipStream's status or else by its state; None where neither is known."""
    return _ORDER_STATUSES.get(word) or _ORDER_STATUSES.get(text(state))


def status_of_completed(row: Mapping[str, Any]) -> OrderStatus:
    """How far an order has come whose status stays `complete` from then on: https://docs.shipstream.io/ref/order.html"""
    if row.get("delivered_at") is not None:
        return OrderStatus.DELIVERED
    return OrderStatus.PACKED if row.get("shipped_at") is None else OrderStatus.SHIPPED
