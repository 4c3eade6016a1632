"""Keeps what the console shows of the topics: counts, and the newest records of each kind; pure, every part bounded.

Bodies are never kept: one is read from its topic when a person asks for it.
"""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from ops.console.flow import WINDOW_MS, Flow, FlowKind, Latencies
from ops.console.masking import clipped, facts_of, masked_headers
from ops.inspect.gaps import MissingIds
from schemas.delivery import read_record
from schemas.events import read_event
from schemas.notes.gaps import read_gap
from schemas.records import RawRecord
from schemas.times import timestamp_ms
from schemas.vocabulary import EVENT_TOPICS

FOLLOWED = ("raw", *EVENT_TOPICS, "rejected", "duplicates", "sequence")
ENTITY_CHARACTERS_MAX = 300
# A name that is none of ours: a record that another producer wrote.
UNKNOWN = ""
# So many records are kept of each partition, for at the start partitions are read one after the other.
_EVENTS_KEPT = 20
_REJECTED_KEPT = 100
_TAIL_KEPT = 5_000


class ShownRecord(Protocol):
    """A record as the page shows it."""

    @property
    def at_ms(self) -> int:
        """The time of the record in milliseconds since 1970."""


Shown = TypeVar("Shown", bound=ShownRecord)


@dataclass(slots=True)
class RecentRecords(Generic[Shown]):
    """The newest records of each partition, at most `most` of each."""

    most: int
    _kept: dict[tuple[str, int], deque[Shown]] = field(default_factory=dict)

    def add(self, record: RawRecord, shown: Shown) -> None:
        """Adds a record, as it is shown."""
        partition = (record.position.topic, record.position.partition)
        self._kept.setdefault(partition, deque(maxlen=self.most)).append(shown)

    def all(self) -> list[Shown]:
        """All kept records, the newest first."""
        everything = [one for kept in self._kept.values() for one in kept]
        return sorted(everything, key=lambda one: one.at_ms, reverse=True)

    @property
    def is_full(self) -> bool:
        """Whether the topics may hold more than the kept records."""
        return any(len(kept) == self.most for kept in self._kept.values())

    def forget(self) -> None:
        """Forgets every record."""
        self._kept.clear()


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """One event as a line of the page; each text is a stranger's, clipped. `at_ms` is when it was written.

    `entity` is the exact id that the event is keyed by, empty where it is too long to ask for.
    """

    at_ms: int
    place: str
    entity: str
    topic: str
    at: str
    type: str
    subject: str
    endpoint: str
    status: str
    signature: str
    replay: str


@dataclass(frozen=True, slots=True)
class ShownRejection:
    """One rejected delivery; `place` is `partition:offset` in `rejected`."""

    place: str
    at_ms: int
    endpoint: str
    reason: str
    detail: str
    facts: list[tuple[str, str]]
    headers: list[tuple[str, str]]


@dataclass(slots=True)
class Memory:
    """The console's memory of the topics; `known` are the names of the endpoints."""

    known: Collection[str]
    flow: Flow = field(default_factory=Flow)
    latencies: Latencies = field(default_factory=Latencies)
    missing: MissingIds = field(default_factory=MissingIds)
    events: RecentRecords[ShownEvent] = field(default_factory=lambda: RecentRecords(_EVENTS_KEPT))
    rejections: RecentRecords[ShownRejection] = field(default_factory=lambda: RecentRecords(_REJECTED_KEPT))
    # The receipt of the newest delivery in `raw`.
    delivered_at_ms: int | None = None
    # Records that are older than this time were not all read, so they are not counted in full.
    whole_since_ms: int = 0
    _tails: dict[tuple[str, int], deque[tuple[int, int]]] = field(default_factory=dict)

    def add(self, topic: str, record: RawRecord, *, now_ms: int) -> None:
        """Adds one record of `topic` (short name)."""
        self._note_offset(topic, record, now_ms)
        if topic == "raw":
            self.delivered_at_ms = max(self.delivered_at_ms or 0, min(record.timestamp_ms, now_ms))
            self._count(_header(record, "dropstream-endpoint"), FlowKind.DELIVERIES, record, now_ms)
        elif topic == "rejected":
            self._add_rejection(record, now_ms)
        elif topic == "duplicates":
            self._count((record.key or b"").decode("utf-8", "replace"), FlowKind.DUPLICATES, record, now_ms)
        elif topic in EVENT_TOPICS:
            self._add_event(topic, record, now_ms)

    def add_gap(self, record: RawRecord) -> None:
        """Adds one record of `gaps`; each comes once and in order."""
        gap = read_gap(record.value)
        if gap is not None:
            self.missing.add(gap)

    def forget(self) -> None:
        """Forgets every record, but for those of `gaps`."""
        self.flow, self.latencies, self.whole_since_ms = Flow(), Latencies(), 0
        self.events.forget()
        self.rejections.forget()
        self._tails.clear()

    def forget_gaps(self) -> None:
        """Forgets the records of `gaps`."""
        self.missing = MissingIds()

    def waiting(self, topic: str, partition: int, committed: int, end: int) -> tuple[int, int | None]:
        """How many records lie from `committed` on, and the time of the first of them where it is remembered.

        The marks that end a transaction add offsets too; where the records are remembered, only they are counted.
        """
        tail = self._tails.get((topic, partition)) or deque()
        left = [at_ms for offset, at_ms in tail if offset >= committed]
        reaches_back = bool(tail) and tail[0][0] <= committed
        return (len(left) if reaches_back else max(0, end - committed)), (left[0] if left and reaches_back else None)

    def _note_offset(self, topic: str, record: RawRecord, now_ms: int) -> None:
        partition = (topic, record.position.partition)
        if partition not in self._tails:
            self._tails[partition] = deque(maxlen=_TAIL_KEPT)
            if record.position.offset > 0 and record.timestamp_ms > now_ms - WINDOW_MS:
                self.whole_since_ms = max(self.whole_since_ms, min(record.timestamp_ms, now_ms))
        if topic in {"raw", "sequence"}:
            self._tails[partition].append((record.position.offset, record.timestamp_ms))

    def _count(self, endpoint: str, kind: FlowKind, record: RawRecord, now_ms: int) -> None:
        name = endpoint if endpoint in self.known else UNKNOWN
        self.flow.count(name, kind, record.timestamp_ms, now_ms=now_ms)

    def _add_rejection(self, record: RawRecord, now_ms: int) -> None:
        delivery = read_record(record)
        self._count(delivery.endpoint, FlowKind.REJECTED, record, now_ms)
        self.rejections.add(
            record,
            ShownRejection(
                place=f"{record.position.partition}:{record.position.offset}",
                at_ms=timestamp_ms(delivery.received_at),
                endpoint=clipped(delivery.endpoint),
                reason=clipped(_header(record, "dropstream-reason")),
                detail=clipped(_header(record, "dropstream-detail"), 400),
                facts=facts_of(delivery),
                headers=masked_headers(delivery.headers),
            ),
        )

    def _add_event(self, topic: str, record: RawRecord, now_ms: int) -> None:
        self._count(_header(record, "endpoint"), FlowKind.EVENTS, record, now_ms)
        event = read_event(record.value)
        if event is None:
            return
        try:
            received_at = datetime.fromisoformat(event.attributes["recordedtime"])
            shown = _shown(topic, event.attributes, record)
        except (ValueError, KeyError, TypeError):
            return
        self.events.add(record, shown)
        if not shown.replay and received_at.tzinfo:
            name = shown.endpoint if shown.endpoint in self.known else UNKNOWN
            self.latencies.add(name, received_ms=timestamp_ms(received_at), written_ms=record.timestamp_ms)


def _shown(topic: str, event: Mapping[str, Any], record: RawRecord) -> ShownEvent:
    return ShownEvent(
        at_ms=record.timestamp_ms,
        place=f"{topic}:{record.position.partition}:{record.position.offset}",
        entity=_entity(record.key or b""),
        topic=topic,
        at=clipped(event["time"]),
        type=clipped(event["type"]),
        subject=clipped(event["subject"]),
        endpoint=clipped(event["endpoint"]),
        status=summary_of(event),
        signature=clipped(event["signature"]),
        replay=clipped(event.get("replay", "")),
    )


def _entity(key: bytes) -> str:
    entity = ":".join(key.decode("utf-8", "replace").split(":")[2:])
    return entity if len(entity) <= ENTITY_CHARACTERS_MAX else ""


def summary_of(event: Mapping[str, Any]) -> str:
    """The fact of an event that a person wants first: a status, or how many there are."""
    data = event.get("data")
    if not isinstance(data, dict):
        return ""
    if status := data.get("status"):
        return clipped(status, 60)
    available = data.get("available")
    return "" if available is None else f"available {clipped(available, 40)}"


def _header(record: RawRecord, name: str) -> str:
    return next((value.decode("utf-8", "replace") for key, value in record.headers if key == name and value), "")
