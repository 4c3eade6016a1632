"""Makes the JSON of deliveries for the page: the lines of the list, and one whole; pure, every text clipped."""

from typing import Any

import orjson

from ops.console.masking import clipped, facts_of, masked_body, masked_headers
from ops.deliveries.copies import as_curl, as_fixture, as_json
from ops.deliveries.detail import DeliveryDetail
from ops.deliveries.listing import Found, Looked, Step
from ops.deliveries.summary import DeliverySummary, EventSummary, mention_in
from schemas.events import read_event
from schemas.records import RawRecord

_BODY_CHARACTERS_MAX = 1_000_000
_VALUE_CHARACTERS_MAX = 120
_STEP_CHARACTERS_MAX = 1_000


def step_line(step: Step) -> bytes:
    """A step of a listing as one line of JSON."""
    if isinstance(step, Found):
        shown: dict[str, Any] = {"row": row(step.one)}
    elif isinstance(step, Looked):
        shown = {"looked": {"done": step.done, "total": step.total, "back_to": step.back_to_ms}}
    else:
        shown = {"ended": {"until": step.next_until_ms}}
    return orjson.dumps(shown) + b"\n"


def failed_line(sentence: str) -> bytes:
    """The last line of a listing that could not be ended."""
    return orjson.dumps({"error": sentence}) + b"\n"


def row(one: DeliverySummary) -> dict[str, Any]:
    """A delivery as a line of the list."""
    rejected_at, reason, detail = one.rejected or ("", "", "")
    first = "" if one.first is None else f"{one.first.partition}:{one.first.offset}"
    return {
        "place": one.place,
        "at": one.at_ms,
        "delivery": clipped(one.delivery, 60),
        "endpoint": clipped(one.endpoint),
        "provider": clipped(one.provider, 60),
        "bytes": one.bytes_count,
        "outcome": one.outcome.value,
        "reason": clipped(reason, 60),
        "detail": clipped(detail, 400),
        "rejected_at": rejected_at,
        "first": first,
        "sequence": None if one.sequence is None else str(one.sequence),
        "events": [_event(each) for each in one.events],
        "events_count": one.events_count,
        "replays": one.replays,
    }


def whole(found: DeliveryDetail) -> dict[str, Any]:
    """A delivery with all that became of it, personal data masked."""
    return {
        **row(found.summary),
        "topic": found.record.position.topic,
        "facts": facts_of(found.delivery),
        "headers": masked_headers(found.delivery.headers),
        "body": masked_body(found.delivery.body),
        "claims": sorted(clipped(one, _VALUE_CHARACTERS_MAX) for one in found.claimed)[:20],
        "today": [_today(one.topic, one.value) for one in found.would_become[:20]],
        "steps": [(one.name, clipped(one.found, _STEP_CHARACTERS_MAX), one.stops) for one in found.steps],
        "written": [_written(topic, record, with_data=False) for topic, record in found.events],
        "retries": [
            {"place": f"{one.position.partition}:{one.position.offset}", "at": one.at_ms, "delivery": one.delivery}
            for one in found.retries
        ],
        "gaps": [
            {"first": str(one.first), "last": str(one.last), "state": one.state.value, "at": one.changed_at}
            for one in found.gaps
        ],
        "looked_until": found.looked_until_ms,
    }


def unmasked(found: DeliveryDetail, url: str) -> dict[str, Any]:
    """What came and what was written, as it is; and the delivery to copy."""
    body = found.delivery.body.decode("utf-8", "replace")
    return {
        "headers": [(name, value.decode("latin-1")) for name, value in found.delivery.headers],
        "body": body[:_BODY_CHARACTERS_MAX],
        "written": [_written(topic, record, with_data=True) for topic, record in found.events],
        "curl": as_curl(found.delivery, url),
        "json": as_json(found.record),
        "fixture": as_fixture(found.delivery),
    }


def _event(one: EventSummary) -> dict[str, str]:
    return {
        "place": one.place,
        "type": clipped(one.type, _VALUE_CHARACTERS_MAX),
        "subject": clipped(one.subject),
        "status": clipped(one.status, 60),
        "replay": clipped(one.replay, 60),
    }


def _today(topic: str, value: bytes) -> dict[str, str]:
    """One record that today's rules would lead to."""
    event = read_event(value)
    what = str(event.attributes.get("type", "")) if event else ""
    subject = str(event.attributes.get("subject", "")) if event else ""
    return {"topic": topic, "type": clipped(what, _VALUE_CHARACTERS_MAX), "subject": clipped(subject)}


def _written(topic: str, record: RawRecord, *, with_data: bool) -> dict[str, Any]:
    """An event that was written: its attributes, and its data as indented JSON."""
    mention, event = mention_in(topic, record), read_event(record.value)
    attributes = dict(event.attributes) if event else {}
    data = orjson.dumps(attributes.pop("data", None))
    shown = orjson.dumps(orjson.loads(data), option=orjson.OPT_INDENT_2).decode() if with_data else masked_body(data)
    summary = _event(mention.event) if mention is not None and mention.event is not None else {}
    pairs = [(clipped(name, 60), clipped(value, 300)) for name, value in attributes.items()]
    return {**summary, "at": record.timestamp_ms, "attributes": pairs, "data": shown[:_BODY_CHARACTERS_MAX]}
