"""Reads what a replay or a redrive must know before it writes: what was rejected at first, what is an event already.

A redrive reads it when its producers have fenced every other redrive; so the topics are the whole truth, and it needs
no memory of what earlier redrives did.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from ops.kafka.layouts import current_layout
from ops.kafka.ranges import offsets_at, read_ranges
from ops.kafka.reader import full_name, read_written
from ops.replay.remembered import ChangelogMemory, MemoryWindow, Remembered, read_eras
from ops.replay.warm_up import WarmUp
from processors.deliver.keys.sieve import TaggedEntry, UnfitChangelogError
from processors.deliver.sightings import SightingsOfRun
from processors.deliver.step import Rules, possible_ids, recall
from processors.groups import new_dedupe_store
from processors.replay import Known, Replaying, Task, endless_dedupe_store, warm_up, warm_up_from
from schemas.delivery import read_record
from schemas.events import read_event
from schemas.notes.layouts import ancestors_of
from schemas.notes.rejections import named_position, read_rejected
from schemas.notes.replays import Range, ReplayPlan, ReplayProgress
from schemas.records import Position, RawRecord, next_offset
from schemas.settings import Settings
from schemas.vocabulary import EVENT_TOPICS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class ReplayBasis:
    """The basis of a run of a replay or a redrive.

    `since` is when its first delivery was received, less the difference of two clocks. Its memory of retries begins
    with what is `remembered`, by partition, and then with the ranges `before` of `raw`, or with the records `seeds`.
    That of a partition which a migration made begins with the `ancestors`, where nothing of it is `remembered`.
    """

    known: Known = field(default_factory=Known)
    since: datetime = _EPOCH
    before: Sequence[Range] = ()
    ancestors: Mapping[int, Sequence[Range]] = field(default_factory=dict)
    remembered: Mapping[int, Collection[TaggedEntry]] = field(default_factory=dict)
    seeds: Sequence[RawRecord] = ()


async def read_basis(
    settings: Settings, plan: ReplayPlan, rules: Rules, left: Sequence[Range], told: WarmUp | None = None
) -> ReplayBasis:
    """The basis of a plan whose ranges `left` are still to be done; `told` hears how far it is."""
    if not left:
        return ReplayBasis()
    if plan.source == "raw":
        return await _basis_in_raw(settings, Task(plan, rules, Known()), left, told or WarmUp())
    return await _basis_in_rejected(settings, Task(plan, rules, Known()), left)


async def _basis_in_raw(settings: Settings, task: Task, left: Sequence[Range], told: WarmUp) -> ReplayBasis:
    """The basis of a replay: what was remembered before each range, and the rejections that it must know."""
    raw = full_name("raw", settings)
    window_ms = settings.process.dedupe_window_hours * _HOUR_MS
    first_ms = await _times_at(settings, left)
    if not first_ms:
        return ReplayBasis()
    since_ms = {partition: ms - window_ms for partition, ms in first_ms.items()}
    begins = await offsets_at(settings, raw, since_ms)
    ancestors = await _ancestors(settings, since_ms)
    windows = [
        MemoryWindow(
            before=Range(one.partition, min(begins.get(one.partition, one.first), one.first), one.first),
            range=_planned(task.plan, one),
            begins_ms=first_ms.get(one.partition, 0),
            ancestors=ancestors.get(one.partition, ()),
        )
        for one in left
    ]
    found = await _remembered(settings, task, windows, told)
    before = [_unread(one, found) for one in windows]
    # What is read in `raw` is remembered where it was not rejected; of the range it counts, too.
    read_from_ms = {one: ms if one in found else since_ms[one] for one, ms in first_ms.items()}
    read_from_ms |= await _times_at(settings, [one for one in before if one.partition in found])
    return ReplayBasis(
        Known(rejected=await _rejected_since(settings, min(read_from_ms.values()) - _HOUR_MS)),
        since=_moment(min(first_ms.values()) - _HOUR_MS),
        before=before,
        ancestors={partition: ranges for partition, ranges in ancestors.items() if partition not in found},
        remembered={partition: one.entries for partition, one in found.items()},
    )


def _unread(window: MemoryWindow, found: Mapping[int, Remembered]) -> Range:
    """The deliveries before the range that are to be read in `raw`."""
    known = found.get(window.before.partition)
    if known is None:
        return window.before
    return replace(window.before, first=max(window.before.first, known.reached))


async def _rejected_since(settings: Settings, written_ms: int) -> set[Position]:
    """The deliveries in `raw` of which a record of `rejected` says so that was written since then."""
    return {
        position
        async for record in read_written(settings, "rejected", _moment(written_ms))
        if (position := named_position(record)) is not None
    }


async def _times_at(settings: Settings, ranges: Sequence[Range]) -> dict[int, int]:
    """The time of the first record of each range, by partition; without those that have no record there."""
    found: dict[int, int] = {}
    for one in ranges:
        async for records in read_ranges(
            settings, full_name("raw", settings), [replace(one, end=min(one.end, one.first + 1))]
        ):
            found.update((record.position.partition, record.timestamp_ms) for record in records)
    return found


def _planned(plan: ReplayPlan, left: Range) -> Range:
    """The range of the plan of which `left` is still to be done."""
    first = min((one.first for one in plan.ranges if one.partition == left.partition), default=left.first)
    return replace(left, first=min(first, left.first))


async def _remembered(
    settings: Settings, task: Task, windows: Sequence[MemoryWindow], told: WarmUp
) -> dict[int, Remembered]:
    """What the changelog says of each partition; without those whose deliveries are to be read in `raw`."""
    found: dict[int, Remembered] = {}
    # What an earlier run of the plan judged, it judged by today's rules: no changelog has that.
    asking = [one for one in windows if one.before.first < one.range.first or any(old.count for old in one.ancestors)]
    if not asking:
        return found
    memory = ChangelogMemory(settings, task, await read_eras(settings), told)
    for window in asking:
        try:
            found[window.before.partition] = await memory.read(window)
        except UnfitChangelogError as error:
            told.note_raw(window.before.partition, str(error))
    told.tell_reasons()
    return found


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
    told: WarmUp | None = None,
) -> Replaying:
    """The state at the beginning of `one`, with the memory of retries of then; `seen` is an empty memory to fill."""
    told = told or WarmUp()
    progress = replace(progress, next=one.first)
    if task.plan.source == "rejected":
        seen = endless_dedupe_store()
        for seed in basis.seeds:
            recall(seed, task.rules, seen)
        seen.commit()
        return Replaying(task.plan.id, one.partition, seen, progress)
    state = Replaying(task.plan.id, one.partition, seen or new_dedupe_store(settings), progress)
    state.deliveries.take(basis.remembered.get(one.partition, ()))
    state.deliveries.commit()
    for ancestor in basis.ancestors.get(one.partition, ()):
        await _fill(settings, state, ancestor, partial(warm_up_from, task=task), told)
    for before in [other for other in basis.before if other.partition == one.partition]:
        await _fill(settings, state, before, partial(warm_up, task=task), told)
    return state


async def _fill(
    settings: Settings, state: Replaying, one: Range, take: Callable[[RawRecord, Replaying], None], told: WarmUp
) -> None:
    """The state takes the deliveries of the range in `raw`."""
    told.expect(one.count)
    done = one.first
    async for records in read_ranges(settings, full_name("raw", settings), [one]):
        for record in records:
            take(record, state)
        state.deliveries.commit()
        if records:
            told.advance(next_offset(records[-1].position) - done)
            done = next_offset(records[-1].position)
    told.advance(one.end - done)


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
