"""What the `data` of an event holds, per domain; each field null or empty where the provider says nothing.

Numbers that money or stock rest on are decimal text. `payload` always comes last: the provider's JSON that the event
stands on, unchanged but for what was redacted. What may change within a version stands in `ops.docs.compatibility`.
"""

from typing import Annotated

from pydantic import Field

from schemas.fast_frozen import fast_frozen
from schemas.vocabulary import Domain, IncidentStatus, OrderStatus

DecimalText = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$")]
Payload = Annotated[
    object,
    Field(
        description="The provider's JSON that the event stands on; any JSON, unchanged but for `[redacted]` where set.",
        examples=[{"id": 1}],
    ),
]
ProviderStatus = Annotated[
    str | None, Field(description="The provider's word for the status, verbatim.", examples=["complete"])
]
ProviderSubStatus = Annotated[
    str | None,
    Field(
        description="The provider's word for the step within the status, verbatim, where it has a field for it.",
        examples=["OUT_FOR_DELIVERY"],
    ),
]
SellerVariantId = Annotated[
    str | None,
    Field(
        description="The seller's own id or code of the variant, where the provider passes it on beside its own.",
        examples=["VC1"],
    ),
]
ProviderPreviousStatus = Annotated[
    str | None, Field(description="The provider's word for the status before, verbatim.", examples=["new"])
]


@fast_frozen(kw_only=True)
class Item:
    """One line of an order or of a shipment."""

    item_id: Annotated[str | None, Field(description="The provider's id of the line.", examples=["13523"])] = None
    sku: Annotated[
        str | None, Field(description="Stock keeping unit, as the provider writes it.", examples=["MUG-1"])
    ] = None
    variant_id: Annotated[str | None, Field(description="The provider's id of the variant.", examples=["884201"])] = (
        None
    )
    quantity: Annotated[
        DecimalText | None, Field(description="How many, in pieces; decimal text.", examples=["2", "1.0000"])
    ] = None
    cancelled: Annotated[
        bool | None, Field(description="Whether this line is cancelled, where the provider says.", examples=[True])
    ] = None
    seller_variant_id: SellerVariantId = None


@fast_frozen(kw_only=True)
class Shipment:
    """One parcel or fulfilment of an order."""

    carrier: Annotated[str | None, Field(description="Who carries it, in the provider's word.", examples=["fedex"])] = (
        None
    )
    tracking_number: Annotated[
        str | None, Field(description="The carrier's number of the parcel.", examples=["794657040105"])
    ] = None
    tracking_url: Annotated[
        str | None,
        Field(description="Where a person can follow the parcel.", examples=["https://carrier.example/794657040105"]),
    ] = None
    items: Annotated[
        tuple[Item, ...], Field(description="What is in it; empty where the provider does not say.", examples=[[]])
    ] = ()
    voided: Annotated[
        bool | None,
        Field(
            description="True where its label is void, so that nothing goes out under this number; else null.",
            examples=[True],
        ),
    ] = None


@fast_frozen(kw_only=True)
class OrderData:
    """Data of an order event."""

    order_id: Annotated[
        str | None, Field(description="The provider's id of the order; the event's subject.", examples=["100000015"])
    ]
    reference: Annotated[str | None, Field(description="Your own reference of the order.", examples=["SAMPLE-1"])] = (
        None
    )
    status: Annotated[
        OrderStatus | None,
        Field(description="Where the order stands, in one vocabulary over all providers.", examples=["shipped"]),
    ] = None
    provider_status: ProviderStatus = None
    previous_status: Annotated[
        OrderStatus | None, Field(description="Where it stood before, in the same vocabulary.", examples=["processing"])
    ] = None
    provider_previous_status: ProviderPreviousStatus = None
    items: Annotated[
        tuple[Item, ...], Field(description="The order's lines; empty where the provider does not say.", examples=[[]])
    ] = ()
    shipments: Annotated[
        tuple[Shipment, ...], Field(description="Its parcels; empty where the provider does not say.", examples=[[]])
    ] = ()
    provider_sub_status: ProviderSubStatus = None
    store_id: Annotated[
        str | None,
        Field(description="The provider's id of the shop that sold it, where one account has several.", examples=["2"]),
    ] = None
    payload: Payload


@fast_frozen(kw_only=True)
class InventoryData:
    """Data of an inventory event: absolute figures where the provider states them; never sum adjustments over a gap."""

    sku: Annotated[
        str | None, Field(description="Stock keeping unit, as the provider writes it.", examples=["MUG-1"])
    ] = None
    variant_id: Annotated[str | None, Field(description="The provider's id of the variant.", examples=["884201"])] = (
        None
    )
    product_id: Annotated[str | None, Field(description="The provider's id of the product.", examples=["7"])] = None
    available: Annotated[
        DecimalText | None, Field(description="Pieces that can be sold now; decimal text.", examples=["12.0000"])
    ] = None
    advertised: Annotated[
        DecimalText | None,
        Field(
            description="Available plus what can be built from parts, in pieces; decimal text.", examples=["15.0000"]
        ),
    ] = None
    adjustment: Annotated[
        DecimalText | None,
        Field(description="The signed change in pieces, where the provider states it; decimal text.", examples=["-2"]),
    ] = None
    sellable: Annotated[bool | None, Field(description="Whether it may be offered at all.", examples=[True])] = None
    seller_variant_id: SellerVariantId = None
    payload: Payload


@fast_frozen(kw_only=True)
class CatalogData:
    """Data of a catalog event."""

    product_id: Annotated[str | None, Field(description="The provider's id of the product.", examples=["7"])] = None
    variant_id: Annotated[str | None, Field(description="The provider's id of the variant.", examples=["884201"])] = (
        None
    )
    sku: Annotated[
        str | None, Field(description="Stock keeping unit, as the provider writes it.", examples=["MUG-1"])
    ] = None
    previous_sku: Annotated[str | None, Field(description="The SKU before a renaming.", examples=["MUG-0"])] = None
    external_id: Annotated[str | None, Field(description="Your own id of the product.", examples=["shop-417"])] = None
    sellable: Annotated[bool | None, Field(description="Whether it may be offered at all.", examples=[False])] = None
    payload: Payload


@fast_frozen(kw_only=True)
class IncidentData:
    """Data of an incident event."""

    incident_id: Annotated[
        str | None, Field(description="The provider's id of the incident, where it has one.", examples=["5521"])
    ] = None
    order_id: Annotated[
        str | None, Field(description="The order that it is about, where the provider says.", examples=["100000015"])
    ] = None
    kind: Annotated[
        str | None, Field(description="The provider's kind of incident, verbatim.", examples=["tracker:exception"])
    ] = None
    status: Annotated[
        IncidentStatus | None,
        Field(description="Where the incident stands, in one vocabulary over all providers.", examples=["pending"]),
    ] = None
    provider_status: ProviderStatus = None
    previous_status: Annotated[
        IncidentStatus | None, Field(description="Where it stood before, in the same vocabulary.", examples=["info"])
    ] = None
    provider_previous_status: ProviderPreviousStatus = None
    active: Annotated[
        bool | None,
        Field(description="Whether it is still to be dealt with, where the provider says.", examples=[False]),
    ] = None
    resolution_status: Annotated[
        str | None,
        Field(description="The provider's word for how it is being solved, verbatim.", examples=["SENT_TO_CARRIER"]),
    ] = None
    carrier: Annotated[
        str | None, Field(description="Who carries the parcel, in the provider's word.", examples=["GLS"])
    ] = None
    tracking_number: Annotated[
        str | None, Field(description="The carrier's number of the parcel that it is about.", examples=["TRK-1"])
    ] = None
    payload: Payload


@fast_frozen(kw_only=True)
class OtherData:
    """Data of everything valid that is none of the four; unknown event names included."""

    entity_id: Annotated[
        str | None, Field(description="The id of what it is about, where one was found.", examples=["29"])
    ] = None
    entity_kind: Annotated[
        str | None,
        Field(
            description="What that id counts, where the provider has several kinds; the subject begins with it.",
            examples=["manifest"],
        ),
    ] = None
    payload: Payload


Data = OrderData | InventoryData | CatalogData | IncidentData | OtherData

DATA_SCHEMA_OF: dict[Domain, str] = {domain: f"urn:dropstream:schema:{domain}-data:v1" for domain in Domain}
