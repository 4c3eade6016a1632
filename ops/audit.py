"""Conservation, counted from the logs alone: what went into `raw` against what came out.

Every delivery of the range must have led to its events, to one rejected record, or to one note of a dropped retry;
nothing twice, nothing altered, the events of an entity in the order of their deliveries, and nothing foreign among
them. What the group has not reached yet is pending, not lost. A rejected delivery that was redriven stays accounted
for by its rejected record; what replays and redrives wrote is judged in `ops.audit_replays`. The judge (`Ledger`) is
pure; reading is below it.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from ops.audit_events import told_by
from ops.audit_replays import Marked, Place
from ops.cluster import admin
from ops.reading import Start, full_name, open_reader, read_written
from ops.replay_store import Store, read_store
from ops.topics import existing
from schemas.records import Position, RawRecord
from schemas.settings import Settings
from schemas.vocabulary import Domain

EVENT_TOPICS = tuple(domain.topic for domain in Domain)
_DIGEST_BYTES = 8
_COORDINATOR_POLL_S = 0.2
_COORDINATOR_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The counts, and every exception by its place in `raw` or its event's id.

    `foreign` are the places of records in topics of events that are no event of ours: something else writes there.
    """

    deliveries: int
    pending: int
    outputs: Mapping[str, int]
    replays: Mapping[str, int]
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    altered: tuple[str, ...]
    disordered: tuple[str, ...]
    foreign: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether there is no exception."""
        return not (self.lost or self.doubled or self.altered or self.disordered or self.foreign)


@dataclass(slots=True)
class Ledger:
    """Takes the records of `raw`, then those of the output topics, each topic in its order; then judges.

    Memory: about 150 bytes a delivery and 100 an event.
    """

    raw_topic: str
    _digest_of: dict[Place, bytes] = field(default_factory=dict)
    _id_of: dict[Place, bytes] = field(default_factory=dict)
    _came_out_as: dict[Place, set[str]] = field(default_factory=dict)
    _outputs: Counter[str] = field(default_factory=Counter)
    _identities: Counter[str] = field(default_factory=Counter)
    _last_place: dict[tuple[str, bytes, int], int] = field(default_factory=dict)
    _altered: list[str] = field(default_factory=list)
    _disordered: list[str] = field(default_factory=list)
    _foreign: list[str] = field(default_factory=list)
    _marked: Marked = field(default_factory=Marked)

    def take_raw(self, record: RawRecord) -> None:
        """A delivery of the range."""
        place = (record.position.partition, record.position.offset)
        self._digest_of[place] = _digest(record.value)
        self._id_of[place] = dict(record.headers).get("dropstream-delivery") or b""

    def take_event(self, topic: str, record: RawRecord) -> None:
        """A record of a domain topic, or of a replay's own; one whose delivery is outside the range does not count."""
        told = told_by(record.value)
        if told is None:
            self._foreign.append(str(record.position))
            return
        place = (told.raw_partition, told.raw_offset)
        if told.raw_topic != self.raw_topic:
            return
        if place in self._id_of and self._id_of[place] != told.delivery.encode():
            self._altered.append(self._name(place))
        if told.replay is not None:
            self._marked.take(told.replay, record.position.topic, record.key or b"", told.event_id, place)
            return
        if place not in self._digest_of:
            return
        self._count(topic, "events", place, told.event_id)
        line = (topic, record.key or b"", place[0])
        if self._last_place.get(line, -1) > place[1]:
            self._disordered.append(told.event_id)
        self._last_place[line] = place[1]

    def take_other(self, topic: str, record: RawRecord) -> None:
        """A record of `rejected` or `duplicates`."""
        place = self._place_of((dict(record.headers).get("dropstream-raw") or b"").decode(errors="replace"))
        if place is None or place not in self._digest_of:
            return
        self._count(topic, topic, place, f"{topic} {self._name(place)}")
        if topic == "rejected" and _digest(record.value) != self._digest_of[place]:
            self._altered.append(self._name(place))

    def judge(self, reached: Mapping[int, int], store: Store, gone: Collection[str] = ()) -> Verdict:
        """The verdict; `reached` is the group's next offset by partition of `raw`.

        `store` knows the replays, `gone` the suffixes whose topics are deleted.
        """
        marked = self._marked.judge(store, self._digest_of, self._identities, gone)
        missing = [place for place in self._digest_of if place not in self._came_out_as]
        lost = [place for place in missing if place[1] < reached.get(place[0], 0)]
        # An event and a rejection, or an event and a note of a retry, from one delivery: that is twice too.
        mixed = [self._name(place) for place, kinds in self._came_out_as.items() if len(kinds) > 1]
        return Verdict(
            deliveries=len(self._digest_of),
            pending=len(missing) - len(lost),
            outputs=dict(self._outputs),
            replays=marked.counts,
            lost=(*map(self._name, sorted(lost)), *marked.lost),
            doubled=(*(one for one, count in self._identities.items() if count > 1), *mixed, *marked.doubled),
            altered=tuple(self._altered),
            disordered=(*self._disordered, *marked.disordered),
            foreign=tuple(self._foreign),
        )

    def _count(self, topic: str, kind: str, place: Place, identity: str) -> None:
        self._outputs[topic] += 1
        self._identities[identity] += 1
        self._came_out_as.setdefault(place, set()).add(kind)

    def _place_of(self, text: str) -> Place | None:
        topic, _, rest = text.partition("/")
        partition, _, offset = rest.partition("/")
        known = topic == self.raw_topic and partition.isdecimal() and offset.isdecimal()
        return (int(partition), int(offset)) if known else None

    def _name(self, place: Place) -> str:
        return str(Position(self.raw_topic, *place))


async def audit(settings: Settings, start: Start = "beginning", end_ms: int | None = None) -> Verdict:
    """The verdict on the deliveries from `start` on, up to those received at `end_ms` (milliseconds since 1970).

    Raises:
        DropstreamError: the cluster or a topic cannot be read.
    """
    ledger = Ledger(full_name("raw", settings))
    # Asked first: what is committed before the outputs are read must be in them.
    reached, store = await _reached(settings), await read_store(settings)
    async for record in read_written(settings, "raw", start):
        if end_ms is None or record.timestamp_ms < end_ms:
            ledger.take_raw(record)
    for topic in EVENT_TOPICS:
        async for record in read_written(settings, topic):
            ledger.take_event(topic, record)
    for topic in ("rejected", "duplicates"):
        async for record in read_written(settings, topic):
            ledger.take_other(topic, record)
    return ledger.judge(reached, store, await _take_copies(settings, store, ledger))


async def _take_copies(settings: Settings, store: Store, ledger: Ledger) -> set[str]:
    """Takes the events that replays have written to topics of their own; the suffixes of which there is none left."""
    gone: set[str] = set()
    for choice in (plan.choice for plan in store.plans.values()):
        if choice.into is None:
            continue
        names = [full_name(f"{topic}.{choice.into}", settings) for topic in choice.topics or EVENT_TOPICS]
        there = await existing(settings, names)
        if not there:
            gone.add(choice.into)
        for topic in there:
            async for record in read_written(settings, topic):
                ledger.take_event(topic, record)
    return gone


async def read_topic(settings: Settings, topic: str, start: Start = "beginning") -> list[RawRecord]:
    """Every committed record of `topic` (short name) up to its present end, in order within a partition."""
    async with open_reader(settings, [full_name(topic, settings)], start) as reader:
        records: list[RawRecord] = []
        while not await reader.is_at_end():
            records += await reader.fetch()
        return records


async def _reached(settings: Settings) -> dict[int, int]:
    raw = full_name("raw", settings)
    async with admin(settings) as client:
        async with asyncio.timeout(_COORDINATOR_WITHIN_S):
            committed = await _committed(client, f"{settings.kafka.topic_prefix}deliver")
    return {
        source.partition: getattr(offset, "offset", -1) for source, offset in committed.items() if source.topic == raw
    }


async def _committed(client: AIOKafkaAdminClient, group: str) -> Mapping[TopicPartition, object]:
    while True:
        try:
            found: Mapping[TopicPartition, object] = await client.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:
            # A young cluster has none yet.
            await asyncio.sleep(_COORDINATOR_POLL_S)
        else:
            return found


def _digest(value: bytes | None) -> bytes:
    return hashlib.blake2b(value or b"", digest_size=_DIGEST_BYTES).digest()
