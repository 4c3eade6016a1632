"""Plans a replay or a redrive: the records that it chooses, by endpoint, and the topics of its own."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ops.kafka.ranges import Span, read_ranges, resolve
from ops.kafka.reader import AtOffset, full_name, open_reader
from ops.kafka.topics import create, existing
from ops.replay.store import ReplayStore, check_unused_suffix
from processors.deliver.step import Rules
from processors.providers import discover
from processors.replay import Known, Task, endpoint_of
from processors.rules_version import rules_version
from schemas.errors import DropstreamError
from schemas.notes.rejections import read_rejected
from schemas.notes.replays import Choice, Range, ReplayPlan
from schemas.settings import Settings
from schemas.topics import TopicPlan, copy_plan
from schemas.vocabulary import EVENT_TOPICS


@dataclass(slots=True)
class Survey:
    """The number of chosen records of the ranges: by endpoint, and by reason where they are rejected ones."""

    chosen: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: int = 0

    @property
    def count(self) -> int:
        """How many records are chosen."""
        return self.chosen.total()


async def make_plan(settings: Settings, replay: str, source: str, choice: Choice, span: Span) -> ReplayPlan:
    """The plan for the records that are there now; writes nothing.

    Raises:
        DropstreamError: a part of the span is deleted already.
    """
    return _plan(settings, replay, source, choice, await resolve(settings, full_name(source, settings), span))


async def make_plan_of_places(
    settings: Settings, replay: str, source: str, choice: Choice, places: Sequence[tuple[int, int]]
) -> ReplayPlan:
    """The plan for the records at these places (partition, offset) of `source`; `choice` names the deliveries.

    Raises:
        DropstreamError: a record is deleted already, or was never there.
    """
    by_partition: defaultdict[int, list[int]] = defaultdict(list)
    for partition, offset in places:
        by_partition[partition].append(offset)
    ranges: list[Range] = []
    for partition, offsets in sorted(by_partition.items()):
        span = Span(AtOffset(partition, min(offsets)), AtOffset(partition, max(offsets) + 1))
        ranges += await resolve(settings, full_name(source, settings), span)
    return _plan(settings, replay, source, choice, tuple(ranges))


def _plan(settings: Settings, replay: str, source: str, choice: Choice, ranges: tuple[Range, ...]) -> ReplayPlan:
    return ReplayPlan(
        id=replay,
        source="raw" if source == "raw" else "rejected",
        choice=choice,
        ranges=ranges,
        rules=rules_version(settings, settings.endpoints, discover()).judging,
    )


async def survey(settings: Settings, plan: ReplayPlan, rules: Rules) -> Survey:
    """Reads the ranges and counts the chosen records."""
    found, task = Survey(), Task(plan, rules, Known())
    async for records in read_ranges(settings, full_name(plan.source, settings), plan.ranges):
        for record in records:
            raw, reason = (record, "") if plan.source == "raw" else read_rejected(record) or (None, "")
            if raw is not None and task.wants(raw, reason or None):
                found.chosen[endpoint_of(raw), reason] += 1
            else:
                found.left_out += 1
    return found


def own_topics(settings: Settings, choice: Choice) -> tuple[TopicPlan, ...]:
    """The topics that a replay into a suffix writes: the chosen ones, and those for rejections and retries."""
    if choice.into is None:
        return ()
    names = (*(choice.topics or EVENT_TOPICS), "rejected", "duplicates")
    return copy_plan(settings, names, choice.into)


async def check_suffix_free(settings: Settings, choice: Choice, store: ReplayStore) -> None:
    """Returns where the suffix is free.

    Raises:
        DropstreamError: a topic of the suffix holds records, or another replay has it.
    """
    if choice.into is None:
        return
    check_unused_suffix(store, choice.into)
    for name in await existing(settings, [one.name for one in own_topics(settings, choice)]):
        async with open_reader(settings, [name], "beginning", settled=True) as reader:
            while not await reader.is_at_end():
                if await reader.fetch():
                    raise DropstreamError(f"topic {name} holds other data; choose another suffix than {choice.into!r}")


async def make_topics(settings: Settings, choice: Choice) -> None:
    """Creates the topics of the suffix, like their originals."""
    await create(settings, own_topics(settings, choice))


def ranges_text(ranges: Sequence[Range]) -> str:
    """The ranges for a person: `0:17-4090 1:0-388`, the last offset included."""
    return " ".join(f"{one.partition}:{one.first}-{one.end - 1}" for one in ranges)
