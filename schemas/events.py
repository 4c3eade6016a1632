"""An event: what a delivery means, in our terms, as a CloudEvents 1.0 structured JSON record.

The attributes are contract and documentation at once: the JSON Schemas in `schemas/json/` are generated from them.
What an event's `data` holds stands in `schemas.event_data`.
"""

import uuid
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import orjson
from pydantic import Field

from schemas.delivery import rfc3339
from schemas.event_data import DATA_SCHEMA_OF, Data
from schemas.records import Headers, Position, Record
from schemas.trace import TRACEPARENT, TRACEPARENT_PATTERN
from schemas.vocabulary import Domain, SignatureMark, TimeQuality

# Ours, made once. It must never change: event ids rest on it.
_EVENT_NAMESPACE = uuid.UUID("6f0a3c5e-52a1-5d0e-9c1b-7f1f4f0f6d11")
_CONTENT_TYPE = b"application/cloudevents+json; charset=UTF-8"
_ATTRIBUTE_CHARACTERS_MAX = 255
# CloudEvents 1.0 section 3.1 forbids control characters and non-characters in attributes.
_FORBIDDEN = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), *range(0xFDD0, 0xFDF0)), "�"),
    **dict.fromkeys((plane << 16 | last for plane in range(17) for last in (0xFFFE, 0xFFFF)), "�"),
}

Rfc3339 = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$", examples=["2026-05-21T14:32:11.000000Z"])
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
            "provider says no usable time and it is the time of receipt.",
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
        SignatureMark,
        Field(
            description="Whether the sender is proven: `verified`, or `unsigned` where the endpoint allows that.",
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
    replay: Annotated[
        str | None,
        Field(
            description="The replay's id; absent on first processing.",
            examples=["019e4b02-a578-7000-8000-00000000000f"],
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


_ATTRIBUTES = tuple(field.name for field in fields(Event))


def event_id(*, endpoint: str, natural_key: str, domain: Domain, entity_id: str) -> str:
    """The event's id: a UUIDv5 of what makes the event this one and no other."""
    # As JSON, for ids are a stranger's text and could hold any separator.
    parts = orjson.dumps((endpoint, natural_key, domain, entity_id))
    return str(uuid.uuid5(_EVENT_NAMESPACE, parts.decode()))


def attribute_text(text: str) -> str:
    """`text` as a CloudEvents attribute may hold it: forbidden characters replaced, at most 255 characters.

    A provider's words are a stranger's text; the exact ones are in `data.payload`.
    """
    return text.translate(_FORBIDDEN)[:_ATTRIBUTE_CHARACTERS_MAX]


def build_event(
    *,
    data: Data,
    domain: Domain,
    what: str,
    entity_id: str,
    natural_key: str,
    provider_event: str,
    time: datetime,
    time_quality: TimeQuality,
    received_at: datetime,
    provider: str,
    endpoint: str,
    signature: SignatureMark,
    sequence: int | None,
    raw: Position,
    delivery: str,
    body_differs: bool,
    traceparent: str,
    replay: str | None = None,
) -> Event:
    """The event of one fact; `time` and `received_at` are aware, `traceparent` is valid or "".

    `replay` is the replay's id where there is one.
    """
    return Event(
        id=event_id(endpoint=endpoint, natural_key=natural_key, domain=domain, entity_id=entity_id),
        source=f"/dropstream/{provider}/{endpoint}",
        type=f"dropstream.{domain}.{what}",
        subject=attribute_text(entity_id),
        time=rfc3339(time),
        timequality=time_quality,
        recordedtime=rfc3339(received_at),
        provider=provider,
        endpoint=endpoint,
        providerevent=attribute_text(provider_event) or "unnamed",
        signature=signature,
        sequence=None if sequence is None else str(sequence),
        rawtopic=raw.topic,
        rawpartition=raw.partition,
        rawoffset=str(raw.offset),
        delivery=delivery,
        bodydiffers=body_differs or None,
        replay=replay,
        traceparent=traceparent or None,
        dataschema=DATA_SCHEMA_OF[domain],
        data=data,
    )


def event_record(event: Event, *, domain: Domain, entity_id: str) -> Record:
    """The event as a record of its domain's topic, keyed by its entity."""
    attributes = {name: value for name in _ATTRIBUTES if (value := getattr(event, name)) is not None}
    return Record(
        topic=domain.topic,
        key=f"{event.provider}:{event.endpoint}:{entity_id}".encode(),
        value=exact_json(attributes),
        headers=_event_headers(event),
    )


def exact_json(value: object) -> bytes:
    """`value` as JSON; a `Decimal` is a number with the digits that it came with."""
    return orjson.dumps(value, default=_exact_number)


def _exact_number(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"no JSON for {type(value).__name__}")


def _event_headers(event: Event) -> Headers:
    headers: Headers = (
        ("content-type", _CONTENT_TYPE),
        ("type", event.type.encode()),
        ("provider", event.provider.encode()),
        ("endpoint", event.endpoint.encode()),
    )
    differs = (("bodydiffers", b"true"),) if event.bodydiffers else ()
    replay = (("replay", event.replay.encode()),) if event.replay else ()
    trace = ((TRACEPARENT, event.traceparent.encode()),) if event.traceparent else ()
    return (*headers, *differs, *replay, *trace)
