"""Modern Dropship (formerly Convictional): one envelope, six topics; key names differ with age and are read tolerantly.

Vendor's pages: https://moderndropship.frontkb.com/en/articles/8868929 (topics) and
https://developers.convictional.com/docs/webhooks (event uuid). The page on secrets was not to be found, so how the
signature is written is an option of the endpoint.
"""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypedDict

import orjson

from processors.deliver.fields import decimal_text, first_id, mapping, objects, text, text_id, truth
from processors.deliver.personal import PersonalFields
from processors.deliver.provider import Fact, Interpretation, Message, Provider, Sample, Setup
from processors.deliver.signatures import Claim, base64_text, hex_text, list_header, mac, segments
from processors.deliver.times import Occurred, first_occurred, read_instant
from schemas.delivery import Delivery
from schemas.event_data import CatalogData, InventoryData, Item, OrderData, OtherData, Shipment
from schemas.notes.rejections import Reason, Rejection
from schemas.retry_policy import Loss, RetryPolicy
from schemas.sections.endpoints import EndpointSettings, SignatureScheme
from schemas.times import rfc3339
from schemas.vocabulary import Domain, OrderStatus, TimeQuality


class ModernDropshipBody(TypedDict):
    """A body on the wire; older and other names of the same things stand in the tables below.

    {"_id": "61a7ff00d29ad93400104599", "type": "product.inventoryChanged", "created": "2026-11-24T09:59:09.148Z",
     "companyObjectId": "5ede5c2d228b3c00016443a4",
     "data": {"id": "5aa180d29ad9340010459936", "title": "T", "updated": "2026-11-24T09:59:00.000Z",
              "variants": [{"id": "5deae112d30a4f00191d758f", "sku": "A-M", "inventoryAmount": 16}]}}
    """

    _id: str
    type: str
    created: str
    companyObjectId: str
    data: Mapping[str, Any]


_ENCODINGS = {"hex": hex_text, "base64": base64_text}
# Seconds since 1970 have ten digits until the year 2286, milliseconds thirteen; a longer number is no time.
_UNIX_TIME = re.compile(rb"\d{1,14}")
_SECONDS_DIGITS_MAX = 11
# Old and new names of the same things, in the order in which they count.
_TOPIC_KEYS = ("type", "topic", "event_type", "eventType")
_EVENT_ID_KEYS = ("_id", "id", "eventId", "uuid", "event_id")
_TIME_KEYS = ("created", "createdAt", "timestamp", "created_at")
# When it retries is not documented; it dispatches every minute: https://developers.convictional.com/docs/webhooks
_BODY_ONLY_S = 3_600
# Ours, made once: the ids of sample deliveries rest on it.
_SAMPLES = uuid.UUID("5c4f3a1e-1f0d-4c0b-9a55-6d5c0e6a7b32")


def _claim(delivery: Delivery, endpoint: EndpointSettings) -> Claim | Rejection | None:
    """MACs of `timestamp.body`, one per active secret; of the body alone where the scheme is `plain`."""
    scheme = endpoint.signature_scheme
    value = list_header(delivery, scheme.header.lower())
    if value is None:
        return None
    encodings = (_ENCODINGS[scheme.encoding],)
    parts = segments(value)
    if scheme.format == "plain":
        return Claim(parts, delivery.body, encodings)
    timestamp, signatures = _timestamped(parts, scheme)
    if not timestamp or not signatures:
        return Rejection(Reason.SIGNATURE_INVALID, f"the header {scheme.header} is not of the format {scheme.format}")
    return Claim(signatures, timestamp + b"." + delivery.body, encodings, _signed_at(timestamp))


def _timestamped(parts: Sequence[bytes], scheme: SignatureScheme) -> tuple[bytes, tuple[bytes, ...]]:
    """The timestamp as written and the signatures; either is empty when the header has none."""
    if scheme.format == "listed":
        return parts[0], tuple(parts[1:])
    labelled = [part.partition(b"=") for part in parts]
    timestamps = [content for label, _, content in labelled if label == b"t"]
    signatures = tuple(content for label, _, content in labelled if label == b"v1")
    return (timestamps[0] if len(timestamps) == 1 else b""), signatures


def _signed_at(timestamp: bytes) -> datetime | None:
    """The vendor's unit is unknown: seconds, milliseconds and ISO text are told apart by their looks."""
    if not _UNIX_TIME.fullmatch(timestamp):
        return read_instant(timestamp.decode("latin-1"))
    divisor = 1 if len(timestamp) <= _SECONDS_DIGITS_MAX else 1000
    return datetime.fromtimestamp(int(timestamp) / divisor, UTC)


def _interpret(message: Message) -> Interpretation | Rejection:
    body = message.body
    topic = next((name for key in _TOPIC_KEYS if (name := text(body.get(key)))), None)
    if topic is None:
        return Rejection(Reason.BODY_UNRECOGNISED, "the body names no topic")
    event_id = first_id(*[body.get(key) for key in _EVENT_ID_KEYS])
    return Interpretation(
        provider_event=topic,
        natural_key=event_id or f"sha256:{message.digest}",
        occurred=_occurred(message, topic),
        facts=tuple(_facts(message, topic)),
        body_only_s=None if event_id or _says_when(message) else _BODY_ONLY_S,
    )


def _says_when(message: Message) -> bool:
    """Whether the envelope has a time of its own, by which two deliveries with one body would differ."""
    return any(read_instant(message.body.get(key)) is not None for key in _TIME_KEYS)


def _occurred(message: Message, topic: str) -> Occurred:
    candidates = [message.body.get(key) for key in _TIME_KEYS]
    if topic == "product.inventoryChanged":
        candidates.append(mapping(message.body.get("data")).get("updated"))
    return first_occurred(candidates, received_at=message.received_at, bounds=message.bounds)


def _facts(message: Message, topic: str) -> Iterator[Fact]:
    data = mapping(message.body.get("data"))
    own_id = _own_id(data)
    match topic:
        case "order.fulfilled":
            status = OrderStatus.SHIPPED if _is_shipped(data) else None
            yield Fact(Domain.ORDER, "fulfillment_added", own_id, _order_data(data, status, message.payload))
        case "order.cancelled":
            status = OrderStatus.CANCELLED if _is_cancelled(data) else None
            yield Fact(Domain.ORDER, "items_cancelled", own_id, _order_data(data, status, message.payload))
        case "product.selected":
            selected = CatalogData(product_id=own_id, payload=message.payload)
            yield Fact(Domain.CATALOG, "product_selected", own_id, selected)
        case "product.inventoryChanged":
            for variant in objects(data.get("variants")):
                inventory = _inventory_data(variant, own_id)
                yield Fact(Domain.INVENTORY, "quantity_changed", inventory.variant_id, inventory)
        case "product.unavailable":
            yield from _withdrawn(message, "product", "product_unavailable")
        case "variant.unavailable":
            yield from _withdrawn(message, "variant", "variant_unavailable")
        case _:
            other = OtherData(entity_id=own_id, payload=message.payload)
            yield Fact(Domain.OTHER, "unknown_event", own_id, other)


def _interpret_fetched(message: Message) -> Interpretation | Rejection:
    """What an order, or a variant with the time of its product, means that `ops.reconcile` fetched."""
    kind, data = text(message.body.get("fetched")), mapping(message.body.get("data"))
    own_id = _own_id(data)
    changed_at = read_instant(message.body.get("updated") if kind == "inventory" else data.get("updated"))
    if kind not in {"order", "inventory"} or own_id is None or changed_at is None:
        return Rejection(Reason.BODY_UNRECOGNISED, "it is no state with an id and a time that is fetched from here")
    if kind == "order":
        shipped = OrderStatus.SHIPPED if _is_shipped(data) else None
        status = OrderStatus.CANCELLED if _is_cancelled(data) else shipped
        fact = Fact(Domain.ORDER, "observed", own_id, _order_data(data, status, message.payload))
    else:
        stock = _inventory_data(data, text_id(message.body.get("product_id")))
        fact = Fact(Domain.INVENTORY, "observed", own_id, stock)
    return Interpretation(
        provider_event=f"GET {'orders' if kind == 'order' else 'products'}",
        natural_key=f"fetched:{kind}:{own_id}:{rfc3339(changed_at)}",
        occurred=Occurred(changed_at, TimeQuality.EXACT),
        facts=(fact,),
    )


def _own_id(thing: Mapping[str, Any]) -> str | None:
    """Modern Dropship's own id: `_id` in objects of before 2022, which may have the seller's number in `id` beside it.

    That number is 0 where the seller has none, for every variant, so a bare 0 is no id.
    """
    own = first_id(thing.get("_id"), thing.get("id"))
    return None if own == "0" else own


def _seller_id(thing: Mapping[str, Any]) -> str | None:
    """The seller's own id or code of a variant, where it stands beside that of Modern Dropship."""
    beside = thing.get("id") if text_id(thing.get("_id")) is not None else None
    return first_id(thing.get("sellerVariantCode"), beside)


def _is_shipped(order: Mapping[str, Any]) -> bool:
    """`fulfilled`, or `shipped` in objects of before 2022."""
    return bool(truth(order.get("fulfilled")) or truth(order.get("shipped")))


def _is_cancelled(order: Mapping[str, Any]) -> bool:
    """Whether every line is cancelled: the topic says no more than that some are."""
    cancelled = [truth(item.get("cancelled")) for item in objects(order.get("items"))]
    return bool(cancelled) and all(cancelled)


def _order_data(order: Mapping[str, Any], status: OrderStatus | None, payload: object) -> OrderData:
    return OrderData(
        order_id=_own_id(order),
        reference=first_id(order.get("buyerReference"), order.get("buyerOrderCode"), order.get("buyerOrderId")),
        status=status,
        items=_items(order.get("items")),
        shipments=tuple([_shipment(fulfillment) for fulfillment in objects(order.get("fulfillments"))]),
        payload=payload,
    )


def _items(lines: object) -> tuple[Item, ...]:
    """The lines of an order, or of a fulfillment, whose `orderItemId` leads to the order's line."""
    return tuple(
        [
            Item(
                item_id=first_id(line.get("orderItemId"), line.get("id"), line.get("_id")),
                sku=text_id(line.get("sku")),
                variant_id=text_id(line.get("variantId")),
                quantity=decimal_text(line.get("quantity")),
                cancelled=truth(line.get("cancelled")),
                seller_variant_id=text_id(line.get("sellerVariantCode")),
            )
            for line in objects(lines)
        ]
    )


def _shipment(fulfillment: Mapping[str, Any]) -> Shipment:
    urls = fulfillment.get("trackingUrls")
    return Shipment(
        carrier=text(fulfillment.get("carrier")),
        tracking_number=text_id(fulfillment.get("trackingCode")),
        tracking_url=text(urls[0]) if isinstance(urls, list) and urls else None,
        items=_items(fulfillment.get("items")),
    )


def _inventory_data(variant: Mapping[str, Any], product_id: str | None) -> InventoryData:
    """One variant's stock; with `skipCount` it is not counted, so the figure means nothing and it may be sold."""
    uncounted = truth(variant.get("skipCount"))
    return InventoryData(
        sku=text(variant.get("sku")),
        variant_id=_own_id(variant),
        product_id=product_id,
        available=None if uncounted else _amount(variant),
        sellable=True if uncounted else None,
        seller_variant_id=_seller_id(variant),
        payload=variant,
    )


def _amount(variant: Mapping[str, Any]) -> str | None:
    """The variant's stock under its new or its old name; where both stand there, the one that is not in use is 0."""
    names = ["inventoryAmount", "inventory_quantity"]
    if text_id(variant.get("_id")) is not None:
        names.reverse()
    amounts = [amount for name in names if (amount := decimal_text(variant.get(name))) is not None]
    return next((amount for amount in amounts if Decimal(amount)), amounts[0] if amounts else None)


def _withdrawn(message: Message, kind: str, what: str) -> Iterator[Fact]:
    """Two facts per product or variant that is no longer offered; the vendor says "id(s) only" and shows no example."""
    data = mapping(message.body.get("data"))
    # A product with its variants, or with their ids: then the product's id stands beside the list.
    listed = any(isinstance(data.get(name), list) for name in _lists(kind))
    whole_product = first_id(data.get("productId"), data.get("_id"), data.get("id")) if listed else None
    for entry, payload in _entries(message, kind):
        thing = mapping(entry)
        own_id = first_id(entry, thing.get(f"{kind}Id"), _own_id(thing))
        product_id = own_id if kind == "product" else first_id(thing.get("productId"), whole_product)
        variant_id = own_id if kind == "variant" else None
        sku = text(thing.get("sku"))
        catalog = CatalogData(product_id=product_id, variant_id=variant_id, sku=sku, sellable=False, payload=payload)
        yield Fact(Domain.CATALOG, what, own_id, catalog)
        stock = InventoryData(
            sku=sku, product_id=product_id, variant_id=variant_id, available="0", sellable=False, payload=payload
        )
        yield Fact(Domain.INVENTORY, what, own_id, stock)


def _entries(message: Message, kind: str) -> Iterator[tuple[object, object]]:
    """Each id, or object with one, and its payload: its own part of a list, else the whole message."""
    data = message.body.get("data")
    places = (data, *(mapping(data).get(name) for name in _lists(kind)))
    entries = next((place for place in places if isinstance(place, list)), None)
    if entries is None:
        yield data, message.payload
        return
    for entry in entries:
        yield entry, entry


def _lists(kind: str) -> tuple[str, ...]:
    return f"{kind}Ids", f"{kind}s", "ids"


def _sample(number: int, at: datetime) -> bytes:
    sample_id = uuid.uuid5(_SAMPLES, f"{number} {at.isoformat()}").hex[:24]
    variants = [
        {"id": f"{sample_id}-m", "sku": "SAMPLE-M", "title": "Sample, medium", "inventoryAmount": 17},
        {"id": f"{sample_id}-l", "sku": "SAMPLE-L", "title": "Sample, large", "inventoryAmount": 0},
    ]
    product = {"id": f"{sample_id}-p", "title": "Sample", "variants": variants, "updated": rfc3339(at)}
    body = ModernDropshipBody(
        _id=sample_id,
        type="product.inventoryChanged",
        created=rfc3339(at),
        companyObjectId="5ede5c2d228b3c00016443a4",
        data=product,
    )
    return orjson.dumps(body)


def _sign(body: bytes, secret: bytes, at: datetime) -> dict[str, str]:
    """As the default scheme has it; an endpoint with another one refuses it."""
    timestamp = str(int(at.timestamp()))
    return {SignatureScheme().header: f"{timestamp},{mac(secret, timestamp.encode() + b'.' + body).hex()}"}


# A packing slip is a page with the address on it, for everybody who has its link.
_PERSONAL = PersonalFields(dict.fromkeys(Domain, ("data.address", "packingSlipUrl", "retailer")))

PROVIDER = Provider(
    name="modern_dropship",
    signature_policy="require",
    claim=_claim,
    interpret=_interpret,
    interpret_fetched=_interpret_fetched,
    # Three days without an accepted request: "FAILED", and deactivated. How fast we must answer is not said.
    patience=RetryPolicy(
        loss=Loss.SUBSCRIPTION,
        source="https://moderndropship.frontkb.com/en/articles/8868929",
        failing_s_max=72 * 3_600,
    ),
    samples=(
        Sample("modern-dropship", "Modern Dropship", _sample, _sign, ("dropstream.inventory.quantity_changed",) * 2),
    ),
    personal=_PERSONAL,
    # https://moderndropship.frontkb.com/en/articles/8868929: the person who sets it up thinks up the secret.
    setup=Setup(
        page="Settings > Webhooks, as the target URL of a new configuration; add the expiry of its secret to the lines"
    ),
)
