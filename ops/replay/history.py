"""What the topics say before a replay or a redrive writes: what was rejected at first, and what is an event already.

A redrive asks this fenced, when nobody else can redrive; so what it finds in the topics is the whole truth, and it
needs no memory of what earlier ones did.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ops.kafka.ranges import offsets_at, read_ranges
from ops.kafka.reader import full_name, read_written
from processors.deliver.dedupe import SightingsOfRun
from processors.deliver.step import Rules, possible_ids, recall
from processors.groups import new_dedupe_store
from processors.replay import Known, Replaying, Task, endless_dedupe_store, warm_up
from schemas.delivery import read_record
from schemas.events import read_event
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
    """What a run stands on.

    `since` is when its first delivery was received, less the difference of two clocks. `before` is what of `raw` is to
    be remembered first, by partition; or `seeds` are.
    """

    known: Known = field(default_factory=Known)
    since: datetime = _EPOCH
    before: Sequence[Range] = ()
    seeds: Sequence[RawRecord] = ()


async def ground_of(settings: Settings, plan: ReplayPlan, rules: Rules, left: Sequence[Range]) -> ReplayBasis:
    """The ground of a plan of which the ranges `left` are still to do."""
    if not left:
        return ReplayBasis()
    if plan.source == "raw":
        return await _ground_in_raw(settings, left)
    return await _ground_in_rejected(settings, Task(plan, rules, Known()), left)


async def _ground_in_raw(settings: Settings, left: Sequence[Range]) -> ReplayBasis:
    """A retry in the range must meet its first try before it, so the window before is read; so are its rejections."""
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
        place
        async for record in read_written(settings, "rejected", _moment(min(first_ms.values()) - window_ms))
        if (place := named_position(record)) is not None
    }
    return ReplayBasis(Known(rejected=rejected), since=_moment(min(first_ms.values()) - _HOUR_MS), before=before)


async def open_state(
    settings: Settings,
    task: Task,
    ground: ReplayBasis,
    one: Range,
    progress: ReplayProgress,
    *,
    seen: SightingsOfRun | None = None,
) -> Replaying:
    """The state at the beginning of `one`, its memory as it was then; `seen` is an empty one to use, for a replay."""
    progress = replace(progress, next=one.first)
    if task.plan.source == "rejected":
        seen = endless_dedupe_store(settings.process.dedupe_keys_max)
        for seed in ground.seeds:
            recall(seed, task.rules, seen)
        seen.commit()
        return Replaying(task.plan.id, one.partition, seen, progress)
    state = Replaying(task.plan.id, one.partition, seen or new_dedupe_store(settings), progress)
    before = [other for other in ground.before if other.partition == one.partition]
    async for records in read_ranges(settings, full_name("raw", settings), before):
        for record in records:
            warm_up(record, state, task)
        state.deliveries.commit()
    return state


async def _ground_in_rejected(settings: Settings, task: Task, left: Sequence[Range]) -> ReplayBasis:
    candidates = await _candidates(settings, task, left)
    if not candidates.places:
        return ReplayBasis()
    oldest = candidates.oldest - timedelta(hours=settings.process.dedupe_window_hours)
    events: defaultdict[Position, set[str]] = defaultdict(set)
    others: defaultdict[Position, set[str]] = defaultdict(set)
    for topic in EVENT_TOPICS:
        async for place, event_id in _events_since(settings, topic, oldest):
            if place in candidates.places:
                events[place].add(event_id)
            elif event_id in candidates.ids:
                others[place].add(event_id)
    seeds, gone = await _seeds(settings, task.rules, others.keys())
    gone_ids = {event_id for place in gone for event_id in others[place]}
    return ReplayBasis(Known(events=dict(events), gone=gone_ids), seeds=seeds)


@dataclass(slots=True)
class _Candidates:
    """The rejected deliveries of the ranges that are good today: their places, and every id that they could have."""

    places: set[Position] = field(default_factory=set)
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
                found.places.add(raw.position)
                found.ids |= ids
                found.oldest = min(found.oldest, read_record(raw).received_at)
    return found


async def _events_since(settings: Settings, topic: str, start: datetime) -> AsyncIterator[tuple[Position, str]]:
    """The place in `raw` and the id of every event written since."""
    async for record in read_written(settings, topic, start):
        if (event := read_event(record.value)) is not None:
            yield event.raw, event.id


async def _seeds(
    settings: Settings, rules: Rules, places: Collection[Position]
) -> tuple[list[RawRecord], set[Position]]:
    """The raw records of these places in order, and the places of which there is none that can be read any more."""
    raw = full_name("raw", settings)
    offsets: defaultdict[int, list[int]] = defaultdict(list)
    for place in places:
        if place.topic == raw:
            offsets[place.partition].append(place.offset)
    ranges = [Range(partition, min(found), max(found) + 1) for partition, found in offsets.items()]
    seeds = [
        record
        async for records in read_ranges(settings, raw, ranges)
        for record in records
        if record.position in places and recall(record, rules, new_dedupe_store(settings))
    ]
    return seeds, set(places) - {seed.position for seed in seeds}


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
