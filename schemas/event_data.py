"""What the `data` of an event holds, per domain; each field null or empty where the provider says nothing.

Numbers that money or stock rest on are decimal text. `payload` always comes last: the provider's JSON that the event
stands on, unchanged. Only new optional fields may be added to a version; anything else makes a new one.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from schemas.vocabulary import Domain, IncidentStatus, OrderStatus

DecimalText = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["2", "18.00"])]
Payload = Annotated[object, Field(description="The provider's JSON that the event stands on, unchanged.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of an order or of a shipment."""

    item_id: Annotated[str | None, Field(description="The provider's id of the line.")] = None
    sku: str | None = None
    variant_id: Annotated[str | None, Field(description="The provider's id of the variant.")] = None
    quantity: Annotated[DecimalText | None, Field(description="How many, decimal text.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """One parcel or fulfilment of an order."""

    carrier: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderData:
    """Data of an order event."""

    order_id: Annotated[str | None, Field(description="The provider's id of the order; the event's subject.")]
    reference: Annotated[str | None, Field(description="Your own reference of the order.")] = None
    status: Annotated[OrderStatus | None, Field(description="One vocabulary over all providers.")] = None
    provider_status: Annotated[str | None, Field(description="The provider's word, verbatim.")] = None
    previous_status: OrderStatus | None = None
    provider_previous_status: str | None = None
    items: tuple[Item, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    payload: Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryData:
    """Data of an inventory event: absolute figures where the provider states them; never sum adjustments over a gap."""

    sku: str | None = None
    variant_id: str | None = None
    product_id: str | None = None
    available: Annotated[DecimalText | None, Field(description="Units that can be sold now.")] = None
    advertised: Annotated[DecimalText | None, Field(description="Available plus what can be built from parts.")] = None
    adjustment: Annotated[DecimalText | None, Field(description="The signed change, where the provider states it.")] = (
        None
    )
    sellable: Annotated[bool | None, Field(description="Whether it may be offered at all.")] = None
    payload: Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogData:
    """Data of a catalog event."""

    product_id: str | None = None
    variant_id: str | None = None
    sku: str | None = None
    previous_sku: Annotated[str | None, Field(description="The SKU before a renaming.")] = None
    external_id: str | None = None
    sellable: bool | None = None
    payload: Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentData:
    """Data of an incident event."""

    incident_id: Annotated[str | None, Field(description="The provider's id of the incident, where it has one.")] = None
    order_id: Annotated[str | None, Field(description="The order that it is about, where the provider says.")] = None
    kind: Annotated[str | None, Field(description="The provider's kind of incident, verbatim.")] = None
    status: Annotated[IncidentStatus | None, Field(description="One vocabulary over all providers.")] = None
    provider_status: str | None = None
    previous_status: IncidentStatus | None = None
    provider_previous_status: str | None = None
    payload: Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherData:
    """Data of everything valid that is none of the four; unknown event names included."""

    entity_id: Annotated[str | None, Field(description="The id of what it is about, where one was found.")] = None
    payload: Payload


Data = OrderData | InventoryData | CatalogData | IncidentData | OtherData

DATA_SCHEMA_OF: dict[Domain, str] = {domain: f"urn:dropstream:schema:{domain}-data:v1" for domain in Domain}
