"""Version 2 of Dropea's webhooks: an envelope with a whole order or issue, in UTC, per market.

Vendor page: https://public-api.dropea.com/dropshipper/openapi.json.
"""

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypedDict

import orjson

from processors.deliver.fields import decimal_text, mapping, objects, text, text_id, truth
from processors.deliver.provider import Fact, Interpretation, Message, Twin
from processors.deliver.signatures import Claim, base64_text, mac, single_header
from processors.deliver.times import Occurred, occurred_at, read_instant
from processors.providers.dropea.identity import digest_of, id_in_market, unknown_fact
from processors.providers.dropea.statuses import incident_status_of, order_status_of
from schemas.delivery import Delivery
from schemas.event_data import IncidentData, Item, OrderData, Shipment
from schemas.notes.rejections import Reason, Rejection
from schemas.times import rfc3339, timestamp_ms
from schemas.vocabulary import Domain, IncidentStatus, OrderStatus, TimeQuality


class DropeaV2Body(TypedDict):
    """A body of version 2 on the wire: an envelope with a whole order or issue.

    {"topic": "order.status.changed", "market": "ES", "event_id": "0d1f7d4a-...",
     "event_at": "2026-11-24T09:59:09.000Z",
     "resource_id": 14,
     "resource": {"id": 14, "status": "SHIPPING", "sub_status": "OUT_FOR_DELIVERY", "store_id": 2,
                  "line_items": [{"variant_id": 77, "sku": "MUG-BLUE", "quantity": 2}], "carrier": "GLS",
                  "tracking_number": "TRK-1", "external_order_id": "SHOP-1"}}
    """

    topic: str
    market: str
    event_id: str
    event_at: str
    resource_id: int
    resource: Mapping[str, Any]


V2_SIGNATURE = "X-Dropea-Signature"
_NO_SHIPMENT = Shipment()


def claim_v2(delivery: Delivery) -> Claim | Rejection:
    """`sha256=` and the MAC of the body, which is base64 although that prefix means hex elsewhere."""
    signature = single_header(delivery, V2_SIGNATURE.lower())
    if isinstance(signature, Rejection):
        return signature
    if signature is None:
        return Rejection(Reason.SIGNATURE_MISSING, f"a delivery of version 2 without {V2_SIGNATURE}")
    if not signature.startswith(b"sha256="):
        return Rejection(Reason.SIGNATURE_INVALID, f"{V2_SIGNATURE} does not begin with sha256=")
    return Claim((signature.removeprefix(b"sha256="),), delivery.body, (base64_text,))


def _order(what: str, message: Message) -> Fact:
    order_id, order = id_in_market(message, message.body.get("resource_id")), mapping(message.body.get("resource"))
    shipment = Shipment(
        carrier=text(order.get("carrier")),
        tracking_number=text_id(order.get("tracking_number")),
        tracking_url=text(order.get("tracking_url")),
    )
    word, step = text(order.get("status")), text(order.get("sub_status"))
    stands = OrderStatus.CANCELLED if what == "cancelled" else None
    data = OrderData(
        order_id=order_id,
        reference=text_id(order.get("external_order_id")),
        status=stands or _order_status(word, step),
        provider_status=word,
        items=tuple([_item(line) for line in objects(order.get("line_items"))]),
        shipments=(shipment,) if shipment != _NO_SHIPMENT else (),
        provider_sub_status=step,
        # Shops are numbered per market, as orders are; the market stands in the order's id.
        store_id=text_id(order.get("store_id")),
        payload=message.payload,
    )
    return Fact(Domain.ORDER, what, order_id, data)


def _item(line: Mapping[str, Any]) -> Item:
    return Item(
        item_id=text_id(line.get("id")),
        sku=text_id(line.get("sku")),
        variant_id=text_id(line.get("variant_id")),
        quantity=decimal_text(line.get("quantity")),
    )


def _incident(what: str, message: Message) -> Fact:
    """The incident goes by its order where the order is known, else by itself."""
    issue, resource_id = mapping(message.body.get("resource")), text_id(message.body.get("resource_id"))
    order_id, word = id_in_market(message, issue.get("order_id")), text(issue.get("status"))
    data = IncidentData(
        incident_id=id_in_market(message, resource_id),
        order_id=order_id,
        kind=text(issue.get("type")),
        status=IncidentStatus.RESOLVED if what == "resolved" else incident_status_of(word),
        provider_status=word,
        active=truth(issue.get("is_active")),
        resolution_status=text(issue.get("resolution_status")),
        carrier=text(issue.get("carrier")),
        tracking_number=text_id(issue.get("tracking_number")),
        payload=message.payload,
    )
    return Fact(Domain.INCIDENT, what, order_id or id_in_market(message, resource_id and f"issue-{resource_id}"), data)


def _order_status(word: str | None, step: str | None) -> OrderStatus | None:
    """Status and sub-status, or the two in one field with a dot between them, as the vendor's page writes the pair."""
    status, _, step_within = (word or "").partition(".")
    return order_status_of(f"{status}/{step or step_within}") or order_status_of(status)


V2_TOPICS: Mapping[str, Callable[[Message], Fact]] = {
    "order.created": partial(_order, "created"),
    "order.status.changed": partial(_order, "status_changed"),
    "order.cancelled": partial(_order, "cancelled"),
    "issue.created": partial(_incident, "created"),
    "issue.status.changed": partial(_incident, "status_changed"),
    "issue.resolved": partial(_incident, "resolved"),
}


def interpret_v2(topic: str, message: Message) -> Interpretation:
    """What a body of version 2 means; an unknown topic is an event of `other`."""
    body = message.body
    parts = (text(body.get("market")), topic, text_id(body.get("resource_id")), text(body.get("event_at")))
    return Interpretation(
        provider_event=topic,
        natural_key=text_id(body.get("event_id")) or digest_of(parts, message),
        occurred=occurred_at(body.get("event_at"), received_at=message.received_at),
        facts=(V2_TOPICS.get(topic, unknown_fact)(message),),
        twin=_twin(parts, body),
        signed_by=V2_SIGNATURE,
    )


def _twin(parts: tuple[str | None, ...], body: Mapping[str, Any]) -> Twin | None:
    """The vendor calls `event_id` unique "to this delivery", so a retry may have a new one: it is known by the rest."""
    if None in parts:
        return None
    rest = {name: value for name, value in body.items() if name != "event_id"}
    content = orjson.dumps(rest, default=str, option=orjson.OPT_SORT_KEYS)
    return Twin("\n".join(["twin", *[part for part in parts if part is not None]]), content)


def interpret_fetched(message: Message) -> Interpretation | Rejection:
    """What an order or an incident of version 2 means that `ops.reconcile` fetched; it looks like a webhook's."""
    kind = text(message.body.get("fetched"))
    if kind not in {"order", "issue"}:
        return Rejection(Reason.BODY_UNRECOGNISED, "it is no state that is fetched from Dropea")
    fact = _order("observed", message) if kind == "order" else _incident("observed", message)
    changed_at = read_instant(mapping(message.body.get("resource")).get("updated_at"))
    own_id = id_in_market(message, message.body.get("resource_id"))
    if changed_at is None or own_id is None or fact.entity_id is None:
        return Rejection(Reason.BODY_UNRECOGNISED, f"the fetched {kind} has no id, no market or no updated_at")
    return Interpretation(
        provider_event=f"GET {kind}s",
        natural_key=f"fetched:{kind}:{own_id}:{rfc3339(changed_at)}",
        occurred=Occurred(changed_at, TimeQuality.EXACT),
        facts=(fact,),
    )


def sign_v2(body: bytes, secret: bytes, _at: datetime) -> Mapping[str, str]:
    """The headers of a webhook that version 2 has signed."""
    return {V2_SIGNATURE: f"sha256={base64_text(mac(secret, body)).decode()}"}


def _sample(topic: str, resource: Mapping[str, Any], number: int, at: datetime) -> bytes:
    resource_id, moment = timestamp_ms(at) * 1_000 + number, rfc3339(at)
    event_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{topic}/{resource_id}/{moment}"))
    body = DropeaV2Body(
        topic=topic,
        market="PT",
        event_id=event_id,
        event_at=moment,
        resource_id=resource_id,
        resource={"id": resource_id, **resource},
    )
    return orjson.dumps(body)


_SAMPLE_ORDER = {"status": "PENDING", "line_items": [{"variant_id": 77, "sku": "MUG-BLUE", "quantity": 2}]}
_SAMPLE_ISSUE = {"order_id": 14, "type": "RECIPIENT_ABSENT", "status": "PENDING", "is_active": True}
sample_order_v2 = partial(_sample, "order.created", _SAMPLE_ORDER)
sample_issue_v2 = partial(_sample, "issue.created", _SAMPLE_ISSUE)
