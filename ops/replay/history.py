"""Reads what a replay or a redrive must know before it writes: what was rejected at first, what is an event already.

A redrive reads it when its producers have fenced every other redrive; so the topics are the whole truth, and it needs
no memory of what earlier redrives did.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ops.kafka.layouts import current_layout
from ops.kafka.ranges import offsets_at, read_ranges
from ops.kafka.reader import full_name, read_written
from processors.deliver.sightings import SightingsOfRun
from processors.deliver.step import Rules, possible_ids, recall
from processors.groups import new_dedupe_store
from processors.replay import Known, Replaying, Task, endless_dedupe_store, warm_up, warm_up_from
from schemas.delivery import read_record
from schemas.events import read_event
from schemas.notes.layouts import ancestors_of
from schemas.notes.rejections import named_position, read_rejected
from schemas.notes.replays import Range, ReplayPlan, ReplayProgress
from schemas.records import Position, RawRecord
from schemas.settings import Settings
from schemas.vocabulary import EVENT_TOPICS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class ReplayBasis:
    """The basis of a run of a replay or a redrive.

    `since` is when its first delivery was received, less the difference of two clocks. Its memory of retries begins
    with the ranges `before` of `raw`, or with the records `seeds`; that of a partition which a migration made, with
    those of its `ancestors`.
    """

    known: Known = field(default_factory=Known)
    since: datetime = _EPOCH
    before: Sequence[Range] = ()
    ancestors: Mapping[int, Sequence[Range]] = field(default_factory=dict)
    seeds: Sequence[RawRecord] = ()


async def read_basis(settings: Settings, plan: ReplayPlan, rules: Rules, left: Sequence[Range]) -> ReplayBasis:
    """The basis of a plan whose ranges `left` are still to be done."""
    if not left:
        return ReplayBasis()
    if plan.source == "raw":
        return await _basis_in_raw(settings, left)
    return await _basis_in_rejected(settings, Task(plan, rules, Known()), left)


async def _basis_in_raw(settings: Settings, left: Sequence[Range]) -> ReplayBasis:
    """The basis of a replay: the window of retries before each range, and the rejections in it."""
    raw = full_name("raw", settings)
    window_ms = settings.process.dedupe_window_hours * _HOUR_MS
    first_ms: dict[int, int] = {}
    for one in left:
        async for records in read_ranges(settings, raw, [replace(one, end=min(one.end, one.first + 1))]):
            first_ms.update((record.position.partition, record.timestamp_ms) for record in records)
    if not first_ms:
        return ReplayBasis()
    begins = await offsets_at(settings, raw, {partition: ms - window_ms for partition, ms in first_ms.items()})
    before = [Range(one.partition, min(begins.get(one.partition, one.first), one.first), one.first) for one in left]
    rejected = {
        position
        async for record in read_written(settings, "rejected", _moment(min(first_ms.values()) - window_ms))
        if (position := named_position(record)) is not None
    }
    return ReplayBasis(
        Known(rejected=rejected),
        since=_moment(min(first_ms.values()) - _HOUR_MS),
        before=before,
        ancestors=await _ancestors(settings, {partition: ms - window_ms for partition, ms in first_ms.items()}),
    )


async def _ancestors(settings: Settings, since_ms: Mapping[int, int]) -> dict[int, list[Range]]:
    """For each partition that a migration made: where its keys lay before, from the given time on."""
    layout = await current_layout(settings)
    found: dict[int, list[Range]] = {}
    for partition, ms in since_ms.items():
        ends = dict(ancestors_of(layout.moves if layout else (), partition))
        begins = await offsets_at(settings, full_name("raw", settings), dict.fromkeys(ends, ms))
        found[partition] = [Range(one, min(begins.get(one, end), end), end) for one, end in ends.items()]
    return found


async def open_state(
    settings: Settings,
    task: Task,
    basis: ReplayBasis,
    one: Range,
    progress: ReplayProgress,
    *,
    seen: SightingsOfRun | None = None,
) -> Replaying:
    """The state at the beginning of `one`, with the memory of retries of then; `seen` is an empty memory to fill."""
    progress = replace(progress, next=one.first)
    if task.plan.source == "rejected":
        seen = endless_dedupe_store()
        for seed in basis.seeds:
            recall(seed, task.rules, seen)
        seen.commit()
        return Replaying(task.plan.id, one.partition, seen, progress)
    state = Replaying(task.plan.id, one.partition, seen or new_dedupe_store(settings), progress)
    for ancestor in basis.ancestors.get(one.partition, ()):
        async for records in read_ranges(settings, full_name("raw", settings), [ancestor]):
            for record in records:
                warm_up_from(record, state, task)
            state.deliveries.commit()
    before = [other for other in basis.before if other.partition == one.partition]
    async for records in read_ranges(settings, full_name("raw", settings), before):
        for record in records:
            warm_up(record, state, task)
        state.deliveries.commit()
    return state


async def _basis_in_rejected(settings: Settings, task: Task, left: Sequence[Range]) -> ReplayBasis:
    candidates = await _candidates(settings, task, left)
    if not candidates.positions:
        return ReplayBasis()
    oldest = candidates.oldest - timedelta(hours=settings.process.dedupe_window_hours)
    events: defaultdict[Position, set[str]] = defaultdict(set)
    others: defaultdict[Position, set[str]] = defaultdict(set)
    for topic in EVENT_TOPICS:
        async for position, event_id in _events_since(settings, topic, oldest):
            if position in candidates.positions:
                events[position].add(event_id)
            elif event_id in candidates.ids:
                others[position].add(event_id)
    seeds, gone = await _seeds(settings, task.rules, others.keys())
    gone_ids = {event_id for position in gone for event_id in others[position]}
    return ReplayBasis(Known(events=dict(events), gone=gone_ids), seeds=seeds)


@dataclass(slots=True)
class _Candidates:
    """The rejected deliveries of the ranges that are good today: their positions, and every id that they could have."""

    positions: set[Position] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    oldest: datetime = _NEVER


async def _candidates(settings: Settings, task: Task, left: Sequence[Range]) -> _Candidates:
    found = _Candidates()
    async for records in read_ranges(settings, full_name("rejected", settings), left):
        for rejected in map(read_rejected, records):
            if rejected is None or not task.wants(*rejected):
                continue
            raw = rejected[0]
            if ids := possible_ids(raw, task.rules):
                found.positions.add(raw.position)
                found.ids |= ids
                found.oldest = min(found.oldest, read_record(raw).received_at)
    return found


async def _events_since(settings: Settings, topic: str, start: datetime) -> AsyncIterator[tuple[Position, str]]:
    """The position in `raw` and the id of every event that was written since `start`."""
    async for record in read_written(settings, topic, start):
        if (event := read_event(record.value)) is not None:
            yield event.raw, event.id


async def _seeds(
    settings: Settings, rules: Rules, positions: Collection[Position]
) -> tuple[list[RawRecord], set[Position]]:
    """The raw records at these positions in order, and the positions whose record cannot be read any more."""
    raw = full_name("raw", settings)
    offsets: defaultdict[int, list[int]] = defaultdict(list)
    for position in positions:
        if position.topic == raw:
            offsets[position.partition].append(position.offset)
    ranges = [Range(partition, min(found), max(found) + 1) for partition, found in offsets.items()]
    seeds = [
        record
        async for records in read_ranges(settings, raw, ranges)
        for record in records
        if record.position in positions and recall(record, rules, new_dedupe_store(settings))
    ]
    return seeds, set(positions) - {seed.position for seed in seeds}


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
