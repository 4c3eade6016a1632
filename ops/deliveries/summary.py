"""What the topics say of a delivery, put together from the records that name its place in `raw`; pure.

A `Mention` is what one record says: of `raw` that the delivery came, of any other topic what became of it.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from schemas.delivery import read_record
from schemas.events import read_event
from schemas.notes.duplicates import read_duplicate
from schemas.notes.rejections import read_rejected
from schemas.notes.sequence_observations import read_observation
from schemas.records import Position, RawRecord, read_position
from schemas.times import timestamp_ms
from schemas.vocabulary import EVENT_TOPICS

# Attributes stand before anything that a stranger wrote, so the first find is dropstream's own.
_NAMED_IN_EVENT = re.compile(rb'"rawpartition":(\d{1,9}),"rawoffset":"(\d{1,18})"')
_EVENTS_SHOWN_MAX = 20


class DeliveryOutcome(StrEnum):
    """What became of a delivery, as far as the topics were read."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RETRY = "retry"
    WAITING = "waiting"  # The group has not come to it yet.
    UNKNOWN = "unknown"  # Nothing was found where it was looked for.


@dataclass(frozen=True, slots=True)
class EventSummary:
    """One event of a delivery; `place` is `topic:partition:offset` with the short name of its topic."""

    place: str
    type: str
    subject: str
    id: str
    status: str
    replay: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """What one record says of the delivery at `position` in `raw`; `at_ms` is when the delivery was received.

    `event`, `rejected` (place in `rejected`, reason, detail) or `first` (position of the first try) say what became of
    it; none of them does where the record is that of `raw`.
    """

    position: Position
    at_ms: int
    delivery: str
    endpoint: str
    provider: str = ""
    bytes_count: int | None = None
    event: EventSummary | None = None
    rejected: tuple[str, str, str] | None = None
    first: Position | None = None
    sequence: int | None = None


def mention_in(topic: str, record: RawRecord) -> Mention | None:
    """What a record of `topic` (short name) says of a delivery; None where it names none. Total."""
    if topic == "raw":
        return _of_raw(record)
    if topic in EVENT_TOPICS:
        return _of_event(topic, record)
    reads = {"rejected": _of_rejected, "duplicates": _of_duplicate, "sequence": _of_observation}
    return reads[topic](record)


def named_offset(topic: str, record: RawRecord) -> tuple[int, int] | None:
    """Partition and offset in `raw` of the delivery that led to the record; much quicker than `mention_in`."""
    if topic in EVENT_TOPICS:
        found = _NAMED_IN_EVENT.search(record.value or b"")
        return (int(found[1]), int(found[2])) if found else None
    named = read_position((dict(record.headers).get("dropstream-raw") or b"").decode("utf-8", "replace"))
    return (named.partition, named.offset) if named else None


def _of_raw(record: RawRecord) -> Mention:
    delivery = read_record(record)
    return Mention(
        position=record.position,
        at_ms=timestamp_ms(delivery.received_at),
        delivery=delivery.id,
        endpoint=delivery.endpoint,
        provider=delivery.provider,
        bytes_count=len(delivery.body),
    )


def _of_event(topic: str, record: RawRecord) -> Mention | None:
    event = read_event(record.value)
    if event is None:
        return None
    attributes = event.attributes
    try:
        at_ms = _ms(attributes["recordedtime"])
        named = {name: str(attributes[name]) for name in ("delivery", "endpoint", "provider", "type", "subject")}
    except (ValueError, KeyError, TypeError):
        return None
    place = f"{topic}:{record.position.partition}:{record.position.offset}"
    replay = str(attributes.get("replay", ""))
    shown = EventSummary(place, named["type"], named["subject"], event.id, status_of(attributes), replay)
    sequence = str(attributes.get("sequence", ""))
    return Mention(
        position=event.raw,
        at_ms=at_ms,
        delivery=named["delivery"],
        endpoint=named["endpoint"],
        provider=named["provider"],
        event=shown,
        sequence=int(sequence) if sequence.isascii() and sequence.isdecimal() and len(sequence) < 21 else None,
    )


def _of_rejected(record: RawRecord) -> Mention | None:
    found = read_rejected(record)
    if found is None:
        return None
    raw, reason = found
    delivery = read_record(raw)
    detail = (dict(record.headers).get("dropstream-detail") or b"").decode("utf-8", "replace")
    return Mention(
        position=raw.position,
        at_ms=timestamp_ms(delivery.received_at),
        delivery=delivery.id,
        endpoint=delivery.endpoint,
        provider=delivery.provider,
        bytes_count=len(delivery.body),
        rejected=(f"{record.position.partition}:{record.position.offset}", reason, detail),
    )


def _of_duplicate(record: RawRecord) -> Mention | None:
    note = read_duplicate(record.value)
    position, first = (read_position(note.raw), read_position(note.first)) if note else (None, None)
    if note is None or position is None or first is None:
        return None
    return Mention(
        position=position, at_ms=_ms(note.recordedtime), delivery=note.delivery, endpoint=note.endpoint, first=first
    )


def _of_observation(record: RawRecord) -> Mention | None:
    seen = read_observation(record.value)
    position = read_position(seen.raw) if seen else None
    if seen is None or position is None:
        return None
    return Mention(
        position=position,
        at_ms=_ms(seen.recordedtime),
        delivery="",
        endpoint=seen.endpoint,
        sequence=seen.sequence,
    )


def status_of(event: Mapping[str, Any]) -> str:
    """The fact of an event that a person wants first: a status, or how many there are; empty where it has neither."""
    data = event.get("data")
    if not isinstance(data, dict):
        return ""
    if status := data.get("status"):
        return str(status)
    available = data.get("available")
    return "" if available is None else f"available {available}"


@dataclass(slots=True)
class DeliverySummary:
    """A delivery as a line of the list; `detail` is why it was rejected, or which delivery it repeats."""

    position: Position
    at_ms: int
    delivery: str
    endpoint: str
    provider: str
    bytes_count: int | None
    events: list[EventSummary] = field(default_factory=list)
    events_count: int = 0
    event_types: set[str] = field(default_factory=set)
    rejected: tuple[str, str, str] | None = None
    first: Position | None = None
    sequence: int | None = None
    outcome: DeliveryOutcome = DeliveryOutcome.UNKNOWN

    @property
    def place(self) -> str:
        """Its place in `raw`, as `partition:offset`."""
        return f"{self.position.partition}:{self.position.offset}"

    @property
    def replays(self) -> list[str]:
        """The ids of the replays and redrives that wrote events of it, of those events that are kept here."""
        return list(dict.fromkeys(one.replay for one in self.events if one.replay))


@dataclass(slots=True)
class Summaries:
    """Deliveries by their position in `raw`; each mention adds to one of them."""

    _found: dict[Position, DeliverySummary] = field(default_factory=dict)

    def add(self, seen: Mention) -> DeliverySummary:
        """Adds what a record says; the same record may come again."""
        one = self._found.get(seen.position)
        if one is None:
            one = self._found[seen.position] = DeliverySummary(
                seen.position, seen.at_ms, seen.delivery, seen.endpoint, seen.provider, seen.bytes_count
            )
        one.delivery = one.delivery or seen.delivery
        one.provider = one.provider or seen.provider
        one.bytes_count = seen.bytes_count if one.bytes_count is None else one.bytes_count
        one.rejected = one.rejected or seen.rejected
        one.first = one.first or seen.first
        one.sequence = seen.sequence if one.sequence is None else one.sequence
        if seen.event is not None and all(known.place != seen.event.place for known in one.events):
            one.events_count += 1
            one.event_types.add(seen.event.type)
            if len(one.events) < _EVENTS_SHOWN_MAX:
                one.events.append(seen.event)
        one.outcome = _outcome(one)
        return one

    def get(self, position: Position) -> DeliverySummary | None:
        """The delivery at this position, where a record told of it."""
        return self._found.get(position)

    def undecided(self, positions: Collection[Position]) -> list[DeliverySummary]:
        """Those of which no record says what became of them."""
        found = [self._found[position] for position in positions if position in self._found]
        return [one for one in found if one.outcome in {DeliveryOutcome.UNKNOWN, DeliveryOutcome.WAITING}]


def _outcome(one: DeliverySummary) -> DeliveryOutcome:
    if one.events:
        return DeliveryOutcome.ACCEPTED
    if one.rejected:
        return DeliveryOutcome.REJECTED
    return DeliveryOutcome.RETRY if one.first else DeliveryOutcome.UNKNOWN


def _ms(moment: str) -> int:
    return timestamp_ms(datetime.fromisoformat(moment))
