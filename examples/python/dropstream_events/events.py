"""An event of the topics orders, inventory, catalog, incidents and other as a typed value.

Reads version 1, and everything that version 1 may become: fields that are new are passed over, words that are new come
as the text that they are. What each field means stands in `docs/topics.html` of dropstream.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

# How far from `time` it may really have happened, by `timequality`; None where nobody knows.
_UNCERTAINTY: dict[str, timedelta | None] = {
    "exact": timedelta(0),
    "ambiguous": timedelta(hours=1),
    "shifted": timedelta(hours=1),
    "received": None,
}

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an order or of a shipment; `quantity` in pieces."""

    item_id: str | None
    sku: str | None
    variant_id: str | None
    quantity: Decimal | None
    cancelled: bool | None
    seller_variant_id: str | None


@dataclass(frozen=True, slots=True)
class Shipment:
    """One parcel of an order."""

    carrier: str | None
    tracking_number: str | None
    tracking_url: str | None
    items: tuple[Item, ...]
    voided: bool | None


@dataclass(frozen=True, slots=True)
class OrderData:
    """Data of an order event; take a `status` that you do not know as none that you act on."""

    order_id: str | None
    reference: str | None
    status: str | None
    provider_status: str | None
    previous_status: str | None
    provider_previous_status: str | None
    items: tuple[Item, ...]
    shipments: tuple[Shipment, ...]
    provider_sub_status: str | None
    store_id: str | None
    payload: Any


@dataclass(frozen=True, slots=True)
class InventoryData:
    """Data of an inventory event, in pieces; `available` is absolute: the newest `time` wins, never sum adjustments."""

    sku: str | None
    variant_id: str | None
    product_id: str | None
    available: Decimal | None
    advertised: Decimal | None
    adjustment: Decimal | None
    sellable: bool | None
    seller_variant_id: str | None
    payload: Any


@dataclass(frozen=True, slots=True)
class CatalogData:
    """Data of a catalog event."""

    product_id: str | None
    variant_id: str | None
    sku: str | None
    previous_sku: str | None
    external_id: str | None
    sellable: bool | None
    payload: Any


@dataclass(frozen=True, slots=True)
class IncidentData:
    """Data of an incident event."""

    incident_id: str | None
    order_id: str | None
    kind: str | None
    status: str | None
    provider_status: str | None
    previous_status: str | None
    provider_previous_status: str | None
    active: bool | None
    resolution_status: str | None
    carrier: str | None
    tracking_number: str | None
    payload: Any


@dataclass(frozen=True, slots=True)
class OtherData:
    """Data of everything else."""

    entity_id: str | None
    entity_kind: str | None
    payload: Any


Data = OrderData | InventoryData | CatalogData | IncidentData | OtherData


@dataclass(frozen=True, slots=True)
class Event:
    """One event; times are aware, in UTC. What may be absent is None, `bodydiffers` and `overtaken` False."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    timequality: str
    recordedtime: datetime
    provider: str
    endpoint: str
    providerevent: str
    signature: str
    sequence: int | None
    rawtopic: str
    rawpartition: int
    rawoffset: int
    delivery: str
    bodydiffers: bool
    repaired: bool
    repeated: bool
    replay: str | None
    reconciled: str | None
    overtaken: bool
    traceparent: str | None
    dataschema: str
    data: Data

    @property
    def uncertainty(self) -> timedelta | None:
        """How far from `time` it may really have happened; None where `time` is only when it was received."""
        return _UNCERTAINTY.get(self.timequality)


def read_event(value: bytes) -> Event:
    """The event that a record's value holds.

    Raises:
        ValueError: it is no event of version 1; a program made for version 1 must not guess what it means.
    """
    try:
        fields: Fields = json.loads(value)
        name = fields["dataschema"]
        read_data = _READERS.get(name)
        if fields["specversion"] != "1.0" or read_data is None:
            raise ValueError(f"is no event of version 1, but {name}")
        return _event(fields, read_data(fields["data"]))
    except (KeyError, TypeError, AttributeError, InvalidOperation, RecursionError) as error:
        raise ValueError(f"is no event: {type(error).__name__}: {error}") from error


def _event(fields: Fields, data: Data) -> Event:
    return Event(
        id=fields["id"],
        source=fields["source"],
        type=fields["type"],
        subject=fields["subject"],
        time=read_time(fields["time"]),
        timequality=fields["timequality"],
        recordedtime=read_time(fields["recordedtime"]),
        provider=fields["provider"],
        endpoint=fields["endpoint"],
        providerevent=fields["providerevent"],
        signature=fields["signature"],
        sequence=int(fields["sequence"]) if "sequence" in fields else None,
        rawtopic=fields["rawtopic"],
        rawpartition=fields["rawpartition"],
        rawoffset=int(fields["rawoffset"]),
        delivery=fields["delivery"],
        bodydiffers=fields.get("bodydiffers", False),
        repaired=fields.get("repaired", False),
        repeated=fields.get("repeated", False),
        replay=fields.get("replay"),
        reconciled=fields.get("reconciled"),
        overtaken=fields.get("overtaken", False),
        traceparent=fields.get("traceparent"),
        dataschema=fields["dataschema"],
        data=data,
    )


def read_time(text: str) -> datetime:
    """The instant that RFC 3339 text names; aware."""
    return datetime.fromisoformat(text)


# What version 1 got later is read with `get`: events that were written before have none of it.


def _order(data: Fields) -> OrderData:
    return OrderData(
        order_id=data["order_id"],
        reference=data["reference"],
        status=data["status"],
        provider_status=data["provider_status"],
        previous_status=data["previous_status"],
        provider_previous_status=data["provider_previous_status"],
        items=tuple(map(_item, data["items"])),
        shipments=tuple(map(_shipment, data["shipments"])),
        provider_sub_status=data.get("provider_sub_status"),
        store_id=data.get("store_id"),
        payload=data["payload"],
    )


def _shipment(data: Fields) -> Shipment:
    return Shipment(
        carrier=data["carrier"],
        tracking_number=data["tracking_number"],
        tracking_url=data["tracking_url"],
        items=tuple(map(_item, data["items"])),
        voided=data.get("voided"),
    )


def _item(data: Fields) -> Item:
    return Item(
        item_id=data["item_id"],
        sku=data["sku"],
        variant_id=data["variant_id"],
        quantity=_decimal(data["quantity"]),
        cancelled=data.get("cancelled"),
        seller_variant_id=data.get("seller_variant_id"),
    )


def _inventory(data: Fields) -> InventoryData:
    return InventoryData(
        sku=data["sku"],
        variant_id=data["variant_id"],
        product_id=data["product_id"],
        available=_decimal(data["available"]),
        advertised=_decimal(data["advertised"]),
        adjustment=_decimal(data["adjustment"]),
        sellable=data["sellable"],
        seller_variant_id=data.get("seller_variant_id"),
        payload=data["payload"],
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _catalog(data: Fields) -> CatalogData:
    return CatalogData(**{name: data[name] for name in CatalogData.__slots__})


def _incident(data: Fields) -> IncidentData:
    return IncidentData(**{name: data.get(name) for name in IncidentData.__slots__})


def _other(data: Fields) -> OtherData:
    return OtherData(entity_id=data["entity_id"], entity_kind=data.get("entity_kind"), payload=data["payload"])


_READERS: dict[str, Callable[[Fields], Data]] = {
    "urn:dropstream:schema:order-data:v1": _order,
    "urn:dropstream:schema:inventory-data:v1": _inventory,
    "urn:dropstream:schema:catalog-data:v1": _catalog,
    "urn:dropstream:schema:incident-data:v1": _incident,
    "urn:dropstream:schema:other-data:v1": _other,
}
