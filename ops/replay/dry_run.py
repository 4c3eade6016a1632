"""What a replay or a redrive would do, without doing it: today's rules against what is in the topics now.

`Found` and `Differences` are pure; reading is below them. Where a delivery was replayed before, the latest replay's
events are what is there now.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ops.kafka.ranges import read_ranges
from ops.kafka.reader import full_name, read_written
from ops.replay.history import ReplayBasis, ground_of, open_state
from processors.deliver.step import Rules, deliver
from processors.replay import Task, redrive_step
from schemas.events import read_event
from schemas.notes.rejections import named_position
from schemas.notes.replays import Range, ReplayPlan, ReplayProgress
from schemas.records import Position, RawRecord, Record
from schemas.settings import Settings
from schemas.vocabulary import EVENT_TOPICS

_LISTED_MAX = 5
_DIGEST_BYTES = 8

# By event id: the topic (short name) and a digest of all that the event says but the replay's mark.
Events = Mapping[str, tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class DryRunOutcome:
    """What a delivery is: events, rejected, or a retry."""

    kind: Literal["events", "rejected", "retry"]
    events: Events = field(default_factory=dict)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics of its events, each as often as it has events there."""
        return tuple(sorted(topic for topic, _ in self.events.values()))


@dataclass(slots=True)
class Found:
    """Takes what the topics hold; then says what a delivery is by them."""

    raw_topic: str
    ranges: Sequence[Range]
    topics: Sequence[str]
    # By place, then by the mark of a replay ("" at first): when it was written, and its events.
    _events: defaultdict[Position, dict[str, tuple[int, dict[str, tuple[str, bytes]]]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    _others: dict[Position, Literal["rejected", "retry"]] = field(default_factory=dict)

    def take_event(self, topic: str, record: RawRecord) -> None:
        """An event of `topic` (short name); what is none of ours is passed over."""
        event = read_event(record.value)
        if event is not None and self._is_meant(event.raw):
            mark = event.attributes.get("replay", "")
            written_ms, events = self._events[event.raw].get(mark, (0, {}))
            events[event.id] = (topic, digest_of(record.value or b"", mark))
            self._events[event.raw][mark] = (max(written_ms, record.timestamp_ms), events)

    def take_other(self, kind: Literal["rejected", "retry"], record: RawRecord) -> None:
        """A record of `rejected` or `duplicates`."""
        place = named_position(record)
        if place is not None and self._is_meant(place):
            self._others[place] = kind

    def outcome(self, place: Position) -> DryRunOutcome | None:
        """What the delivery is now; None where it has not been processed."""
        if by_mark := self._events.get(place):
            return DryRunOutcome("events", max(by_mark.values(), key=lambda one: one[0])[1])
        return DryRunOutcome(self._others[place]) if place in self._others else None

    def _is_meant(self, place: Position) -> bool:
        return place.topic == self.raw_topic and any(
            one.partition == place.partition and one.first <= place.offset < one.end for one in self.ranges
        )


@dataclass(slots=True)
class Differences:
    """The counts by kind of difference, and the first few of each with what changed."""

    counts: Counter[str] = field(default_factory=Counter)
    first: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def take(self, place: Position, now: DryRunOutcome | None, then: DryRunOutcome) -> None:
        """`now` is what is in the topics, `then` what it would be."""
        kind, detail = difference(now, then)
        self.counts[kind] += 1
        if kind != "the same" and len(self.first[kind]) < _LISTED_MAX:
            self.first[kind].append(f"{place.partition}:{place.offset}{detail}")


def difference(now: DryRunOutcome | None, then: DryRunOutcome) -> tuple[str, str]:
    """The kind of difference, and a word on it."""
    if now is None:
        return "not processed yet", ""
    if now.kind != then.kind:
        kinds = {"rejected": "now rejected", "retry": "now a retry"}
        if then.kind == "events":
            return ("now accepted" if now.kind == "rejected" else "no retry any more"), f" {', '.join(then.topics)}"
        return kinds[then.kind], f" {', '.join(now.topics)}".rstrip()
    if now.topics != then.topics:
        return "moved domain", f" {', '.join(now.topics)} -> {', '.join(then.topics)}"
    if now.events != then.events:
        return "changed data", f" {', '.join(dict.fromkeys(then.topics))}"
    return "the same", ""


def outcome_of(records: Sequence[Record], topics: Sequence[str]) -> DryRunOutcome:
    """What the step's records make of a delivery; only events of `topics` count."""
    first = records[0].topic
    if first in {"rejected", "duplicates"}:
        return DryRunOutcome("rejected" if first == "rejected" else "retry")
    events = [(one, read_event(one.value)) for one in records if one.topic in topics]
    return DryRunOutcome(
        "events", {event.id: (one.topic, digest_of(one.value, "")) for one, event in events if event is not None}
    )


def digest_of(value: bytes, mark: str) -> bytes:
    """A digest of the event without its mark, which stands before all that a stranger could have written."""
    plain = value.replace(f',"replay":"{mark}"'.encode(), b"", 1) if mark else value
    return hashlib.blake2b(plain, digest_size=_DIGEST_BYTES).digest()


async def compare(settings: Settings, plan: ReplayPlan, rules: Rules) -> Differences:
    """What the plan would change; writes nothing."""
    topics = plan.choice.topics or EVENT_TOPICS
    ground: ReplayBasis = await ground_of(settings, plan, rules, plan.ranges)
    found = Found(full_name("raw", settings), plan.ranges, topics)
    for topic in topics:
        async for record in read_written(settings, topic, ground.since):
            found.take_event(topic, record)
    others: Iterable[tuple[str, Literal["rejected", "retry"]]] = (("rejected", "rejected"), ("duplicates", "retry"))
    for topic, kind in others:
        async for record in read_written(settings, topic, ground.since):
            found.take_other(kind, record)
    differences = Differences()
    task = Task(plan, rules, ground.known)
    for one in plan.ranges:
        state = await open_state(settings, task, ground, one, ReplayProgress(next=0))
        async for records in read_ranges(settings, found.raw_topic, [one]):
            for raw in filter(task.wants, records):
                then = outcome_of(deliver(raw, rules, state.deliveries), topics)
                now = found.outcome(raw.position)
                # One whose events are all of other topics is not asked about.
                if then.kind != "events" or then.events or now is not None:
                    differences.take(raw.position, now, then)
            state.deliveries.commit()
    return differences


async def rehearse(settings: Settings, plan: ReplayPlan, rules: Rules) -> ReplayProgress:
    """The counts that the redrive would end with; writes nothing."""
    ranges: Sequence[Range] = plan.ranges
    ground = await ground_of(settings, plan, rules, ranges)
    task = Task(plan, rules, ground.known)
    total = ReplayProgress(next=0)
    for one in ranges:
        state = await open_state(settings, task, ground, one, ReplayProgress(next=0))
        async for records in read_ranges(settings, full_name(plan.source, settings), [one]):
            for record in records:
                redrive_step(record, state, task)
            state.commit()
        total = total.plus(state.progress)
    return total
