"""Compares what a replay or a redrive would write with what is in the topics now; writes nothing.

`PresentOutcomes` and `Differences` are pure; the functions that read are below them. Where a delivery was replayed
before, the events of the latest replay count as the present ones.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ops.kafka.ranges import read_ranges
from ops.kafka.reader import full_name, read_written
from ops.progress import HIDDEN_BAR, Meter, ProgressBar
from ops.replay.history import ReplayBasis, open_state, read_basis
from ops.replay.warm_up import WarmUp
from processors.deliver.step import Rules, deliver
from processors.replay import Task, redrive_step, warm_up
from schemas.events import read_event
from schemas.notes.rejections import named_position
from schemas.notes.replays import Range, ReplayPlan, ReplayProgress
from schemas.records import Position, RawRecord, Record
from schemas.settings import Settings
from schemas.vocabulary import EVENT_TOPICS

_LISTED_MAX = 5
_DIGEST_BYTES = 8

# By event id: the topic (short name) and a digest of the event without the id of the replay that wrote it.
Events = Mapping[str, tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class DryRunOutcome:
    """What became of a delivery: events, a rejection, or a note of a retry."""

    kind: Literal["events", "rejected", "retry"]
    events: Events = field(default_factory=dict)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics of its events, each as often as it has events there."""
        return tuple(sorted(topic for topic, _ in self.events.values()))


@dataclass(slots=True)
class PresentOutcomes:
    """What became of the deliveries of the ranges, by the records that the topics hold."""

    raw_topic: str
    ranges: Sequence[Range]
    topics: Sequence[str]
    # By position in `raw`, then by the id of the replay ("" for the live group): when it wrote, and its events.
    _events: defaultdict[Position, dict[str, tuple[int, dict[str, tuple[str, bytes]]]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    _others: dict[Position, Literal["rejected", "retry"]] = field(default_factory=dict)

    def add_event(self, topic: str, record: RawRecord) -> None:
        """Adds an event of `topic` (short name); a record that is no event of ours is passed over."""
        event = read_event(record.value)
        if event is not None and self._is_in_ranges(event.raw):
            replay_id = event.attributes.get("replay", "")
            written_ms, events = self._events[event.raw].get(replay_id, (0, {}))
            events[event.id] = (topic, digest_of(record.value or b"", replay_id))
            self._events[event.raw][replay_id] = (max(written_ms, record.timestamp_ms), events)

    def add_other(self, kind: Literal["rejected", "retry"], record: RawRecord) -> None:
        """Adds a record of `rejected` or `duplicates`."""
        position = named_position(record)
        if position is not None and self._is_in_ranges(position):
            self._others[position] = kind

    def outcome(self, position: Position) -> DryRunOutcome | None:
        """What became of the delivery; None where it has not been processed."""
        if by_replay := self._events.get(position):
            return DryRunOutcome("events", max(by_replay.values(), key=lambda one: one[0])[1])
        return DryRunOutcome(self._others[position]) if position in self._others else None

    def _is_in_ranges(self, position: Position) -> bool:
        return position.topic == self.raw_topic and any(
            one.partition == position.partition and one.first <= position.offset < one.end for one in self.ranges
        )


@dataclass(slots=True)
class Differences:
    """The counts by kind of difference, and the first few of each with what changed."""

    counts: Counter[str] = field(default_factory=Counter)
    first: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, position: Position, now: DryRunOutcome | None, then: DryRunOutcome) -> None:
        """Adds a delivery: `now` is what is in the topics, `then` what the replay would write."""
        kind, detail = difference(now, then)
        self.counts[kind] += 1
        if kind != "the same" and len(self.first[kind]) < _LISTED_MAX:
            self.first[kind].append(f"{position.partition}:{position.offset}{detail}")


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
    """The outcome that the step's records mean; only events of `topics` count."""
    first = records[0].topic
    if first in {"rejected", "duplicates"}:
        return DryRunOutcome("rejected" if first == "rejected" else "retry")
    events = [(one, read_event(one.value)) for one in records if one.topic in topics]
    return DryRunOutcome(
        "events", {event.id: (one.topic, digest_of(one.value, "")) for one, event in events if event is not None}
    )


def digest_of(value: bytes, replay_id: str) -> bytes:
    """A digest of the event without the id of its replay, which stands before anything that a stranger wrote."""
    plain = value.replace(f',"replay":"{replay_id}"'.encode(), b"", 1) if replay_id else value
    return hashlib.blake2b(plain, digest_size=_DIGEST_BYTES).digest()


async def compare(settings: Settings, plan: ReplayPlan, rules: Rules, told: WarmUp | None = None) -> Differences:
    """The differences that the plan would make; writes nothing. The bar of `told` shows how much is read."""
    told = told or WarmUp()
    meter = Meter(told.bar)
    topics = plan.choice.topics or EVENT_TOPICS
    basis: ReplayBasis = await read_basis(settings, plan, rules, plan.ranges, told)
    present = PresentOutcomes(full_name("raw", settings), plan.ranges, topics)
    for topic in topics:
        async for record in read_written(settings, topic, basis.since, meter):
            present.add_event(topic, record)
    others: Iterable[tuple[str, Literal["rejected", "retry"]]] = (("rejected", "rejected"), ("duplicates", "retry"))
    for topic, kind in others:
        async for record in read_written(settings, topic, basis.since, meter):
            present.add_other(kind, record)
    differences = Differences()
    task = Task(plan, rules, basis.known)
    for one in plan.ranges:
        state = await open_state(settings, task, basis, one, ReplayProgress(next=0), told=told)
        meter.begin(one.count)
        async for records in read_ranges(settings, present.raw_topic, [one]):
            for raw in records:
                if not task.wants(raw):
                    warm_up(raw, state, task)
                    continue
                then = outcome_of(deliver(raw, rules, state.deliveries), topics)
                now = present.outcome(raw.position)
                # A delivery whose events are all of other topics is left out.
                if then.kind != "events" or then.events or now is not None:
                    differences.add(raw.position, now, then)
            state.deliveries.commit()
            meter.at(_left(one, records))
        meter.at(0)
    return differences


async def rehearse(settings: Settings, plan: ReplayPlan, rules: Rules, bar: ProgressBar = HIDDEN_BAR) -> ReplayProgress:
    """The counts that the redrive would end with; writes nothing. `bar` shows how much is read."""
    meter = Meter(bar)
    ranges: Sequence[Range] = plan.ranges
    basis = await read_basis(settings, plan, rules, ranges)
    task = Task(plan, rules, basis.known)
    total = ReplayProgress(next=0)
    for one in ranges:
        state = await open_state(settings, task, basis, one, ReplayProgress(next=0))
        meter.begin(one.count)
        async for records in read_ranges(settings, full_name(plan.source, settings), [one]):
            for record in records:
                redrive_step(record, state, task)
            state.commit()
            meter.at(_left(one, records))
        meter.at(0)
        total = total.plus(state.progress)
    return total


def _left(one: Range, records: Sequence[RawRecord]) -> int:
    """The offsets of the range behind the last of `records`, all of them where there is no record."""
    return one.end - records[-1].position.offset - 1 if records else one.count
