"""One record of `raw` or `rejected` is judged again by today's rules: what is written of it, and how it is counted.

Pure. A replay writes the events of its range, each marked; into topics of its own it writes rejections and notes of
retries too, so that those tell all. A redrive writes the events of what was rejected and is good today.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from processors.deliver.dedupe import DedupeStore, SightingsOfRun
from processors.deliver.step import Rules, deliver, recall
from processors.runtime.state_store import Change, StateStore
from schemas.events import read_event
from schemas.notes.rejections import read_rejected
from schemas.notes.replays import ReplayPlan, ReplayProgress, progress_key, write
from schemas.records import Position, RawRecord, Record, next_offset
from schemas.vocabulary import EVENT_TOPICS

_FOREVER_S = 2**32


@dataclass(frozen=True, slots=True)
class Known:
    """What the topics said before the first record was written.

    `rejected`: places in `raw` of which there is a rejected record. `events`: the ids of the events of places that have
    any. `gone`: ids of events whose delivery is deleted.
    """

    rejected: Collection[Position] = frozenset()
    events: Mapping[Position, Collection[str]] = field(default_factory=dict)
    gone: Collection[str] = frozenset()


@dataclass(slots=True, eq=False)
class Replaying(StateStore):
    """A dedupe store, and the progress in one partition of the source; `ops.replay.history` fills both."""

    replay: str
    partition: int
    seen: SightingsOfRun
    progress: ReplayProgress
    _running: ReplayProgress | None = None

    @property
    def entries(self) -> int:
        """How many keys are remembered."""
        return self.seen.entries

    @property
    def evicted(self) -> int:
        """How many keys were forgotten for want of room."""
        return self.seen.evicted

    def count(self, one: ReplayProgress) -> None:
        """Adds what became of one record."""
        self._running = (self._running or self.progress).plus(one)

    def restore(self, key: bytes, value: bytes | None) -> None:
        """There is nothing to restore: progress is read, and memory made anew, before this is."""

    def changes(self) -> Sequence[Change]:
        """The progress."""
        if self._running is None:
            return ()
        return [(progress_key(self.replay, self.partition), write(self._running))]

    def commit(self) -> None:
        """The running transaction's progress and memory count for good."""
        self.seen.commit()
        self.progress, self._running = self._running or self.progress, None

    def roll_back(self) -> None:
        """The running transaction is forgotten."""
        self.seen.roll_back()
        self._running = None


@dataclass(frozen=True, slots=True)
class Task:
    """A plan with the rules of today; `providers` of the endpoints are those configured."""

    plan: ReplayPlan
    rules: Rules
    known: Known

    def wants(self, raw: RawRecord, reason: str | None = None) -> bool:
        """Whether the delivery is of the choice."""
        choice = self.plan.choice
        endpoint = endpoint_of(raw)
        configured = self.rules.endpoints.get(endpoint)
        return (
            choice.endpoint in {None, endpoint}
            and (choice.provider is None or (configured is not None and configured.provider == choice.provider))
            and choice.reason in {None, reason}
        )

    def has_in_range(self, raw: RawRecord) -> bool:
        """Whether the delivery is one of the plan's ranges, chosen or not."""
        place = raw.position
        return any(one.partition == place.partition and one.first <= place.offset < one.end for one in self.plan.ranges)


def endpoint_of(raw: RawRecord) -> str:
    """The endpoint that a raw record says it came to; empty where it does not."""
    return (dict(raw.headers).get("dropstream-endpoint") or b"").decode("utf-8", "replace")


def replay_step(raw: RawRecord, state: Replaying, task: Task) -> Sequence[Record]:
    """What a replay writes of one record of `raw`; counts it."""
    behind = next_offset(raw.position)
    if not task.wants(raw):
        state.count(ReplayProgress(next=behind, left_out=1))
        return ()
    outputs = deliver(raw, task.rules, state.seen)
    first = outputs[0].topic
    if first in {"rejected", "duplicates"}:
        state.count(ReplayProgress(next=behind, rejected=first == "rejected", retries=first == "duplicates"))
        return _copied(outputs, task.plan) if task.plan.choice.into else ()
    topics = task.plan.choice.topics or EVENT_TOPICS
    events = [record for record in outputs if record.topic in topics]
    became = 1 if events else 0
    state.count(ReplayProgress(next=behind, became=became, left_out=1 - became, events=len(events)))
    if task.plan.choice.into:
        return _copied(events, task.plan)
    # One that was rejected at first has told the gap tracker nothing yet.
    observed = raw.position in task.known.rejected
    return [*events, *(record for record in outputs if observed and record.topic == "sequence")]


def warm_up(raw: RawRecord, state: Replaying, task: Task) -> None:
    """Remembers a delivery before the place where a run begins, as whoever judged it did.

    Before the plan's range that was the live group: what it rejected was never remembered, whatever today's rules say.
    In the range it was an earlier run of this plan, by today's rules.
    """
    if not task.wants(raw):
        return
    if task.has_in_range(raw):
        deliver(raw, task.rules, state.seen)
    elif raw.position not in task.known.rejected:
        recall(raw, task.rules, state.seen)


def redrive_step(record: RawRecord, state: Replaying, task: Task) -> Sequence[Record]:
    """What a redrive writes of one record of `rejected`; counts it. What is an event already adds nothing."""
    behind = next_offset(record.position)
    found = read_rejected(record)
    if found is None or not task.wants(*found):
        state.count(ReplayProgress(next=behind, left_out=1))
        return ()
    raw = found[0]
    outputs = deliver(raw, task.rules, state.seen)
    if outputs[0].topic == "rejected":
        state.count(ReplayProgress(next=behind, rejected=1))
        return ()
    events = [one for one in outputs if one.topic in EVENT_TOPICS]
    there = {*task.known.events.get(raw.position, ()), *task.known.gone}
    new = [one for one in events if (event := read_event(one.value)) is not None and event.id not in there]
    if not new:
        state.count(ReplayProgress(next=behind, retries=1))
        return ()
    state.count(ReplayProgress(next=behind, became=1, events=len(new)))
    return [*new, *(one for one in outputs if one.topic == "sequence")]


def endless_memory(keys_max: int) -> DedupeStore:
    """A memory that no time outdates: a redrive must not add what is an event already, however old."""
    return DedupeStore(window_s=_FOREVER_S, keys_max=keys_max)


def _copied(records: Sequence[Record], plan: ReplayPlan) -> list[Record]:
    """The records as they go into the replay's own topics."""
    return [replace(one, topic=f"{one.topic}.{plan.choice.into}") for one in records]
