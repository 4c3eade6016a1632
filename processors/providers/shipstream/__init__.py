"""ShipStream: every documented topic in one table, each with the facts that it states.

Orders go by their `unique_id`, shipments and trackers by the order that they belong to, stock by SKU. Vendor pages:
https://docs.shipstream.io/ref/webhook.html (signature, sequence), https://docs.shipstream.io/ref/topics.html (topics).
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NotRequired, TypedDict, cast

import orjson

from processors.deliver.fetched import asked_about
from processors.deliver.fields import decimal_text, first_id, mapping, objects, text, text_id, whole_number
from processors.deliver.personal import PersonalFields
from processors.deliver.provider import Fact, Interpretation, Message, Provider, Sample, Setup
from processors.deliver.signatures import Claim, base64_text, mac, single_header
from processors.deliver.times import Occurred, occurred_at, read_instant
from schemas.delivery import Delivery
from schemas.event_data import CatalogData, IncidentData, InventoryData, Item, OrderData, OtherData, Shipment
from schemas.notes.rejections import Reason, Rejection
from schemas.retry_policy import Loss, RetryPolicy
from schemas.sections.endpoints import EndpointSettings
from schemas.times import rfc3339, timestamp_ms
from schemas.vocabulary import Domain, OrderStatus, TimeQuality


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


_SIGNATURE_HEADER = "X-Plugin-Hmac-Sha256"
# The release of dropstream 0.1.0.
_COUNTED_WITH_TIME_SINCE = datetime(2026, 11, 21, tzinfo=UTC)
# A retry follows an answer that was lost by one minute, and by an hour for the sixth time in a row:
# https://docs.shipstream.io/merchant-api/webhook
_BODY_ONLY_S = 3_600

_CATALOG, _INCIDENT, _INVENTORY = Domain.CATALOG, Domain.INCIDENT, Domain.INVENTORY
_ORDER, _OTHER = Domain.ORDER, Domain.OTHER

_NO_SHIPMENT = Shipment()
# Where a message names its entity; of several, the first that holds an id.
_OWN = ("unique_id",)
_OF_ORDER = ("order_unique_id",)
_SKU = ("sku",)
_RECEIVING = ("delivery_id",)
# What an id in such a field counts; one in `unique_id` counts what the topic is about.
_KINDS = {
    "order_unique_id": "order",
    "shipment_unique_id": "shipment",
    "delivery_id": "delivery",
    "manifest_id": "manifest",
    "package_id": "package",
    "tracker_id": "tracker",
    "sku": "sku",
}
_RESOURCE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_ANY = (*_OWN, *_OF_ORDER, "shipment_unique_id", *_RECEIVING, "manifest_id", "package_id", "tracker_id", *_SKU)


@dataclass(frozen=True, slots=True)
class _ShipstreamTopic:
    """What a topic means: its name in our words, where the entity's id stands, the domains it has facts for.

    `status` is the order's, where the topic alone states it; `voids` where its numbers are void from now on.
    """

    what: str
    entity: tuple[str, ...]
    domains: tuple[Domain, ...]
    status: OrderStatus | None = None
    voids: bool = False


_UNKNOWN = _ShipstreamTopic("unknown_event", _ANY, (_OTHER,))
_TOPICS: Mapping[str, _ShipstreamTopic] = {
    "order:created": _ShipstreamTopic("created", _OWN, (_ORDER, _INVENTORY), OrderStatus.PENDING),
    "order:canceled": _ShipstreamTopic("cancelled", _OWN, (_ORDER, _INVENTORY), OrderStatus.CANCELLED),
    "order:items_updated": _ShipstreamTopic("items_updated", _OWN, (_ORDER,)),
    "order:holded": _ShipstreamTopic("held", _OWN, (_ORDER,), OrderStatus.ON_HOLD),
    # Not the end of the order: packed and labelled, see `_ORDER_STATUSES`.
    "order:completed": _ShipstreamTopic("completed", _OWN, (_ORDER,), OrderStatus.PACKED),
    "order:shipped": _ShipstreamTopic("shipped", _OWN, (_ORDER,), OrderStatus.SHIPPED),
    "order:delivered": _ShipstreamTopic("delivered", _OWN, (_ORDER,), OrderStatus.DELIVERED),
    "order:address_validation_failed": _ShipstreamTopic("address_validation_failed", _OWN, (_ORDER,)),
    "order:address_changed": _ShipstreamTopic("address_changed", _OWN, (_ORDER,)),
    "order:status_changed": _ShipstreamTopic("status_changed", _OWN, (_ORDER,)),
    "order:shipments_updated": _ShipstreamTopic("shipments_updated", _OWN, (_ORDER,)),
    "order:shipping_options_changed": _ShipstreamTopic("shipping_options_changed", _OWN, (_ORDER,)),
    "shipment:packed": _ShipstreamTopic("shipment_packed", _OF_ORDER, (_ORDER,)),
    "shipment:shipped": _ShipstreamTopic("shipment_shipped", _OF_ORDER, (_ORDER,)),
    "shipment:delivered": _ShipstreamTopic("shipment_delivered", _OF_ORDER, (_ORDER,)),
    "shipment:reverted": _ShipstreamTopic("shipment_reverted", _OF_ORDER, (_ORDER,), voids=True),
    "shipment:labels_voided": _ShipstreamTopic("shipment_labels_voided", _OF_ORDER, (_ORDER,), voids=True),
    "tracker:updated": _ShipstreamTopic("tracker_updated", _OF_ORDER, (_ORDER,)),
    "tracker:delivered": _ShipstreamTopic("tracker_delivered", _OF_ORDER, (_ORDER,)),
    "tracker:exception": _ShipstreamTopic("tracker_exception", _OF_ORDER, (_ORDER, _INCIDENT)),
    "track:created": _ShipstreamTopic("track_created", _OF_ORDER, (_ORDER,)),
    "inventory:adjusted": _ShipstreamTopic("adjusted", _SKU, (_INVENTORY,)),
    "product:created": _ShipstreamTopic("product_created", _SKU, (_CATALOG,)),
    "product:updated": _ShipstreamTopic("product_updated", _SKU, (_CATALOG,)),
    "product:deleted": _ShipstreamTopic("product_deleted", _SKU, (_CATALOG,)),
    "product:sku_changed": _ShipstreamTopic("product_sku_changed", _SKU, (_CATALOG,)),
    "product_media:created": _ShipstreamTopic("product_media_created", _SKU, (_CATALOG,)),
    "product_media:updated": _ShipstreamTopic("product_media_updated", _SKU, (_CATALOG,)),
    "product_media:deleted": _ShipstreamTopic("product_media_deleted", _SKU, (_CATALOG,)),
    # One unit's way through the warehouse, without the SKU's figures: an inventory event would state nothing.
    "serial_number:created": _ShipstreamTopic("serial_number_created", _SKU, (_OTHER,)),
    "serial_number:updated": _ShipstreamTopic("serial_number_updated", _SKU, (_OTHER,)),
    "serial_number:checkin": _ShipstreamTopic("serial_number_checked_in", _SKU, (_OTHER,)),
    "serial_number:checkout": _ShipstreamTopic("serial_number_checked_out", _SKU, (_OTHER,)),
    "delivery:created": _ShipstreamTopic("delivery_created", _RECEIVING, (_OTHER,)),
    "delivery:canceled": _ShipstreamTopic("delivery_cancelled", _RECEIVING, (_OTHER,)),
    "delivery:accepted": _ShipstreamTopic("delivery_accepted", _RECEIVING, (_OTHER,)),
    "delivery:processed": _ShipstreamTopic("delivery_processed", _RECEIVING, (_OTHER,)),
    "delivery:exception": _ShipstreamTopic("delivery_exception", _RECEIVING, (_INCIDENT, _OTHER)),
    "delivery:putaway": _ShipstreamTopic("delivery_put_away", _RECEIVING, (_OTHER,)),
    "delivery:committed": _ShipstreamTopic("delivery_committed", _RECEIVING, (_INVENTORY, _OTHER)),
    "delivery:status_changed": _ShipstreamTopic("delivery_status_changed", _RECEIVING, (_OTHER,)),
    "delivery_label:created": _ShipstreamTopic("delivery_label_created", _OWN, (_OTHER,)),
    "delivery_label:voided": _ShipstreamTopic("delivery_label_voided", _OWN, (_OTHER,)),
    "import:created": _ShipstreamTopic("import_created", _OWN, (_OTHER,)),
    "import:completed": _ShipstreamTopic("import_completed", _OWN, (_OTHER,)),
    # A package's message names no order.
    "package:packed": _ShipstreamTopic("package_packed", ("package_id",), (_OTHER,)),
    "package:manifested": _ShipstreamTopic("package_manifested", ("package_id",), (_OTHER,)),
    "package:shipped": _ShipstreamTopic("package_shipped", ("package_id",), (_OTHER,)),
    "package:delivered": _ShipstreamTopic("package_delivered", ("package_id",), (_OTHER,)),
    "manifest:sealed": _ShipstreamTopic("manifest_sealed", ("manifest_id",), (_OTHER,)),
    "manifest:loaded": _ShipstreamTopic("manifest_loaded", ("manifest_id",), (_OTHER,)),
    # Vendor code answers it (github.com/ShipStream/sample-nodejs-connector); its message is documented nowhere.
    "test:ping": _ShipstreamTopic("ping", (), (_OTHER,)),
}

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


def _claim(delivery: Delivery, _endpoint: EndpointSettings) -> Claim | Rejection | None:
    """Base64 of the MAC of the whole body."""
    signature = single_header(delivery, _SIGNATURE_HEADER.lower())
    if signature is None or isinstance(signature, Rejection):
        return signature
    return Claim((signature,), delivery.body, (base64_text,))


def _interpret(message: Message) -> Interpretation | Rejection:
    """What `{"topic": ..., "message": {...}}` means; other keys beside these two are allowed."""
    name = text(message.body.get("topic"))
    if name is None:
        return Rejection(Reason.BODY_UNRECOGNISED, "the body has no topic")
    fields = mapping(message.body.get("message"))
    topic = _TOPICS.get(name, _UNKNOWN)
    sequence, happened_at = _sequence(fields), read_instant(fields.get("event_timestamp"))
    return Interpretation(
        provider_event=name,
        natural_key=f"sha256:{message.digest}" if sequence is None else str(sequence),
        occurred=occurred_at(fields.get("event_timestamp"), received_at=message.received_at),
        facts=tuple([fact for domain in topic.domains for fact in _READERS[domain](topic, fields, message)]),
        sequence=sequence,
        id_key=None if sequence is None else _id_key(sequence, happened_at),
        body_only_s=_BODY_ONLY_S if sequence is None and happened_at is None else None,
        is_test=name == "test:ping",
    )


def _id_key(sequence: int, happened_at: datetime | None) -> str | None:
    """What event ids stand on: a webhook that is made anew counts from 1 again, so the number alone names two events.

    A retry keeps both. Events of before the first version of dropstream keep the ids that the number alone gives.
    """
    if happened_at is None or happened_at < _COUNTED_WITH_TIME_SINCE:
        return None
    return f"{sequence}@{rfc3339(happened_at)}"


def _sequence(fields: Mapping[str, Any]) -> int | None:
    # Never `increment_id`: in delivery:* that is the delivery's number.
    number = whole_number(fields.get("webhook_increment_id"))
    return number if number is not None and number >= 0 else None


def _entity(topic: _ShipstreamTopic, fields: Mapping[str, Any]) -> str | None:
    return first_id(*[fields.get(name) for name in topic.entity])


def _orders(topic: _ShipstreamTopic, fields: Mapping[str, Any], message: Message) -> Iterator[Fact]:
    order_id = _entity(topic, fields)
    # A shipment's and a tracker's `status` is not the order's.
    is_order = topic.entity == _OWN
    word = text(fields.get("status" if is_order else "order_status"))
    old_word = text(fields.get("old_status")) if is_order else None
    data = OrderData(
        order_id=order_id,
        reference=text_id(fields.get("order_ref")),
        status=topic.status or _status(word, fields.get("state")),
        provider_status=word,
        previous_status=_status(old_word, fields.get("old_state")),
        provider_previous_status=old_word,
        items=(*_items(fields.get("items") or fields.get("items_remaining")), *_cancelled(fields)) if is_order else (),
        shipments=tuple(
            [
                shipment
                for holder in (objects(fields.get("shipments")) if is_order else (fields,))
                for shipment in _shipments(holder, is_void=topic.voids)
            ]
        ),
        payload=message.payload,
    )
    yield Fact(_ORDER, topic.what, order_id, data)


def _status(word: str | None, state: object) -> OrderStatus | None:
    return _ORDER_STATUSES.get(word) or _ORDER_STATUSES.get(text(state))


def _items(entries: object) -> tuple[Item, ...]:
    return tuple(
        [
            Item(
                item_id=text_id(entry.get("order_item_id")),
                sku=text_id(entry.get("sku")),
                quantity=decimal_text(entry.get("qty_ordered")) or decimal_text(entry.get("quantity")),
            )
            for entry in objects(entries)
        ]
    )


def _cancelled(fields: Mapping[str, Any]) -> Iterator[Item]:
    """The lines, or the part of a line, that `order:items_updated` says were cancelled just now.

    https://docs.shipstream.io/merchant-api/webhook
    """
    for entry in objects(fields.get("items_canceled")):
        yield Item(
            item_id=text_id(entry.get("order_item_id")),
            sku=text_id(entry.get("sku")),
            quantity=decimal_text(entry.get("qty_canceled")),
            cancelled=True,
        )


def _shipments(holder: Mapping[str, Any], *, is_void: bool) -> Iterator[Shipment]:
    """One for each tracking number of `holder`, and one for each package without a number; none that says nothing.

    A parcel of a freight carrier has no tracker: its numbers stand in its package alone.
    """
    packages, trackers = objects(holder.get("packages")), objects(holder.get("trackers"))
    if not trackers and (holder.keys() & {"tracking_number", "number"} or not packages):
        # The message is about one tracker, or about a shipment that is not packed yet; all that it holds is its own.
        trackers = [holder]
        own = [tuple(packages)]
    else:
        own = _packages_by_tracker(trackers, packages)
    void = is_void or _is_void(holder)
    for tracker, packed in zip(trackers, own, strict=True):
        shipment = Shipment(
            carrier=text(tracker.get("carrier")) or text(holder.get("carrier")),
            tracking_number=_number(tracker),
            tracking_url=_tracker_url(tracker, packed),
            items=_packed_items(holder, packed, alone=len(trackers) == 1 and len(packed) == len(packages)),
            voided=True if void or _is_void(tracker) else None,
        )
        if shipment != _NO_SHIPMENT:
            yield shipment
    tracked = {_number(tracker) for tracker in trackers}
    joined = [id(package) for packed in own for package in packed]
    for package in packages:
        yield from _untracked(holder, package, tracked, is_joined=id(package) in joined, is_void=void)


def _packages_by_tracker(
    trackers: Sequence[Mapping[str, Any]], packages: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], ...]]:
    """The packages of each tracker: those that name its id, or its number."""
    own: list[tuple[Mapping[str, Any], ...]] = []
    for tracker in trackers:
        tracker_id, number = text_id(tracker.get("tracker_id")), _number(tracker)
        own.append(
            tuple(
                package
                for package in packages
                if (tracker_id and text_id(package.get("tracker_id")) == tracker_id)
                or (number and number in _numbers(package))
            )
        )
    if len(trackers) == 1 and not own[0]:
        # The vendor's own example of a lone tracker holds a package that names another tracker id.
        own = [tuple(one for one in packages if text_id(one.get("tracker_id")) and not _numbers(one))]
    return own


def _untracked(
    holder: Mapping[str, Any],
    package: Mapping[str, Any],
    tracked: Collection[str | None],
    *,
    is_joined: bool,
    is_void: bool,
) -> Iterator[Shipment]:
    """The shipments of a package's numbers that no tracker has; one without a number where it has none at all."""
    for number in _numbers(package) or (() if is_joined else (None,)):
        if number is not None and number in tracked:
            continue
        shipment = Shipment(
            carrier=text(package.get("carrier")) or text(holder.get("carrier")),
            tracking_number=number,
            tracking_url=_package_url(package, number),
            items=_items(package.get("items")),
            voided=True if is_void or _is_void(package) else None,
        )
        if shipment != _NO_SHIPMENT:
            yield shipment


def _number(tracker: Mapping[str, Any]) -> str | None:
    return first_id(tracker.get("tracking_number"), tracker.get("number"))


def _numbers(package: Mapping[str, Any]) -> tuple[str, ...]:
    """The tracking numbers of a package, in order and each once."""
    listed = package.get("tracking_numbers")
    found = [text_id(one) for one in listed] if isinstance(listed, list) else [text_id(listed)]
    return tuple(dict.fromkeys(one for one in found if one is not None))


def _tracker_url(tracker: Mapping[str, Any], packages: Sequence[Mapping[str, Any]]) -> str | None:
    named = text(tracker.get("carrier_tracking_url")) or text(tracker.get("url"))
    found = [_package_url(package, _number(tracker)) for package in packages]
    return named or next((url for url in found if url is not None), None)


def _package_url(package: Mapping[str, Any], number: str | None) -> str | None:
    """The address that stands in the place of the number in the package's list of addresses."""
    numbers, urls = package.get("tracking_numbers"), package.get("tracking_urls")
    if number is None or not isinstance(numbers, list) or not isinstance(urls, list):
        return None
    places = [place for place, one in enumerate(numbers[: len(urls)]) if text_id(one) == number]
    return text(urls[places[0]]) if places else None


def _is_void(thing: Mapping[str, Any]) -> bool:
    """Whether a shipment, package or tracker is void by its status: https://docs.shipstream.io/ref/enumeration.html."""
    return text(thing.get("status")) in {"voided", "canceled"}


def _packed_items(holder: Mapping[str, Any], packages: Sequence[Mapping[str, Any]], *, alone: bool) -> tuple[Item, ...]:
    """What is in these packages; all that the shipment holds where there are no others."""
    if alone and holder.get("items"):
        return _items(holder.get("items"))
    return tuple([item for package in packages for item in _items(package.get("items"))])


def _inventory(_topic: _ShipstreamTopic, fields: Mapping[str, Any], _message: Message) -> Iterator[Fact]:
    for key, payload in _adjustments(fields.get("stock_adjustments")):
        entry = mapping(payload)
        sku = first_id(entry.get("sku"), key)
        data = InventoryData(
            sku=sku,
            product_id=text_id(entry.get("product_id")),
            available=decimal_text(entry.get("qty_available")),
            advertised=decimal_text(entry.get("qty_advertised")),
            adjustment=decimal_text(entry.get("qty_adjust")),
            payload=payload,
        )
        yield Fact(_INVENTORY, "adjusted", sku, data)


def _adjustments(value: object) -> Iterable[tuple[str | None, object]]:
    # PHP prints a map whose keys are 0, 1, 2 ... as a list, the empty map among them.
    return ((None, entry) for entry in value) if isinstance(value, list) else mapping(value).items()


def _catalog(topic: _ShipstreamTopic, fields: Mapping[str, Any], message: Message) -> Iterator[Fact]:
    sku, old_sku = _entity(topic, fields), text_id(fields.get("old_sku"))
    data = CatalogData(
        sku=sku, previous_sku=old_sku, external_id=text_id(fields.get("external_id")), payload=message.payload
    )
    # A renaming ends the life of one SKU and begins that of another.
    if old_sku is not None:
        yield Fact(_CATALOG, topic.what, old_sku, data)
    yield Fact(_CATALOG, topic.what, sku, data)


def _incidents(topic: _ShipstreamTopic, fields: Mapping[str, Any], message: Message) -> Iterator[Fact]:
    data = IncidentData(
        order_id=text_id(fields.get("order_unique_id")),
        kind=text(message.body.get("topic")),
        provider_status=text(fields.get("new_status")),
        provider_previous_status=text(fields.get("old_status")),
        carrier=text(fields.get("carrier")),
        tracking_number=_number(fields),
        payload=message.payload,
    )
    # Elsewhere an incident goes by its order, whose ids a receipt of goods may share.
    kind = "delivery" if topic.entity == _RECEIVING else None
    yield Fact(_INCIDENT, topic.what, _entity(topic, fields), data, kind=kind)


def _others(topic: _ShipstreamTopic, fields: Mapping[str, Any], message: Message) -> Iterator[Fact]:
    entity_id, kind = _entity(topic, fields), _kind(topic, fields, message)
    data = OtherData(entity_id=entity_id, entity_kind=kind, payload=message.payload)
    yield Fact(_OTHER, topic.what, entity_id, data, kind=kind)


def _kind(topic: _ShipstreamTopic, fields: Mapping[str, Any], message: Message) -> str | None:
    """What the entity's id counts: deliveries, labels, imports, packages and manifests each count from 1."""
    name = next((name for name in topic.entity if text_id(fields.get(name)) is not None), None)
    if name is None:
        return None
    if name == "unique_id":
        # An id of the resource that the topic names before its colon.
        resource = (text(message.body.get("topic")) or "").partition(":")[0]
        return resource if _RESOURCE.fullmatch(resource) else "unknown"
    return _KINDS[name]


_READERS: Mapping[Domain, Callable[[_ShipstreamTopic, Mapping[str, Any], Message], Iterator[Fact]]] = {
    _ORDER: _orders,
    _INVENTORY: _inventory,
    _CATALOG: _catalog,
    _INCIDENT: _incidents,
    _OTHER: _others,
}


def _interpret_fetched(message: Message) -> Interpretation | Rejection:
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
        status=_way_of(row) if word == "complete" else _status(word, row.get("state")),
        provider_status=word,
        items=_items(row.get("items")),
        shipments=tuple([one for package in objects(row.get("packages")) for one in _fetched_parcels(package)]),
        payload=message.payload,
    )
    return Interpretation(
        provider_event="order.search",
        natural_key=f"fetched:order:{order_id}:{rfc3339(changed_at)}",
        occurred=Occurred(changed_at, TimeQuality.EXACT),
        facts=(Fact(_ORDER, "observed", order_id, data),),
    )


def _way_of(row: Mapping[str, Any]) -> OrderStatus:
    """How far an order has come whose status stays `complete` from then on: https://docs.shipstream.io/ref/order.html"""
    if row.get("delivered_at") is not None:
        return OrderStatus.DELIVERED
    return OrderStatus.PACKED if row.get("shipped_at") is None else OrderStatus.SHIPPED


def _fetched_parcels(package: Mapping[str, Any]) -> Iterator[Shipment]:
    """One for each tracking number of a package, at least one unless the package says nothing."""
    carrier, trackings = text(package.get("carrier")), objects(package.get("tracking"))
    items = _items(package.get("order_items")) if len(trackings) < 2 else ()
    for tracking in trackings or [{}]:
        parcel = Shipment(
            carrier=carrier,
            tracking_number=text_id(tracking.get("number")),
            tracking_url=text(tracking.get("track_url")),
            items=items,
        )
        if parcel != _NO_SHIPMENT:
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
        facts=(Fact(_INVENTORY, "observed", sku, data),),
    )


def _sign(body: bytes, secret: bytes, _at: datetime) -> Mapping[str, str]:
    return {_SIGNATURE_HEADER: base64_text(mac(secret, body)).decode()}


def _sample_body(topic: str, number: int, at: datetime, fields: Mapping[str, Any]) -> bytes:
    common = ShipstreamMessage(webhook_increment_id=number, event_timestamp=rfc3339(at))
    message = cast(ShipstreamMessage, {**fields, **common})
    return orjson.dumps(ShipstreamBody(merchant_code="sample", topic=topic, message=message))


def _sample_stock(sku: str, adjustment: int, number: int) -> dict[str, Any]:
    left = 100 + number % 100
    figures = {"qty_adjust": adjustment, "qty_available": left, "qty_advertised": left}
    return {"sku": sku, "external_id": None, "product_id": 7, **figures}


def _sample_order(number: int, at: datetime) -> bytes:
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


def _sample_adjustment(number: int, at: datetime) -> bytes:
    sku = f"MUG-BLUE-{timestamp_ms(at)}-{number}"
    fields = {"stock_adjustments": {sku: _sample_stock(sku, 5, number)}}
    return _sample_body("inventory:adjusted", number, at, fields)


_ADDRESSES = ("message.address", "message.old_address")
# A carrier's words on a parcel's way, down to the town and the neighbour; `signed_by` and `gift_message` tell by name.
_TRACKED = ("new_details.location", "new_details.message", "new_details.description")
_PERSONAL = PersonalFields(
    {
        _ORDER: (*_ADDRESSES, *_TRACKED),
        _INCIDENT: (*_TRACKED, "message.sender_name"),
        _OTHER: ("message.sender_name",),
    },
    maps=("stock_adjustments",),
)

_ADJUSTED = "dropstream.inventory.adjusted"
_CREATED = ("dropstream.order.created", _ADJUSTED, _ADJUSTED)

PROVIDER = Provider(
    name="shipstream",
    signature_policy="require",
    claim=_claim,
    interpret=_interpret,
    interpret_fetched=_interpret_fetched,
    # 14 retries, the last 104 hours after the first try; then that delivery is "failed" for good. Nothing is said of
    # switching a webhook off. An answer within 5 s: https://docs.shipstream.io/merchant-api/webhook
    patience=RetryPolicy(
        loss=Loss.DELIVERY,
        source="https://docs.shipstream.io/merchant-api/webhook",
        failing_s_max=104 * 3_600,
        answer_within_s=5,
    ),
    samples=(
        Sample("shipstream-order-created", "ShipStream", _sample_order, _sign, _CREATED),
        Sample("shipstream-inventory-adjusted", "ShipStream", _sample_adjustment, _sign, (_ADJUSTED,)),
    ),
    personal=_PERSONAL,
    setup=Setup(
        page="its webhooks, or dropstream shipstream webhooks create",
        topics=tuple(name for name in _TOPICS if name != "test:ping"),
    ),
)
