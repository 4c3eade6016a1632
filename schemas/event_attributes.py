"""The attributes of an event: contract and documentation at once; the JSON Schemas in `schemas/json/` are made of them.

`schemas.events` makes the record; what an event's `data` holds stands in `schemas.event_data`.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from schemas.event_data import Data
from schemas.trace import TRACEPARENT_PATTERN
from schemas.vocabulary import SignatureStatus, TimeQuality

Rfc3339 = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
        examples=["2026-05-21T14:32:11.000000Z"],
        json_schema_extra={"format": "date-time"},
    ),
]
EndpointName = Annotated[
    str, Field(description="Name of the endpoint that received it, as configured.", examples=["shipstream-acme"])
]
DeliveryId = Annotated[
    str, Field(description="Id of the delivery, a UUIDv7.", examples=["019e4b02-a578-7000-8000-000000000001"])
]
RawPlace = Annotated[str, Field(examples=["dropstream.raw/3/1041"])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event; every attribute is text unless said otherwise, an absent one is left out."""

    specversion: Annotated[Literal["1.0"], Field(description="CloudEvents version.")] = "1.0"
    id: Annotated[
        str,
        Field(
            description="A UUIDv5. Same delivery, domain and entity: same id, on retry, replay and any machine.",
            examples=["b3f1c7a0-3a55-5f6e-9d5c-0a4f2d6b8e11"],
        ),
    ]
    source: Annotated[
        str, Field(description="/dropstream/{provider}/{endpoint}", examples=["/dropstream/shipstream/shipstream-acme"])
    ]
    type: Annotated[
        str,
        Field(
            pattern=r"^dropstream\.(order|inventory|catalog|incident|other)\.[a-z_]+$",
            description="dropstream.{domain}.{what happened}; more words may come after the domain's.",
            examples=["dropstream.order.status_changed"],
        ),
    ]
    subject: Annotated[
        str,
        Field(
            description="The entity's id, at most 255 characters; where the body has none, the delivery's own key.",
            min_length=1,
            examples=["100000015"],
        ),
    ]
    time: Annotated[Rfc3339, Field(description="When it happened, UTC, microseconds.")]
    timequality: Annotated[
        TimeQuality,
        Field(
            description="How far `time` can be trusted: `exact`; `ambiguous`, autumn's hour that comes twice, resolved "
            "by the time of receipt; `shifted`, spring's hour that does not exist, moved forward; `received`, the "
            "provider says no time, or one too far from the receipt, and it is the time of receipt.",
            examples=["exact"],
        ),
    ]
    recordedtime: Annotated[Rfc3339, Field(description="When the delivery was received, UTC, microseconds.")]
    provider: Annotated[str, Field(description="Name of the platform that sent it.", examples=["shipstream"])]
    endpoint: EndpointName
    providerevent: Annotated[
        str,
        Field(
            description="The provider's own name of the event, at most 255 characters.",
            min_length=1,
            examples=["order:shipped"],
        ),
    ]
    signature: Annotated[
        SignatureStatus,
        Field(
            description="Whether the sender is proven: `verified`, or `unsigned` where the endpoint allows that; "
            "`fetched` where nobody sent it, and dropstream asked the provider's API. More words may come.",
            examples=["verified"],
        ),
    ]
    sequence: Annotated[
        str | None,
        Field(description="ShipStream's sequence id, a whole number as text; absent elsewhere.", examples=["12"]),
    ] = None
    rawtopic: Annotated[str, Field(description="Topic of the raw record.", examples=["dropstream.raw"])]
    rawpartition: Annotated[int, Field(description="Partition of the raw record.", ge=0, examples=[3])]
    rawoffset: Annotated[
        str,
        Field(
            description="Offset of the raw record; text, for it outgrows CloudEvents' 32 bits.",
            examples=["1041"],
        ),
    ]
    delivery: DeliveryId
    bodydiffers: Annotated[
        bool | None,
        Field(
            description="True where the provider's key was seen before with another body; absent elsewhere.",
            examples=[True],
        ),
    ] = None
    repaired: Annotated[
        bool | None,
        Field(
            description="True where the payload is not the provider's text to the letter, for some JSON readers could "
            "not have read it: half characters are U+FFFD, numbers too large for a reader are text, a byte order mark "
            "is left out. The exact bytes are in the raw record. Absent elsewhere.",
            examples=[True],
        ),
    ] = None
    repeated: Annotated[
        bool | None,
        Field(
            description="True where an equal delivery came before, and the provider gives no id that would tell a "
            "change back from a late retry; absent elsewhere.",
            examples=[True],
        ),
    ] = None
    replay: Annotated[
        str | None,
        Field(
            description="The replay's id; absent on first processing.",
            examples=["019e4b02-a578-7000-8000-00000000000f"],
        ),
    ] = None
    reconciled: Annotated[
        str | None,
        Field(
            description="The run of dropstream reconcile that fetched it from the provider's API; absent elsewhere.",
            examples=["reconcile-20260521T143211Z-3fa9c1"],
        ),
    ] = None
    overtaken: Annotated[
        bool | None,
        Field(
            description="True where a webhook that may be newer than this fetched state was known; absent elsewhere.",
            examples=[True],
        ),
    ] = None
    traceparent: Annotated[
        str | None,
        Field(
            pattern=TRACEPARENT_PATTERN,
            description="W3C trace of the delivery; absent where it was received without one being kept.",
            examples=["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
        ),
    ] = None
    datacontenttype: Annotated[Literal["application/json"], Field(description="Media type of `data`.")] = (
        "application/json"
    )
    dataschema: Annotated[
        str, Field(description="Which schema `data` follows.", examples=["urn:dropstream:schema:order-data:v1"])
    ]
    data: Data
