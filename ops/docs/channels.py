"""Describes each topic for a consumer: its meaning, the schema of its values, the headers of its records.

The AsyncAPI document and the page for people are made from this table; the topics' settings are in `schemas.topics`.
The changelogs are not in it: they are ours, and may change any day.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HeaderField:
    """One header of a record; a value is UTF-8 text. A header that is not `always` there may be absent."""

    name: str
    meaning: str
    example: str
    always: bool = True


@dataclass(frozen=True, slots=True)
class Channel:
    """One topic by its short name; `message` names a record of it, `schema` that of its value.

    `schema` is the name of a file without `.v1.json`; None where the value is bytes as they were received.
    """

    topic: str
    message: str
    schema: str | None
    meaning: str
    key_example: str
    headers: tuple[HeaderField, ...] = ()
    content_type: str = "application/json"


_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_RUN = "reconcile-20260521T143211Z-3fa9c1"
_ORIGIN = HeaderField("dropstream-raw", "topic/partition/offset of the raw record.", "dropstream.raw/3/1041")
_OF_EVENTS = (
    HeaderField("content-type", "Says that the value is a CloudEvent.", "application/cloudevents+json; charset=UTF-8"),
    HeaderField("type", "The event's `type`, to pass over a record without reading it.", "dropstream.order.shipped"),
    HeaderField("provider", "The event's `provider`.", "shipstream"),
    HeaderField("endpoint", "The event's `endpoint`.", "shipstream-acme"),
    HeaderField("bodydiffers", "`true` where the event says so; absent elsewhere.", "true", always=False),
    HeaderField("repaired", "`true` where the event says so; absent elsewhere.", "true", always=False),
    HeaderField("repeated", "`true` where the event says so; absent elsewhere.", "true", always=False),
    HeaderField("reconciled", "The event's `reconciled`; absent elsewhere.", _RUN, always=False),
    HeaderField("overtaken", "`true` where the event says so; absent elsewhere.", "true", always=False),
    HeaderField("traceparent", "The event's `traceparent`, as W3C Trace Context has it.", _TRACE, always=False),
)
_OF_RAW = (
    HeaderField("traceparent", "The W3C trace of the delivery, begun for it if need be.", _TRACE, always=False),
    HeaderField("dropstream-delivery", "Id of the delivery, a UUIDv7.", "019e4b02-a578-7000-8000-000000000001"),
    HeaderField("dropstream-provider", "Name of the platform, as configured.", "shipstream"),
    HeaderField("dropstream-endpoint", "Name of the endpoint, as configured.", "shipstream-acme"),
    HeaderField("dropstream-received-at", "When it was received, UTC, microseconds.", "2026-05-21T14:32:11.000000Z"),
    HeaderField("dropstream-remote", "Address of the peer; of what was fetched, the host of the API.", "192.0.2.1"),
    HeaderField(
        "dropstream-origin", "`reconcile` where it was fetched from the provider's API.", "reconcile", always=False
    ),
    HeaderField("dropstream-run", "The run that fetched it; absent elsewhere.", _RUN, always=False),
    HeaderField(
        "dropstream-newest-known",
        "When the newest webhook of the entity happened that was there by then, if after the fetched state.",
        "2026-05-21T14:32:11.000000Z",
        always=False,
    ),
)
_OF_REJECTED = (
    *_OF_RAW,
    HeaderField(
        "dropstream-reason",
        "Why: endpoint_unknown, signature_missing, signature_invalid, secret_expired, timestamp_outside_tolerance, "
        "body_not_json, body_unrecognised or kafka_refused.",
        "signature_invalid",
    ),
    HeaderField(
        "dropstream-detail", "A sentence for a person; holds no secret and nothing of the body.", "no secret fits"
    ),
    _ORIGIN,
)
CLOUD_EVENT = "application/cloudevents+json"

CHANNELS: tuple[Channel, ...] = (
    Channel(
        "orders",
        "OrderEvent",
        "order-event",
        "What happened to an order. All events of one order have one key, so they come in the order in which their "
        "deliveries were received; `time` says when it happened.",
        "shipstream:shipstream-acme:100000015",
        _OF_EVENTS,
        CLOUD_EVENT,
    ),
    Channel(
        "inventory",
        "InventoryEvent",
        "inventory-event",
        "How much there is of one SKU or variant, an event for each. Figures are absolute: the newest `time` wins. "
        "Never sum adjustments.",
        "shipstream:shipstream-acme:MUG-1",
        _OF_EVENTS,
        CLOUD_EVENT,
    ),
    Channel(
        "catalog",
        "CatalogEvent",
        "catalog-event",
        "Products and variants that come, change, are renamed or go.",
        "shipstream:shipstream-acme:MUG-1",
        _OF_EVENTS,
        CLOUD_EVENT,
    ),
    Channel(
        "incidents",
        "IncidentEvent",
        "incident-event",
        "What went wrong, keyed by the order that it is about where the provider says which, else by the incident.",
        "dropea:dropea-acme:100000015",
        _OF_EVENTS,
        CLOUD_EVENT,
    ),
    Channel(
        "other",
        "OtherEvent",
        "other-event",
        "Everything valid that is none of the four; event names that nobody has documented included.",
        "shipstream:shipstream-acme:29",
        _OF_EVENTS,
        CLOUD_EVENT,
    ),
    Channel(
        "gaps",
        "Gap",
        "gap",
        "Holes in ShipStream's sequence ids. Per endpoint and epoch, in the order of offsets: `open` adds the ids "
        "`first` to `last` to those that are awaited, `filled`, `lost` and `dismissed` take away exactly the ids that "
        "they name, `reset` begins an epoch in which nothing is awaited. What is `lost` stays missing until it is "
        "`reconciled` or `dismissed`.",
        "shipstream-acme",
    ),
    Channel(
        "duplicates",
        "Duplicate",
        "duplicate",
        "One record for each delivery that was dropped as a provider's retry: which, and of which.",
        "shipstream-acme",
        (_ORIGIN,),
    ),
    Channel(
        "rejected",
        "RejectedDelivery",
        None,
        "Deliveries that could not be believed or read: the raw record, unchanged, with the reason added. Where the "
        "raw record has no headers of ours, because another producer wrote it, the rejected one has none either.",
        "shipstream-acme",
        _OF_REJECTED,
        "application/octet-stream",
    ),
    Channel(
        "sequence",
        "Observation",
        "observation",
        "One observation for each verified delivery with a sequence id: what `gaps` is made from. A person's dismissal "
        "of a gap lies there too, with `note` = `dismissal`; pass over it.",
        "shipstream-acme",
        (HeaderField("traceparent", "The delivery's trace, as W3C Trace Context has it.", _TRACE, always=False),),
    ),
    Channel(
        "acts",
        "Act",
        "act",
        "Who did what, from the console and from the command line: redrives, replays, unmasked data, offsets, logins, "
        "wrong tokens. An act has two records with one `id`, `begun` and then `done` or `failed`. All of them are in "
        "partition 0.",
        "anna",
    ),
    Channel(
        "raw",
        "RawDelivery",
        None,
        "Every delivery as it was received: the exact body, and every HTTP header, name in lower case, order and "
        "repeats kept, but hop-by-hop ones, `authorization` and `cookie`. Those below are added.",
        "shipstream-acme",
        _OF_RAW,
        "application/octet-stream",
    ),
)
