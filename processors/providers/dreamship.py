"""Dreamship: advanced webhooks (an envelope with an `event`) and the older basic ones (a bare order).

Vendor's page: https://docs.dreamship.com/reference/webhooks. `data` is the object's latest state, not its state at the
event; so it is mapped as it is and no history is derived from it.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypedDict

import orjson

from processors.deliver.fetched import asked_about
from processors.deliver.fields import decimal_text, first_id, mapping, objects, text, text_id, truth
from processors.deliver.personal import PersonalFields
from processors.deliver.provider import Fact, Interpretation, Message, Provider, Sample, Setup
from processors.deliver.signatures import Claim, hex_text, list_header, mac, segments
from processors.deliver.times import Occurred, occurred_at
from schemas.delivery import Delivery
from schemas.event_data import CatalogData, IncidentData, InventoryData, Item, OrderData, OtherData, Shipment
from schemas.notes.rejections import Reason, Rejection
from schemas.retry_policy import Loss, RetryPolicy
from schemas.sections.endpoints import EndpointSettings
from schemas.times import rfc3339
from schemas.vocabulary import Domain, IncidentStatus, OrderStatus, TimeQuality


class DreamshipEvent(TypedDict):
    """What happened; `uuid` is the id of the delivery."""

    uuid: str
    object_id: int
    object_type: str
    action: str
    message: str
    timestamp: str
    user: str


class DreamshipBody(TypedDict):
    """An advanced webhook on the wire; a basic one is the bare order that stands in `data` here.

    {"id": 3346950, "object": "order",
     "event": {"uuid": "85fd0f85-...", "object_id": 3346950, "object_type": "order", "action": "order-status-updated",
               "message": "...", "timestamp": "2026-11-24T09:59:00.103721Z", "user": "System"},
     "data": {"id": 3346950, "status": "fulfilled", "reference_id": "PO-7",
              "line_items": [{"id": 972329, "quantity": 1, "item_variant": 2342}],
              "fulfillments": [{"id": 1, "trackings": [{"tracking_number": "9400", "carrier": "USPS"}]}]}}
    """

    id: int
    object: str
    event: DreamshipEvent
    data: Mapping[str, Any]


_SIGNATURE_HEADER = "X-Dreamship-Signature"
# Ours, made once: the ids of sample deliveries rest on it.
_SAMPLES = uuid.UUID("0d5b3f0c-6f52-4d0e-8a0b-5c7f0a1f8e21")

# The vendor shows the full list of names in its app only, so it is open: any other name is an unknown event.
_EVENTS: dict[str, tuple[Domain, str]] = {
    "order-created": (Domain.ORDER, "created"),
    "order-deleted": (Domain.ORDER, "deleted"),
    "order-reprinted": (Domain.ORDER, "reprinted"),
    "order-status-updated": (Domain.ORDER, "status_changed"),
    "order-details-updated": (Domain.ORDER, "details_changed"),
    "tracking-added": (Domain.ORDER, "tracking_added"),
    "tracking-updated": (Domain.ORDER, "tracking_changed"),
    "tracking-deleted": (Domain.ORDER, "tracking_deleted"),
    "print-file-added": (Domain.ORDER, "print_file_added"),
    "print-file-removed": (Domain.ORDER, "print_file_removed"),
    "line-item-details-updated": (Domain.ORDER, "line_item_details_changed"),
    "line-item-added": (Domain.ORDER, "line_item_added"),
    "line-item-removed": (Domain.ORDER, "line_item_removed"),
    "line-ticket-opened": (Domain.INCIDENT, "opened"),
    "line-ticket-closed": (Domain.INCIDENT, "closed"),
    "item-variant-availability-updated": (Domain.INVENTORY, "availability_changed"),
    "item-variant-added": (Domain.CATALOG, "variant_added"),
    "product-created": (Domain.CATALOG, "product_created"),
    "product-deleted": (Domain.CATALOG, "product_deleted"),
}
# Ten tries in 72 hours, so the first retry may come eight hours after an answer that was lost.
_BODY_ONLY_S = 9 * 3_600
_UNKNOWN = (Domain.OTHER, "unknown_event")
# `order`, `item`, `product`; bounded, for it becomes part of subjects and keys.
_OBJECT_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")

# The app's words (https://dreamship.com/en/support/manage-your-orders-on-dreamship-app/), spelt as `fulfilled` is.
_STATUSES = {
    "draft": OrderStatus.DRAFT,
    "submitted": OrderStatus.PENDING,
    "accepted": OrderStatus.CONFIRMED,
    "rejected": OrderStatus.REJECTED,
    "partially_fulfilled": OrderStatus.PARTIALLY_SHIPPED,
    "fulfilled": OrderStatus.SHIPPED,
    "cancelled": OrderStatus.CANCELLED,
    "canceled": OrderStatus.CANCELLED,
}
_TICKET_STATUSES = {"opened": IncidentStatus.PENDING, "closed": IncidentStatus.RESOLVED}


def _claim(delivery: Delivery, _: EndpointSettings) -> Claim | Rejection | None:
    """One lower-case hex MAC of the body per API key of the account, separated by commas."""
    value = list_header(delivery, _SIGNATURE_HEADER.lower())
    return None if value is None else Claim(segments(value), delivery.body, (hex_text,))


def _interpret(message: Message) -> Interpretation | Rejection:
    body = message.body
    if isinstance(body.get("event"), dict):
        return _advanced(message)
    if "event" not in body and text_id(body.get("id")) and body.keys() & {"status", "line_items", "fulfillments"}:
        return _basic(message)
    return Rejection(Reason.BODY_UNRECOGNISED, "the body has no event object and is no order")


def _advanced(message: Message) -> Interpretation:
    event = mapping(message.body.get("event"))
    action = text(event.get("action")) or ""
    return Interpretation(
        provider_event=action,
        natural_key=text_id(event.get("uuid")) or f"sha256:{message.digest}",
        occurred=occurred_at(event.get("timestamp"), received_at=message.received_at),
        facts=(_fact(message, *_EVENTS.get(action, _UNKNOWN)),),
    )


def _basic(message: Message) -> Interpretation:
    """A change of an order's status; the body has no event id and no time."""
    order_id = text_id(message.body.get("id"))
    data = _order_data(message.body, order_id, message.payload)
    return Interpretation(
        provider_event="basic",
        natural_key=f"sha256:{message.digest}",
        occurred=Occurred(message.received_at, TimeQuality.RECEIVED),
        facts=(Fact(Domain.ORDER, "status_changed", order_id, data),),
        body_only_s=_BODY_ONLY_S,
    )


def _interpret_fetched(message: Message) -> Interpretation | Rejection:
    """What an order means that `ops.reconcile` fetched; the API says no time of its change."""
    order_id = text_id(message.body.get("id"))
    if message.body.get("fetched") != "order" or order_id is None:
        return Rejection(Reason.BODY_UNRECOGNISED, "it is no order that is fetched from Dreamship")
    return Interpretation(
        provider_event="GET orders",
        natural_key=f"fetched:order:{order_id}:{rfc3339(message.received_at)}",
        occurred=asked_about(message),
        facts=(_fact(message, Domain.ORDER, "observed"),),
    )


def _fact(message: Message, domain: Domain, what: str) -> Fact:
    body, data = message.body, mapping(message.body.get("data"))
    object_id = mapping(body.get("event")).get("object_id")
    own_id = first_id(body.get("id"), object_id)
    order_id = _order_id(body)
    order_key = first_id(order_id, object_id, own_id)
    match domain:
        case Domain.ORDER:
            # The `status` of a line or a tracking is not the order's.
            order = data if _is_order(body) else {}
            return Fact(domain, what, order_key, _order_data(order, order_id, message.payload))
        case Domain.INCIDENT:
            return Fact(domain, what, order_key, _incident_data(body, what, message.payload))
        case Domain.INVENTORY:
            return Fact(domain, what, own_id, _inventory_data(data, own_id, message.payload))
        case Domain.CATALOG:
            return Fact(domain, what, own_id, _catalog_data(data, what, own_id, message.payload))
        case Domain.OTHER:
            kind = None if own_id is None else _kind(body)
            other = OtherData(entity_id=own_id, entity_kind=kind, payload=message.payload)
            return Fact(domain, what, own_id, other, kind=kind)


def _order_id(body: Mapping[str, Any]) -> str | None:
    """The order that an envelope is about; of a line, a tracking or a print file, where its data names the order."""
    event, data = mapping(body.get("event")), mapping(body.get("data"))
    return first_id(
        body.get("id") if _is_order(body) else None,
        data.get("order"),
        mapping(data.get("order")).get("id"),
        data.get("order_id"),
        event.get("object_id") if event.get("object_type") == "order" else None,
    )


def _kind(body: Mapping[str, Any]) -> str:
    """What the object's id counts, in the vendor's word: orders, items and products each count from 1."""
    named = text(body.get("object")) or text(mapping(body.get("event")).get("object_type")) or ""
    return named if _OBJECT_TYPE.fullmatch(named) else "unknown"


def _is_order(body: Mapping[str, Any]) -> bool:
    return (text(body.get("object")) or mapping(body.get("event")).get("object_type")) == "order"


def _order_data(order: Mapping[str, Any], order_id: str | None, payload: object) -> OrderData:
    status = text(order.get("status"))
    return OrderData(
        order_id=order_id,
        reference=text_id(order.get("reference_id")),
        status=_STATUSES.get((status or "").lower().replace(" ", "_")),
        provider_status=status,
        items=_items(order.get("line_items")),
        shipments=tuple(_shipments(order.get("fulfillments"))),
        payload=payload,
    )


def _items(lines: object) -> tuple[Item, ...]:
    return tuple(
        [
            Item(
                item_id=text_id(line.get("id")),
                variant_id=text_id(line.get("item_variant")),
                quantity=decimal_text(line.get("quantity")),
            )
            for line in objects(lines)
        ]
    )


def _shipments(fulfillments: object) -> Iterator[Shipment]:
    """One per tracking, each with all items of its fulfillment: the vendor does not say which parcel holds what."""
    for fulfillment in objects(fulfillments):
        for tracking in objects(fulfillment.get("trackings")):
            yield Shipment(
                carrier=text(tracking.get("carrier")),
                tracking_number=text_id(tracking.get("tracking_number")),
                tracking_url=text(tracking.get("tracking_url")),
                items=_items(fulfillment.get("line_items")),
            )


def _incident_data(body: Mapping[str, Any], what: str, payload: object) -> IncidentData:
    return IncidentData(
        incident_id=None if _is_order(body) else text_id(body.get("id")),
        order_id=_order_id(body),
        status=_TICKET_STATUSES[what],
        payload=payload,
    )


def _inventory_data(variant: Mapping[str, Any], variant_id: str | None, payload: object) -> InventoryData:
    """The shape of a variant is in no vendor page: only what can mean one thing is read."""
    sellable = [truth(variant.get(name)) for name in ("availability", "available")]
    amounts = [decimal_text(variant.get(name)) for name in ("quantity", "available_quantity")]
    return InventoryData(
        sku=text(variant.get("sku")),
        variant_id=variant_id,
        product_id=text_id(variant.get("item")),
        available=next((amount for amount in amounts if amount is not None), None),
        sellable=next((answer for answer in sellable if answer is not None), None),
        payload=payload,
    )


def _catalog_data(thing: Mapping[str, Any], what: str, own_id: str | None, payload: object) -> CatalogData:
    sku = text(thing.get("sku"))
    if what == "variant_added":
        return CatalogData(product_id=text_id(thing.get("item")), variant_id=own_id, sku=sku, payload=payload)
    return CatalogData(product_id=own_id, sku=sku, payload=payload)


def _sample_order(sample_id: uuid.UUID) -> dict[str, Any]:
    number = sample_id.int % 1_000_000_000
    line = {"id": number + 1, "quantity": 2, "item_variant": 2342}
    tracking = {"tracking_number": f"SAMPLE{number}", "carrier": "USPS"}
    return {
        "id": number,
        "status": "fulfilled",
        "reference_id": f"sample-{number}",
        "cost": "18.00",
        "test_order": True,
        "line_items": [line],
        "fulfillments": [{"id": number + 2, "line_items": [line], "trackings": [tracking]}],
    }


def _advanced_sample(number: int, at: datetime) -> bytes:
    sample_id = uuid.uuid5(_SAMPLES, f"advanced {number} {at.isoformat()}")
    order = _sample_order(sample_id)
    event = DreamshipEvent(
        uuid=str(sample_id),
        object_id=order["id"],
        object_type="order",
        action="order-status-updated",
        message="Sample",
        timestamp=rfc3339(at),
        user="System",
    )
    return orjson.dumps(DreamshipBody(id=order["id"], object="order", event=event, data=order))


def _basic_sample(number: int, at: datetime) -> bytes:
    return orjson.dumps(_sample_order(uuid.uuid5(_SAMPLES, f"basic {number} {at.isoformat()}")))


def _sign(body: bytes, secret: bytes, _: datetime) -> dict[str, str]:
    return {_SIGNATURE_HEADER: mac(secret, body).hex()}


_CHANGED = ("dropstream.order.status_changed",)
# Who did it, and a sentence about it; `address` of an order is on the vendor's page, with a person's name and phone.
_ACTOR = ("event.user", "event.message")
_PERSONAL = PersonalFields(dict.fromkeys(Domain, (*_ACTOR, "data.address")))

PROVIDER = Provider(
    name="dreamship",
    signature_policy="require",
    claim=_claim,
    interpret=_interpret,
    interpret_fetched=_interpret_fetched,
    # Ten tries in 72 hours, then the delivery is lost; "continued" failures may disable webhooks for the whole account.
    # How many it does not say, so the 72 hours are the limit: https://docs.dreamship.com/reference/webhooks
    patience=RetryPolicy(
        loss=Loss.ACCOUNT,
        source="https://docs.dreamship.com/reference/webhooks",
        failing_s_max=72 * 3_600,
        answer_within_s=30,
    ),
    samples=(
        Sample("dreamship-advanced", "Dreamship advanced", _advanced_sample, _sign, _CHANGED),
        Sample("dreamship-basic", "Dreamship basic", _basic_sample, _sign, _CHANGED),
    ),
    personal=_PERSONAL,
    # https://docs.dreamship.com/reference/webhooks: an API key signs, and every key of the account does.
    setup=Setup(page="API settings, as the global webhook url", signed_with="an API key of the account"),
)
