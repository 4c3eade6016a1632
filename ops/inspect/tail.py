"""Decides for `dropstream tail` whether a record is shown, and makes its JSON line and its line for a person.

Bodies of `raw` and `rejected` hold personal data: a person sees their size, and JSON has them only when asked.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

import orjson

from schemas.records import RawRecord
from schemas.times import rfc3339
from schemas.vocabulary import EVENT_TOPICS

_BODY_TOPICS = frozenset({"raw", "rejected"})


@dataclass(frozen=True, slots=True)
class Condition:
    """`field` is a path into the record's JSON (`type`, `data.status`) or a header's name; `value` is exact text."""

    field: str
    value: str


def parse_condition(text: str) -> Condition:
    """The condition that the text FIELD=VALUE states.

    Raises:
        ValueError: the text has no field or no equals sign.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError("is not FIELD=VALUE, such as type=dropstream.order.created or data.status=shipped")
    return Condition(name, value)


@dataclass(frozen=True, slots=True)
class TailLine:
    """A record for a person, as the cells of a line; `position` is its PARTITION:OFFSET, as `--from` takes it."""

    time: str
    position: str
    what: str
    subject: str
    origin: str
    summary: str


class RecordView:
    """Shows the records of one topic; `topic` is its short name where it has one, without a suffix."""

    def __init__(self, topic: str, conditions: Sequence[Condition], *, with_bodies: bool) -> None:
        self._is_event = topic in EVENT_TOPICS
        self._is_body = topic in _BODY_TOPICS
        self._topic = topic
        self._conditions = conditions
        self._with_bodies = with_bodies

    def wants(self, record: RawRecord) -> bool:
        """Whether every condition holds: on a header, or (but for `raw` and `rejected`) on a value in the JSON."""
        if not self._conditions:
            return True
        parsed = None if self._is_body else _parse(record.value)
        return all(_holds(one, record, parsed) for one in self._conditions)

    def json_line(self, record: RawRecord) -> bytes:
        """The record as one JSON object on one line; a value that is no JSON is in `value_base64`."""
        outer: dict[str, Any] = {
            "topic": record.position.topic,
            "partition": record.position.partition,
            "offset": record.position.offset,
            "timestamp": rfc3339(_record_time(record)),
            "key": None if record.key is None else _text(record.key),
            "headers": _headers(record),
        }
        if self._is_body and not self._with_bodies:
            return orjson.dumps({**outer, "value_bytes": len(record.value or b"")})
        return orjson.dumps({**outer, **_value(record.value)})

    def line(self, record: RawRecord, zone: tzinfo | None) -> TailLine:
        """The record for a person, times in `zone` (None: this machine's)."""
        if self._is_event and isinstance(event := _parse(record.value), dict):
            return _event_line(event, record, zone)
        if self._is_body:
            return _delivery_line(record, zone)
        return TailLine(
            time=_clock(_record_time(record), zone),
            position=_position(record),
            what=self._topic,
            subject=_text(record.key or b""),
            origin="",
            summary=_text(record.value or b""),
        )


def _event_line(event: dict[str, Any], record: RawRecord, zone: tzinfo | None) -> TailLine:
    data = event.get("data")
    summary = _summary(data if isinstance(data, dict) else {}) or str(event.get("providerevent", ""))
    return TailLine(
        time=_clock(_event_time(event) or _record_time(record), zone),
        position=_position(record),
        what=str(event.get("type", "")).removeprefix("dropstream."),
        subject=str(event.get("subject", "")),
        origin=f"{event.get('provider', '')}/{event.get('endpoint', '')}",
        summary=f"replayed: {summary}" if event.get("replay") else summary,
    )


def _delivery_line(record: RawRecord, zone: tzinfo | None) -> TailLine:
    own = {name: _text(content) for name, content in record.headers if name.startswith("dropstream-")}
    size = f"{len(record.value or b'')} bytes"
    detail = own.get("dropstream-detail")
    return TailLine(
        time=_clock(_record_time(record), zone),
        position=_position(record),
        what=own.get("dropstream-reason", "delivery"),
        subject=own.get("dropstream-delivery", ""),
        origin=f"{own.get('dropstream-provider', '')}/{own.get('dropstream-endpoint', '')}",
        summary=f"{size}, {detail}" if detail else size,
    )


def _summary(data: dict[str, Any]) -> str:
    """The few facts of an event that a person looks for first."""
    facts = []
    if status := data.get("status") or data.get("provider_status"):
        before = data.get("previous_status") or data.get("provider_previous_status")
        facts.append(f"{before} -> {status}" if before else str(status))
    facts += [f"{name} {data[name]}" for name in ("available", "advertised", "adjustment", "kind") if data.get(name)]
    if isinstance(data.get("sellable"), bool):
        facts.append("sellable" if data["sellable"] else "not sellable")
    shipments = data.get("shipments")
    if isinstance(shipments, list):
        facts += [
            str(one["tracking_number"]) for one in shipments if isinstance(one, dict) and one.get("tracking_number")
        ]
    return ", ".join(facts)


def _holds(condition: Condition, record: RawRecord, parsed: Any) -> bool:
    header = condition.field.lower()
    if any(name == header and _text(content) == condition.value for name, content in record.headers):
        return True
    return any(_value_text(found) == condition.value for found in _at_path(parsed, condition.field.split(".")))


def _at_path(value: Any, path: Sequence[str]) -> list[Any]:
    """Everything that `path` leads to; of a list, every element is searched."""
    found = [value]
    for name in path:
        inner = [one for outer in found for one in (outer if isinstance(outer, list) else [outer])]
        found = [one[name] for one in inner if isinstance(one, dict) and name in one]
    return found


def _value_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _value(value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {"value": None}
    if _parse(value) is None and value.strip() != b"null":
        return {"value_base64": base64.b64encode(value).decode()}
    # The exact JSON, numbers included; a line break in JSON stands between its tokens only.
    return {"value": orjson.Fragment(value.replace(b"\r", b" ").replace(b"\n", b" "))}


def _parse(value: bytes | None) -> Any:
    try:
        return orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None


def _headers(record: RawRecord) -> dict[str, Any]:
    """Header names with their text, or with a list of texts where a name comes more than once."""
    found: dict[str, list[str]] = {}
    for name, content in record.headers:
        found.setdefault(name, []).append(_text(content))
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in found.items()}


def _position(record: RawRecord) -> str:
    return f"{record.position.partition}:{record.position.offset}"


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "backslashreplace")


def _record_time(record: RawRecord) -> datetime:
    return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)


def _event_time(event: dict[str, Any]) -> datetime | None:
    try:
        return datetime.fromisoformat(str(event.get("time")))
    except ValueError:
        return None


def _clock(moment: datetime, zone: tzinfo | None) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"
