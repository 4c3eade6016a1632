"""Reads the life of one entity from the topics: deliveries, their events, retries, rejections and replays.

The key says the partition (Kafka's murmur2), so one partition of each topic is read, not all. `EntityLife` is pure; the
functions that read are below it.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from ops.kafka.partitions import partitions_of
from ops.kafka.reader import AtOffsets, full_name, open_reader
from ops.progress import HIDDEN_BAR, Meter, ProgressBar
from processors.deliver.step import Rules, claimed_entities
from schemas.delivery import read_record
from schemas.events import read_event
from schemas.kafka.partitions import partition_of
from schemas.notes.duplicates import read_duplicate
from schemas.notes.rejections import read_rejected
from schemas.records import RawRecord, read_position
from schemas.settings import Settings
from schemas.times import rfc3339
from schemas.vocabulary import EVENT_TOPICS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The order of what happened at one time: a delivery comes before what became of it.
_RANKS = ("delivery", "rejected", "event", "retry", "replay")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment in the life of an entity (`at` is aware): a delivery, its event, a retry, a rejection, a replayed event.

    `what` is the event's type or the rejection's reason; `raw` and `delivery` name the request; `event` is the whole
    event where there is one.
    """

    at: datetime
    kind: str
    endpoint: str
    what: str
    delivery: str
    raw: str
    replay: str | None = None
    event: RawRecord | None = None

    def as_json(self) -> dict[str, Any]:
        """The moment for a program; an event with its exact value."""
        shown = {
            "at": rfc3339(self.at),
            "kind": self.kind,
            "endpoint": self.endpoint,
            "what": self.what,
            "delivery": self.delivery,
            "raw": self.raw,
            "replay": self.replay,
            "event": orjson.Fragment(self.event.value or b"null") if self.event else None,
        }
        return {name: value for name, value in shown.items() if value is not None}


@dataclass(slots=True)
class EntityLife:
    """The life of one entity: first its events are added, then the other records."""

    _moments: list[Moment] = field(default_factory=list)
    _deliveries: dict[str, Moment] = field(default_factory=dict)

    def add_event(self, record: RawRecord) -> None:
        """Adds an event of the entity, and the delivery that led to it; a record that is no event is passed over."""
        event = read_event(record.value)
        if event is None:
            return
        attributes, raw = event.attributes, str(event.raw)
        try:
            received_at = datetime.fromisoformat(attributes["recordedtime"])
            facts = {"endpoint": attributes["endpoint"], "delivery": attributes["delivery"], "raw": raw}
            what, provider_event, replay = attributes["type"], attributes["providerevent"], attributes.get("replay")
        except (ValueError, KeyError, TypeError):
            return
        delivered = Moment(at=received_at, kind="delivery", what=provider_event, **facts)
        self._deliveries.setdefault(raw, delivered)
        # A replayed event happened when it was written; any other one with its delivery, in the order of deliveries.
        at = max(received_at, _EPOCH + timedelta(milliseconds=record.timestamp_ms)) if replay else received_at
        kind = "replay" if replay else "event"
        self._moments.append(Moment(at=at, kind=kind, what=what, replay=replay, event=record, **facts))

    def add_duplicate(self, record: RawRecord) -> None:
        """Adds the note of a retry, where its first try belongs to this life."""
        note = read_duplicate(record.value)
        first = self._deliveries.get(note.first) if note else None
        if note is not None and first is not None and read_position(note.raw) is not None:
            at = datetime.fromisoformat(note.recordedtime)
            what = f"of {first.delivery}"
            self._moments.append(
                Moment(at=at, kind="retry", endpoint=note.endpoint, what=what, delivery=note.delivery, raw=note.raw)
            )

    def add_rejected(self, record: RawRecord, entity: str, rules: Rules) -> None:
        """Adds a rejected delivery, where it belongs to this life or claims to."""
        found = read_rejected(record)
        if found is None:
            return
        raw, reason = found
        delivery = read_record(raw)
        if str(raw.position) in self._deliveries or entity in claimed_entities(raw, rules):
            rejected = Moment(
                at=delivery.received_at,
                kind="rejected",
                endpoint=delivery.endpoint,
                what=reason,
                delivery=delivery.id,
                raw=str(raw.position),
            )
            self._deliveries.setdefault(rejected.raw, replace(rejected, kind="delivery", what="-"))
            self._moments.append(rejected)

    def moments(self) -> list[Moment]:
        """Every moment of the life, in order."""
        everything = [*self._deliveries.values(), *self._moments]
        return sorted(everything, key=_order)


async def trace(
    settings: Settings, rules: Rules, entity: str, endpoint: str | None, bar: ProgressBar = HIDDEN_BAR
) -> list[Moment]:
    """The entity's life at one endpoint, or at all that are configured; `bar` shows how much is read.

    Raises:
        DropstreamError: the cluster or a topic cannot be read.
    """
    endpoints = {name: one.provider for name, one in settings.endpoints.items() if endpoint in {None, name}}
    keys = {f"{provider}:{name}:{entity}".encode() for name, provider in endpoints.items()}
    life, meter = EntityLife(), Meter(bar)
    for topic in EVENT_TOPICS:
        async for record in _records_of(settings, topic, keys, meter):
            life.add_event(record)
    async for record in _records_of(settings, "duplicates", {name.encode() for name in endpoints}, meter):
        life.add_duplicate(record)
    async for record in _records_of(settings, "rejected", _raw_keys(settings, endpoints), meter):
        life.add_rejected(record, entity, rules)
    return life.moments()


async def _records_of(
    settings: Settings, topic: str, keys: Collection[bytes], meter: Meter
) -> AsyncIterator[RawRecord]:
    """The records of these keys; only the partitions that they can be in are read."""
    name = full_name(topic, settings)
    count = len(await partitions_of(settings, [name]))
    start = AtOffsets(dict.fromkeys((partition_of(key, count) for key in keys), 0))
    async with open_reader(settings, [name], start, settled=True) as reader:
        meter.begin(await reader.offsets_left())
        while keys and not await reader.is_at_end():
            for record in await reader.fetch():
                if record.key in keys:
                    yield record
            meter.at(await reader.offsets_left())


def _raw_keys(settings: Settings, endpoints: Mapping[str, str]) -> set[bytes]:
    lanes: Iterable[tuple[str, int]] = ((name, settings.endpoints[name].lanes) for name in endpoints)
    return {key.encode() for name, count in lanes for key in (name, *(f"{name}#{lane}" for lane in range(count)))}


def _order(one: Moment) -> tuple[datetime, str, int, int, int]:
    raw = read_position(one.raw)
    position = (raw.topic, raw.partition, raw.offset) if raw else ("", 0, 0)
    return one.at, *position, _RANKS.index(one.kind)
