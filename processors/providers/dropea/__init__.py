"""Dropea: two contracts behind one name, told apart by their headers and by the shape of their bodies.

Version 1 (https://support.dropea.com/portal/en/kb/articles/user-guide-webhooks) is flat, in Madrid wall time, perhaps
unsigned. Version 2 (https://public-api.dropea.com/dropshipper/openapi.json) holds whole objects, in UTC, per market.
"""

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypedDict, cast
from zoneinfo import ZoneInfo

import orjson

from processors.deliver.fields import decimal_text, mapping, objects, text, text_id, truth
from processors.deliver.personal import PersonalFields
from processors.deliver.provider import Fact, Interpretation, Message, Provider, Sample, Setup, Twin
from processors.deliver.signatures import Claim, base64_text, hex_text, mac, single_header
from processors.deliver.times import Occurred, occurred_at, occurred_at_wall_time, read_instant
from schemas.delivery import Delivery
from schemas.event_data import IncidentData, Item, OrderData, OtherData, Shipment
from schemas.notes.rejections import Reason, Rejection
from schemas.retry_policy import Loss, RetryPolicy
from schemas.sections.endpoints import EndpointSettings
from schemas.times import rfc3339, timestamp_ms
from schemas.vocabulary import Domain, IncidentStatus, OrderStatus, TimeQuality


class DropeaV1Body(TypedDict, total=False):
    """A body of version 1 on the wire: flat, with `order_id` or `incidence_id`.

    {"topic": "order:status_update", "order_id": 265494, "prev_status": "confirmed", "new_status": "cancelled",
     "updated_at": "2025-05-29 14:14:58"}
    """

    topic: str
    order_id: int
    incidence_id: int
    prev_status: str
    new_status: str
    updated_at: str


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


_V1_SIGNATURE = "X-Dropea-Hmac-Sha256"
_V2_SIGNATURE = "X-Dropea-Signature"
_V1_HEADER, _V2_HEADER = _V1_SIGNATURE.lower(), _V2_SIGNATURE.lower()
_V2_HEADERS = frozenset({"x-dropea-signature", "x-dropea-event-id", "x-dropea-topic"})
_V2_FIELDS = ("event_id", "event_at", "resource_id")
_NO_SHIPMENT = Shipment()
# Version 1 documents no retries; version 2 retries 1, 5 and 15 minutes after a failure, which is over in 21 minutes.
# Below the hour after which the autumn clocks show a time again.
_BODY_ONLY_S = 1_800
_MADRID = ZoneInfo("Europe/Madrid")

# Words are compared in lower case: version 1 writes them so, its GraphQL sister and version 2 in capitals.
_ORDER_STATUSES = {
    "draft": OrderStatus.DRAFT,
    "pending": OrderStatus.PENDING,
    "confirmed": OrderStatus.CONFIRMED,
    "preparing": OrderStatus.PROCESSING,
    "prepared": OrderStatus.PROCESSING,
    "processing": OrderStatus.PROCESSING,
    "transit": OrderStatus.SHIPPED,
    "shipping": OrderStatus.SHIPPED,
    "incidence": OrderStatus.ON_HOLD,  # On its way, and waiting for somebody to say how to go on.
    "delivered": OrderStatus.DELIVERED,
    "charged": OrderStatus.COMPLETED,
    "rejected": OrderStatus.REJECTED,
    "cancelled": OrderStatus.CANCELLED,
    "error": OrderStatus.FAILED,
    # The sub-status tells the step: FINISH alone says that the order is over, not how.
    "processing/packed": OrderStatus.PACKED,
    "processing/awaiting_pickup": OrderStatus.PACKED,
    "finish/delivered": OrderStatus.DELIVERED,
    "finish/paid": OrderStatus.COMPLETED,
    "finish/cancelled": OrderStatus.CANCELLED,
    "finish/refused": OrderStatus.REFUSED,  # By the customer; REJECTED is by the carrier.
    "finish/refused_lost_damaged": OrderStatus.REFUSED,
    "finish/lost_damaged": OrderStatus.FAILED,
    "error/rejected": OrderStatus.REJECTED,
}
_INCIDENT_STATUSES = {
    "info": IncidentStatus.INFO,
    "pending": IncidentStatus.PENDING,
    "client_managed": IncidentStatus.MANAGING,
    "managing_with_client": IncidentStatus.MANAGING,
    # One state, two spellings on one vendor page.
    "resolution_send": IncidentStatus.SOLUTION_SENT,
    "solution_send": IncidentStatus.SOLUTION_SENT,
    "resolved": IncidentStatus.RESOLVED,
}


def _claim(delivery: Delivery, _endpoint: EndpointSettings) -> Claim | Rejection | None:
    """Version 1: the MAC of the body in hex or base64, for its page does not say which; it may be absent."""
    if not _V2_HEADERS.isdisjoint([name for name, _ in delivery.headers]):
        return _claim_v2(delivery)
    signature = single_header(delivery, _V1_HEADER)
    if signature is None or isinstance(signature, Rejection):
        return signature
    return Claim((signature,), delivery.body, (hex_text, base64_text))


def _claim_v2(delivery: Delivery) -> Claim | Rejection:
    """Version 2: `sha256=` and the MAC of the body, which is base64 although that prefix means hex elsewhere."""
    signature = single_header(delivery, _V2_HEADER)
    if isinstance(signature, Rejection):
        return signature
    if signature is None:
        return Rejection(Reason.SIGNATURE_MISSING, f"a delivery of version 2 without {_V2_SIGNATURE}")
    if not signature.startswith(b"sha256="):
        return Rejection(Reason.SIGNATURE_INVALID, f"{_V2_SIGNATURE} does not begin with sha256=")
    return Claim((signature.removeprefix(b"sha256="),), delivery.body, (base64_text,))


def _order_v1(message: Message) -> Fact:
    order_id, word, old_word = (text_id(message.body.get("order_id")), *_statuses_v1(message))
    data = OrderData(
        order_id=order_id,
        status=_order_status(word),
        provider_status=word,
        previous_status=_order_status(old_word),
        provider_previous_status=old_word,
        payload=message.payload,
    )
    return Fact(Domain.ORDER, "status_changed", order_id, data)


def _incident_v1(message: Message) -> Fact:
    incident_id, word, old_word = (text_id(message.body.get("incidence_id")), *_statuses_v1(message))
    data = IncidentData(
        incident_id=incident_id,
        status=_incident_status(word),
        provider_status=word,
        previous_status=_incident_status(old_word),
        provider_previous_status=old_word,
        payload=message.payload,
    )
    return Fact(Domain.INCIDENT, "status_changed", incident_id, data)


# What an id in such a field counts: orders and incidents each count from 1.
_ID_KINDS = {"order_id": "order", "incidence_id": "incident", "id": "unknown"}


def _statuses_v1(message: Message) -> tuple[str | None, str | None]:
    return text(message.body.get("new_status")), text(message.body.get("prev_status"))


def _unknown(message: Message) -> Fact:
    body = message.body
    in_market = _in_market(message, body.get("resource_id"))
    own = next((name for name in _ID_KINDS if text_id(body.get(name)) is not None), None)
    entity_id = in_market or (text_id(body.get(own)) if own else None)
    kind = "resource" if in_market else _ID_KINDS.get(own or "")
    data = OtherData(entity_id=entity_id, entity_kind=kind, payload=message.payload)
    return Fact(Domain.OTHER, "unknown_event", entity_id, data, kind=kind)


def _order_v2(what: str, message: Message) -> Fact:
    order_id, order = _in_market(message, message.body.get("resource_id")), mapping(message.body.get("resource"))
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
        status=stands or _order_status_v2(word, step),
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


def _incident_v2(what: str, message: Message) -> Fact:
    """The incident goes by its order where the order is known, else by itself."""
    issue, resource_id = mapping(message.body.get("resource")), text_id(message.body.get("resource_id"))
    order_id, word = _in_market(message, issue.get("order_id")), text(issue.get("status"))
    data = IncidentData(
        incident_id=_in_market(message, resource_id),
        order_id=order_id,
        kind=text(issue.get("type")),
        status=IncidentStatus.RESOLVED if what == "resolved" else _incident_status(word),
        provider_status=word,
        active=truth(issue.get("is_active")),
        resolution_status=text(issue.get("resolution_status")),
        carrier=text(issue.get("carrier")),
        tracking_number=text_id(issue.get("tracking_number")),
        payload=message.payload,
    )
    return Fact(Domain.INCIDENT, what, order_id or _in_market(message, resource_id and f"issue-{resource_id}"), data)


# PT, ES, IT today; bounded, for it becomes part of every id and key.
_MARKET = re.compile(r"[A-Za-z]{2,8}")


def _in_market(message: Message, identity: object) -> str | None:
    """`PT:14`: every market counts its own ids, so an id without its market names nothing."""
    market, entity_id = text(message.body.get("market")), text_id(identity)
    known = market is not None and entity_id is not None and _MARKET.fullmatch(market)
    return f"{market.upper()}:{entity_id}" if known and market else None


def _order_status_v2(word: str | None, step: str | None) -> OrderStatus | None:
    """Status and sub-status, or the two in one field with a dot between them, as the vendor's page writes the pair."""
    status, _, step_within = (word or "").partition(".")
    return _order_status(f"{status}/{step or step_within}") or _order_status(status)


def _order_status(word: str | None) -> OrderStatus | None:
    return _ORDER_STATUSES.get((word or "").lower())


def _incident_status(word: str | None) -> IncidentStatus | None:
    return _INCIDENT_STATUSES.get((word or "").lower())


_V1_TOPICS: Mapping[str, Callable[[Message], Fact]] = {
    "order:status_update": _order_v1,
    "incidence:status_update": _incident_v1,
}
_V2_TOPICS: Mapping[str, Callable[[Message], Fact]] = {
    "order.created": partial(_order_v2, "created"),
    "order.status.changed": partial(_order_v2, "status_changed"),
    "order.cancelled": partial(_order_v2, "cancelled"),
    "issue.created": partial(_incident_v2, "created"),
    "issue.status.changed": partial(_incident_v2, "status_changed"),
    "issue.resolved": partial(_incident_v2, "resolved"),
}


def _interpret(message: Message) -> Interpretation | Rejection:
    topic = text(message.body.get("topic"))
    if topic is None:
        return Rejection(Reason.BODY_UNRECOGNISED, "the body has no topic")
    is_v2 = topic in _V2_TOPICS or (topic not in _V1_TOPICS and any(name in message.body for name in _V2_FIELDS))
    return _interpret_v2(topic, message) if is_v2 else _interpret_v1(topic, message)


def _interpret_v1(topic: str, message: Message) -> Interpretation:
    body, fact = message.body, _V1_TOPICS.get(topic, _unknown)(message)
    new, previous = _statuses_v1(message)
    # The time as it is written: the instant that it resolves to may differ from one receipt to the next.
    parts = (message.endpoint, topic, fact.entity_id, previous, new, text(body.get("updated_at")))
    return Interpretation(
        provider_event=topic,
        natural_key=_digest(parts, message),
        occurred=occurred_at_wall_time(body.get("updated_at"), zone=_MADRID, received_at=message.received_at),
        facts=(fact,),
        body_only_s=_BODY_ONLY_S,
    )


def _interpret_v2(topic: str, message: Message) -> Interpretation:
    body = message.body
    parts = (text(body.get("market")), topic, text_id(body.get("resource_id")), text(body.get("event_at")))
    return Interpretation(
        provider_event=topic,
        natural_key=text_id(body.get("event_id")) or _digest(parts, message),
        occurred=occurred_at(body.get("event_at"), received_at=message.received_at),
        facts=(_V2_TOPICS.get(topic, _unknown)(message),),
        twin=_twin(parts, body),
        signed_by=_V2_SIGNATURE,
    )


def _twin(parts: tuple[str | None, ...], body: Mapping[str, Any]) -> Twin | None:
    """The vendor calls `event_id` unique "to this delivery", so a retry may have a new one: it is known by the rest."""
    if None in parts:
        return None
    rest = {name: value for name, value in body.items() if name != "event_id"}
    content = orjson.dumps(rest, default=str, option=orjson.OPT_SORT_KEYS)
    return Twin("\n".join(["twin", *[part for part in parts if part is not None]]), content)


def _digest(parts: tuple[str | None, ...], message: Message) -> str:
    """SHA-256 of what makes the delivery this one; of the whole body where a part is missing."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return f"sha256:{message.digest}"
    return hashlib.sha256("\n".join(known).encode()).hexdigest()


def _interpret_fetched(message: Message) -> Interpretation | Rejection:
    """What an order or an incident of version 2 means that `ops.reconcile` fetched; it looks like a webhook's."""
    kind = text(message.body.get("fetched"))
    if kind not in {"order", "issue"}:
        return Rejection(Reason.BODY_UNRECOGNISED, "it is no state that is fetched from Dropea")
    fact = _order_v2("observed", message) if kind == "order" else _incident_v2("observed", message)
    changed_at = read_instant(mapping(message.body.get("resource")).get("updated_at"))
    own_id = _in_market(message, message.body.get("resource_id"))
    if changed_at is None or own_id is None or fact.entity_id is None:
        return Rejection(Reason.BODY_UNRECOGNISED, f"the fetched {kind} has no id, no market or no updated_at")
    return Interpretation(
        provider_event=f"GET {kind}s",
        natural_key=f"fetched:{kind}:{own_id}:{rfc3339(changed_at)}",
        occurred=Occurred(changed_at, TimeQuality.EXACT),
        facts=(fact,),
    )


def _sign_v1(body: bytes, secret: bytes, _at: datetime) -> Mapping[str, str]:
    return {_V1_SIGNATURE: base64_text(mac(secret, body)).decode()}


def _sign_v2(body: bytes, secret: bytes, _at: datetime) -> Mapping[str, str]:
    return {_V2_SIGNATURE: f"sha256={base64_text(mac(secret, body)).decode()}"}


def _sample_v1(topic: str, id_field: str, status: str, number: int, at: datetime) -> bytes:
    change = {id_field: timestamp_ms(at) * 1_000 + number, "prev_status": "pending", "new_status": status}
    body = {"topic": topic, **change, "updated_at": f"{at.astimezone(_MADRID):%Y-%m-%d %H:%M:%S}"}
    return orjson.dumps(cast(DropeaV1Body, body))


def _sample_v2(topic: str, resource: Mapping[str, Any], number: int, at: datetime) -> bytes:
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
_ORDER_V1 = partial(_sample_v1, "order:status_update", "order_id", "confirmed")
_INCIDENT_V1 = partial(_sample_v1, "incidence:status_update", "incidence_id", "client_managed")
_ORDER_V2 = partial(_sample_v2, "order.created", _SAMPLE_ORDER)
_ISSUE_V2 = partial(_sample_v2, "issue.created", _SAMPLE_ISSUE)

# The vendor writes English, and now and then the languages of its markets: Spanish, Portuguese, Italian.
_WORDS = (
    "direccion domicilio endereco morada indirizzo calle rua ciudad cidade citta provincia distrito codigo_postal",
    "cep cap",
    "cliente destinatario comprador apellido apellidos apelido sobrenome cognome",
    "nombre_cliente nombre_completo nome_cliente nome_completo",
    "telefono telefone telemovel movil celular cellulare correo correo_electronico",
    "observaciones observacoes notas comentario comentarios",
)
_OWN_FIELDS = ("resource.shipping_address", *" ".join(_WORDS).split())
_PERSONAL = PersonalFields({Domain.ORDER: _OWN_FIELDS, Domain.INCIDENT: _OWN_FIELDS})

PROVIDER = Provider(
    name="dropea",
    signature_policy="verify-if-present",
    claim=_claim,
    interpret=_interpret,
    interpret_fetched=_interpret_fetched,
    # v2: three consecutive failures switch a subscription off; an answer within 5 s. v1 says nothing of either, and is
    # held to the same: https://public-api.dropea.com/dropshipper/openapi.json
    patience=RetryPolicy(
        loss=Loss.SUBSCRIPTION,
        source="https://public-api.dropea.com/dropshipper/openapi.json",
        failures_max=3,
        answer_within_s=5,
    ),
    samples=(
        Sample("dropea-v1-order", "Dropea v1", _ORDER_V1, _sign_v1, ("dropstream.order.status_changed",)),
        Sample("dropea-v1-incident", "Dropea v1", _INCIDENT_V1, _sign_v1, ("dropstream.incident.status_changed",)),
        Sample("dropea-v2-order", "Dropea v2", _ORDER_V2, _sign_v2, ("dropstream.order.created",)),
        Sample("dropea-v2-issue", "Dropea v2", _ISSUE_V2, _sign_v2, ("dropstream.incident.created",)),
    ),
    personal=_PERSONAL,
    # Version 1: https://support.dropea.com/portal/en/kb/articles/user-guide-webhooks. Version 2 shows its secret once,
    # with the key: https://public-api.dropea.com/dropshipper/openapi.json
    setup=Setup(
        page="My Account > Access Token, for orders and for incidents",
        signed_with="the API key (version 1) or its signing secret (version 2)",
    ),
)
