"""What a state means that was fetched from ShipStream's API by `ops.reconcile`."""

from collections.abc import Iterator, Mapping
from typing import Any

from processors.deliver.fetched import asked_about
from processors.deliver.fields import decimal_text, mapping, objects, text, text_id
from processors.deliver.provider import Fact, Interpretation, Message
from processors.deliver.times import Occurred, read_instant
from processors.providers.shipstream.items import items_of
from processors.providers.shipstream.shipments import NO_SHIPMENT
from processors.providers.shipstream.statuses import status_of, status_of_completed
from schemas.event_data import InventoryData, OrderData, Shipment
from schemas.notes.rejections import Reason, Rejection
from schemas.times import rfc3339
from schemas.vocabulary import Domain, TimeQuality


def interpret_fetched(message: Message) -> Interpretation | Rejection:
    """What `{"fetched": "order" or "inventory", "row": {...}}` means, a state that `ops.reconcile` fetched."""
    read = {"order": _fetched_order, "inventory": _fetched_stock}.get(text(message.body.get("fetched")) or "")
    if read is None:
        return Rejection(Reason.BODY_UNRECOGNISED, "it is no state that is fetched from ShipStream")
    return read(mapping(message.body.get("row")), message)


def _fetched_order(row: Mapping[str, Any], message: Message) -> Interpretation | Rejection:
    """The state of an order; a shipment that changed last makes it as new as the shipment."""
    order_id = text_id(row.get("unique_id"))
    updates = [read_instant(one.get("updated_at")) for one in (row, *objects(message.body.get("shipments")))]
    changed_at = max([one for one in updates if one is not None], default=None)
    if order_id is None or changed_at is None:
        return Rejection(Reason.BODY_UNRECOGNISED, "the fetched order has no unique_id or no updated_at")
    word = text(row.get("status"))
    data = OrderData(
        order_id=order_id,
        reference=text_id(row.get("order_ref")),
        status=status_of_completed(row) if word == "complete" else status_of(word, row.get("state")),
        provider_status=word,
        items=items_of(row.get("items")),
        shipments=tuple([one for package in objects(row.get("packages")) for one in _fetched_parcels(package)]),
        payload=message.payload,
    )
    return Interpretation(
        provider_event="order.search",
        natural_key=f"fetched:order:{order_id}:{rfc3339(changed_at)}",
        occurred=Occurred(changed_at, TimeQuality.EXACT),
        facts=(Fact(Domain.ORDER, "observed", order_id, data),),
    )


def _fetched_parcels(package: Mapping[str, Any]) -> Iterator[Shipment]:
    """One for each tracking number of a package, at least one unless the package says nothing."""
    carrier, trackings = text(package.get("carrier")), objects(package.get("tracking"))
    items = items_of(package.get("order_items")) if len(trackings) < 2 else ()
    for tracking in trackings or [{}]:
        parcel = Shipment(
            carrier=carrier,
            tracking_number=text_id(tracking.get("number")),
            tracking_url=text(tracking.get("track_url")),
            items=items,
        )
        if parcel != NO_SHIPMENT:
            yield parcel


def _fetched_stock(row: Mapping[str, Any], message: Message) -> Interpretation | Rejection:
    """The stock of a SKU when it was asked for: the API says no time."""
    sku = text_id(row.get("sku"))
    if sku is None:
        return Rejection(Reason.BODY_UNRECOGNISED, "the fetched stock has no sku")
    data = InventoryData(
        sku=sku,
        available=decimal_text(row.get("qty_available")),
        advertised=decimal_text(row.get("qty_advertised")),
        payload=message.payload,
    )
    return Interpretation(
        provider_event="inventory.list",
        natural_key=f"fetched:inventory:{sku}:{rfc3339(message.received_at)}",
        occurred=asked_about(message),
        facts=(Fact(Domain.INVENTORY, "observed", sku, data),),
    )
