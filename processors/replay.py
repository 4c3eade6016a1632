"""One record of `raw` or `rejected` is judged again by today's rules: which records are written, how it is counted.

Pure. A replay writes the events of its range, each marked; into topics of its own it writes rejections and duplicates
too, so that those topics are complete. A redrive writes the events of deliveries that were rejected and are accepted
today.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from processors.deliver.dedupe import DedupeStore
from processors.deliver.sightings import Sighting, Sightings, SightingsOfRun
from processors.deliver.step import Rules, deliver, recall
from processors.runtime.state_store import Change, StateStore
from schemas.events import read_event
from schemas.notes.raw_places import moved_place
from schemas.notes.rejections import read_rejected
from schemas.notes.replays import ReplayPlan, ReplayProgress, progress_key, write
from schemas.records import Position, RawRecord, Record, next_offset
from schemas.vocabulary import EVENT_TOPICS

_FOREVER_S = 2**32


@dataclass(frozen=True, slots=True)
class Known:
    """The content of the topics before the first record was written.

    `rejected`: positions in `raw` that have a rejected record. `events`: the ids of the events of each position that
    has any. `gone`: ids of events whose delivery is deleted.
    """

    rejected: Collection[Position] = frozenset()
    events: Mapping[Position, Collection[str]] = field(default_factory=dict)
    gone: Collection[str] = frozenset()


@dataclass(slots=True, eq=False)
class Replaying(StateStore):
    """The store of a replay in one partition: a dedupe store and the progress; `ops.replay.history` fills both."""

    replay: str
    partition: int
    deliveries: SightingsOfRun
    progress: ReplayProgress
    _running: ReplayProgress | None = None

    @property
    def entries(self) -> int:
        """How many keys the dedupe store holds."""
        return self.deliveries.entries

    @property
    def evicted(self) -> int:
        """How many keys the dedupe store removed for want of room."""
        return self.deliveries.evicted

    def count(self, one: ReplayProgress) -> None:
        """Adds the counts of one record."""
        self._running = (self._running or self.progress).plus(one)

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Nothing: the progress is read, and the dedupe store filled from `raw`, before this store is made."""

    def changes(self) -> Sequence[Change]:
        """The progress, where the running transaction has any."""
        if self._running is None:
            return ()
        return [(progress_key(self.replay, self.partition), write(self._running))]

    def commit(self) -> None:
        """Makes the running transaction's progress and deliveries count for good."""
        self.deliveries.commit()
        self.progress, self._running = self._running or self.progress, None

    def roll_back(self) -> None:
        """Forgets the running transaction's progress and deliveries."""
        self.deliveries.roll_back()
        self._running = None


@dataclass(frozen=True, slots=True)
class Task:
    """A plan with the rules of today, by which its deliveries are judged."""

    plan: ReplayPlan
    rules: Rules
    known: Known

    def wants(self, raw: RawRecord, reason: str | None = None) -> bool:
        """Whether the plan's choice takes the delivery."""
        choice = self.plan.choice
        return self.takes_endpoint(raw) and choice.reason in {None, reason} and self._names(raw.position)

    def takes_endpoint(self, raw: RawRecord) -> bool:
        """Whether the plan's choice takes deliveries of this one's endpoint; a retry and its first try share it."""
        choice = self.plan.choice
        endpoint = endpoint_of(raw)
        configured = self.rules.endpoints.get(endpoint)
        return choice.endpoint in {None, endpoint} and (
            choice.provider is None or (configured is not None and configured.provider == choice.provider)
        )

    def _names(self, place: Position) -> bool:
        named = self.plan.choice.deliveries
        return not named or f"{place.partition}:{place.offset}" in named

    def has_in_range(self, raw: RawRecord) -> bool:
        """Whether the delivery lies in one of the plan's ranges, chosen or not."""
        here = raw.position
        return any(one.partition == here.partition and one.first <= here.offset < one.end for one in self.plan.ranges)


def endpoint_of(raw: RawRecord) -> str:
    """The endpoint that a raw record names; empty where it names none."""
    return (dict(raw.headers).get("dropstream-endpoint") or b"").decode("utf-8", "replace")


def replay_step(raw: RawRecord, store: Replaying, task: Task) -> Sequence[Record]:
    """The records that a replay writes of one record of `raw`; `store` counts it."""
    behind = next_offset(raw.position)
    if not task.wants(raw):
        warm_up(raw, store, task)
        store.count(ReplayProgress(next=behind, left_out=1))
        return ()
    outputs = deliver(raw, task.rules, store.deliveries)
    first = outputs[0].topic
    if first in {"rejected", "duplicates"}:
        store.count(ReplayProgress(next=behind, rejected=first == "rejected", retries=first == "duplicates"))
        return _copied(outputs, task.plan) if task.plan.choice.into else ()
    topics = task.plan.choice.topics or EVENT_TOPICS
    events = [record for record in outputs if record.topic in topics]
    became = 1 if events else 0
    store.count(ReplayProgress(next=behind, became=became, left_out=1 - became, events=len(events)))
    if task.plan.choice.into:
        return _copied(events, task.plan)
    # The gap tracker does not know the sequence id of a delivery that was rejected at first.
    observed = raw.position in task.known.rejected
    return [*events, *(record for record in outputs if observed and record.topic == "sequence")]


def warm_up(raw: RawRecord, store: Replaying, task: Task) -> None:
    """Puts a delivery that this run does not judge into the dedupe store, as the group or the run that judged it did.

    One that the plan takes and that lies in its range was judged by an earlier run of this plan, by today's rules. Any
    other was judged by the live group, which stored nothing that it rejected, whatever today's rules say.
    """
    _warm_up(raw, store.deliveries, task)


def _warm_up(raw: RawRecord, deliveries: Sightings, task: Task) -> None:
    if not task.takes_endpoint(raw):
        return
    if task.wants(raw) and task.has_in_range(raw):
        deliver(raw, task.rules, deliveries)
    elif raw.position not in task.known.rejected:
        recall(raw, task.rules, deliveries)


@dataclass(frozen=True, slots=True)
class _OfAncestor:
    """A dedupe store that is told of deliveries of another `partition`, in which its keys lay before a migration."""

    deliveries: SightingsOfRun
    partition: int

    def judge(self, *, endpoint: str, natural_key: str, body: bytes, offset: int, received_s: int) -> Sighting:
        """The verdict of the store."""
        return self.deliveries.judge(
            endpoint=endpoint,
            natural_key=natural_key,
            body=body,
            offset=moved_place(offset, self.partition),
            received_s=received_s,
        )

    def remember(self, sighting: Sighting) -> None:
        """Stores the delivery with the place where it really lies."""
        self.deliveries.remember(sighting)


def warm_up_from(raw: RawRecord, store: Replaying, task: Task) -> None:
    """`warm_up` with a delivery of a partition in which the keys of the store's one lay before a migration."""
    _warm_up(raw, _OfAncestor(store.deliveries, raw.position.partition), task)


def redrive_step(record: RawRecord, store: Replaying, task: Task) -> Sequence[Record]:
    """The records that a redrive writes of one record of `rejected`: events that are not there yet; counts it."""
    behind = next_offset(record.position)
    found = read_rejected(record)
    if found is None or not task.wants(*found):
        store.count(ReplayProgress(next=behind, left_out=1))
        return ()
    raw = found[0]
    outputs = deliver(raw, task.rules, store.deliveries)
    if outputs[0].topic == "rejected":
        store.count(ReplayProgress(next=behind, rejected=1))
        return ()
    events = [one for one in outputs if one.topic in EVENT_TOPICS]
    there = {*task.known.events.get(raw.position, ()), *task.known.gone}
    new = [one for one in events if (event := read_event(one.value)) is not None and event.id not in there]
    if not new:
        store.count(ReplayProgress(next=behind, retries=1))
        return ()
    store.count(ReplayProgress(next=behind, became=1, events=len(new)))
    return [*new, *(one for one in outputs if one.topic == "sequence")]


def endless_dedupe_store() -> DedupeStore:
    """A dedupe store without a window: a redrive must not add an event that is there already, however old."""
    return DedupeStore(window_s=_FOREVER_S)


def _copied(records: Sequence[Record], plan: ReplayPlan) -> list[Record]:
    """The records for the replay's own topics."""
    return [replace(one, topic=f"{one.topic}.{plan.choice.into}") for one in records]
