"""What a message of ShipStream says: one function for each domain."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from processors.deliver.fields import decimal_text, first_id, mapping, objects, text, text_id
from processors.deliver.provider import Fact, Message
from processors.providers.shipstream.items import cancelled_items_of, items_of
from processors.providers.shipstream.shipments import shipments_of, tracking_number_of
from processors.providers.shipstream.statuses import status_of
from processors.providers.shipstream.topics import DELIVERY_ID, OWN_ID, ShipstreamTopic, entity_id_of, entity_kind_of
from schemas.event_data import CatalogData, IncidentData, InventoryData, OrderData, OtherData
from schemas.vocabulary import Domain


def _orders(topic: ShipstreamTopic, fields: Mapping[str, Any], message: Message) -> Iterator[Fact]:
    order_id = entity_id_of(topic, fields)
    # A shipment's and a tracker's `status` is not the order's.
    is_order = topic.entity == OWN_ID
    word = text(fields.get("status" if is_order else "order_status"))
    old_word = text(fields.get("old_status")) if is_order else None
    data = OrderData(
        order_id=order_id,
        reference=text_id(fields.get("order_ref")),
        status=topic.status or status_of(word, fields.get("state")),
        provider_status=word,
        previous_status=status_of(old_word, fields.get("old_state")),
        provider_previous_status=old_word,
        items=(*items_of(fields.get("items") or fields.get("items_remaining")), *cancelled_items_of(fields))
        if is_order
        else (),
        shipments=tuple(
            [
                shipment
                for holder in (objects(fields.get("shipments")) if is_order else (fields,))
                for shipment in shipments_of(holder, is_void=topic.voids)
            ]
        ),
        payload=message.payload,
    )
    yield Fact(Domain.ORDER, topic.what, order_id, data)


def _inventory(_topic: ShipstreamTopic, fields: Mapping[str, Any], _message: Message) -> Iterator[Fact]:
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
        yield Fact(Domain.INVENTORY, "adjusted", sku, data)


def _adjustments(value: object) -> Iterable[tuple[str | None, object]]:
    # PHP prints a map whose keys are 0, 1, 2 ... as a list, the empty map among them.
    return ((None, entry) for entry in value) if isinstance(value, list) else mapping(value).items()


def _catalog(topic: ShipstreamTopic, fields: Mapping[str, Any], message: Message) -> Iterator[Fact]:
    sku, old_sku = entity_id_of(topic, fields), text_id(fields.get("old_sku"))
    data = CatalogData(
        sku=sku, previous_sku=old_sku, external_id=text_id(fields.get("external_id")), payload=message.payload
    )
    # A renaming ends the life of one SKU and begins that of another.
    if old_sku is not None:
        yield Fact(Domain.CATALOG, topic.what, old_sku, data)
    yield Fact(Domain.CATALOG, topic.what, sku, data)


def _incidents(topic: ShipstreamTopic, fields: Mapping[str, Any], message: Message) -> Iterator[Fact]:
    data = IncidentData(
        order_id=text_id(fields.get("order_unique_id")),
        kind=text(message.body.get("topic")),
        provider_status=text(fields.get("new_status")),
        provider_previous_status=text(fields.get("old_status")),
        carrier=text(fields.get("carrier")),
        tracking_number=tracking_number_of(fields),
        payload=message.payload,
    )
    # Elsewhere an incident goes by its order, whose ids a receipt of goods may share.
    kind = "delivery" if topic.entity == DELIVERY_ID else None
    yield Fact(Domain.INCIDENT, topic.what, entity_id_of(topic, fields), data, kind=kind)


def _others(topic: ShipstreamTopic, fields: Mapping[str, Any], message: Message) -> Iterator[Fact]:
    entity_id, kind = entity_id_of(topic, fields), entity_kind_of(topic, fields, message)
    data = OtherData(entity_id=entity_id, entity_kind=kind, payload=message.payload)
    yield Fact(Domain.OTHER, topic.what, entity_id, data, kind=kind)


READERS: Mapping[Domain, Callable[[ShipstreamTopic, Mapping[str, Any], Message], Iterator[Fact]]] = {
    Domain.ORDER: _orders,
    Domain.INVENTORY: _inventory,
    Domain.CATALOG: _catalog,
    Domain.INCIDENT: _incidents,
    Domain.OTHER: _others,
}
