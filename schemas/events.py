"""A fact of a delivery becomes an event, a CloudEvents 1.0 structured JSON record; and such a record is read.

Which attributes there are, and what each says, stands in `schemas.event_attributes`.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
from uuid_utils import UUID, uuid5

from schemas.event_data import DATA_SCHEMA_OF, Data
from schemas.fast_frozen import fast_frozen
from schemas.records import Headers, Position, Record
from schemas.times import rfc3339
from schemas.trace import TRACEPARENT
from schemas.vocabulary import Domain, SignatureStatus, TimeQuality

# Made once for dropstream. It must never change: event ids are derived from it.
_EVENT_NAMESPACE = UUID("6f0a3c5e-52a1-5d0e-9c1b-7f1f4f0f6d11")
_CONTENT_TYPE = ("content-type", b"application/cloudevents+json; charset=UTF-8")
_ATTRIBUTE_CHARACTERS_MAX = 255
# CloudEvents 1.0 section 3.1 forbids control characters and non-characters in attributes.
_FORBIDDEN = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), *range(0xFDD0, 0xFDF0)), "�"),
    **dict.fromkeys((plane << 16 | last for plane in range(17) for last in (0xFFFE, 0xFFFF)), "�"),
}


@fast_frozen()
class EventContext:
    """The attributes and headers that all events of one delivery share; made by `event_context`."""

    provider: str
    endpoint: str
    natural_key: str
    attributes: Mapping[str, object]
    headers: Headers
    marks: Headers


def event_context(
    *,
    natural_key: str,
    provider_event: str,
    time: datetime,
    time_quality: TimeQuality,
    received_at: datetime,
    provider: str,
    endpoint: str,
    signature: SignatureStatus,
    sequence: int | None,
    raw: Position,
    delivery: str,
    body_differs: bool,
    traceparent: str,
    repaired: bool = False,
    repeated: bool = False,
    replay: str | None = None,
    reconciled: str | None = None,
    is_overtaken: bool = False,
) -> EventContext:
    """The context of a delivery's events; `time` and `received_at` are aware, `traceparent` is valid or "".

    `replay` is the id of the replay that judges the delivery, if one does. `reconciled` is the id of the run that
    fetched it, if one did; `is_overtaken` says whether something that may be newer was known by then.
    """
    attributes: dict[str, object] = {
        "time": rfc3339(time),
        "timequality": time_quality,
        "recordedtime": rfc3339(received_at),
        "provider": provider,
        "endpoint": endpoint,
        "providerevent": attribute_text(provider_event) or "unnamed",
        "signature": signature,
        **({} if sequence is None else {"sequence": str(sequence)}),
    }
    attributes |= {"rawtopic": raw.topic, "rawpartition": raw.partition, "rawoffset": str(raw.offset)}
    attributes["delivery"] = delivery
    marks = {"bodydiffers": body_differs, "repaired": repaired, "repeated": repeated, "replay": replay}
    marks |= {"reconciled": reconciled, "overtaken": is_overtaken, TRACEPARENT: traceparent}
    said = {name: value for name, value in marks.items() if value}
    attributes |= {**said, "datacontenttype": "application/json"}
    headers = (("provider", provider.encode()), ("endpoint", endpoint.encode()))
    return EventContext(provider, endpoint, natural_key, attributes, headers, tuple(map(_header, said.items())))


def _header(mark: tuple[str, object]) -> tuple[str, bytes]:
    name, value = mark
    return name, b"true" if value is True else str(value).encode()


def event_record(
    context: EventContext, *, domain: Domain, what: str, entity_id: str, data: Data, kind: str | None = None
) -> Record:
    """The event of one fact as a record of its domain's topic, keyed by its entity; with the attributes of `Event`.

    Its id stands on `entity_id` alone; subject and key begin with `kind`, where one topic has several kinds of ids.
    """
    endpoint, provider = context.endpoint, context.provider
    event_type = f"dropstream.{domain}.{what}"
    subject = f"{kind}:{entity_id}" if kind else entity_id
    event = {
        "specversion": "1.0",
        "id": event_id(endpoint=endpoint, natural_key=context.natural_key, domain=domain, entity_id=entity_id),
        "source": f"/dropstream/{provider}/{endpoint}",
        "type": event_type,
        "subject": attribute_text(subject),
        **context.attributes,
        "dataschema": DATA_SCHEMA_OF[domain],
        "data": data,
    }
    return Record(
        topic=domain.topic,
        key=f"{provider}:{endpoint}:{subject}".encode(),
        value=exact_json(event),
        headers=(_CONTENT_TYPE, ("type", event_type.encode()), *context.headers, *context.marks),
    )


class ReadEvent(NamedTuple):
    """An event as a record holds it: its id, where its delivery lies in `raw`, and all attributes by name.

    The attributes are those of `schemas.event_attributes.Event`; where another producer wrote the record, any of them
    may be missing or of another type.
    """

    id: str
    raw: Position
    attributes: Mapping[str, Any]


def read_event(value: bytes | None) -> ReadEvent | None:
    """The event that a record holds; None for whatever else another producer wrote there. Total."""
    try:
        found = orjson.loads(value or b"")
        id_, raw = found["id"], Position(found["rawtopic"], found["rawpartition"], int(found["rawoffset"]))
    except (ValueError, KeyError, TypeError):
        return None
    typed = isinstance(id_, str) and isinstance(raw.topic, str) and isinstance(raw.partition, int)
    return ReadEvent(id_, raw, found) if typed else None


def event_id(*, endpoint: str, natural_key: str, domain: Domain, entity_id: str) -> str:
    """The event's id: a UUIDv5 of what makes the event this one and no other."""
    # As JSON, for ids are a stranger's text and may hold any separator.
    name = orjson.dumps((endpoint, natural_key, domain, entity_id))
    return str(uuid5(_EVENT_NAMESPACE, name.decode()))


def attribute_text(text: str) -> str:
    """`text` as a CloudEvents attribute may hold it: forbidden characters replaced, at most 255 characters.

    A provider's words are a stranger's text; the exact ones are in `data.payload`.
    """
    plain = text if text.isascii() and text.isprintable() else text.translate(_FORBIDDEN)
    return plain[:_ATTRIBUTE_CHARACTERS_MAX]


def exact_json(value: object) -> bytes:
    """`value` as JSON; a `Decimal` is a number with the digits that it came with."""
    return orjson.dumps(value, default=_exact_number)


def _exact_number(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"no JSON for {type(value).__name__}")
