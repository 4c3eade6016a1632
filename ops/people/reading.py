"""Reads topic `acts`: the newest first for the console, in order for a verb; with a filter, and bounded."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from aiokafka import TopicPartition

from ops.deliveries.backwards import NewestFirst, open_chunk_reader
from ops.kafka.reader import AtOffset, Start, full_name, read_written
from ops.people.writing import PARTITION
from schemas.notes.acts import Act, read_act
from schemas.records import RawRecord
from schemas.settings import Settings
from schemas.times import timestamp_ms

ROWS_MAX = 100
# So many records are looked through for one page; what is older is asked for again.
_LOOKED_MAX = 20_000


@dataclass(frozen=True, slots=True)
class ActQuery:
    """Which acts are wanted; None and an empty text stand for all. `who` is a part of the name, in any case."""

    who: str = ""
    act: str | None = None
    stage: str | None = None
    endpoint: str | None = None
    begin: datetime | None = None
    until: datetime | None = None

    def wants(self, act: Act) -> bool:
        """Whether this is one of them."""
        at = datetime.fromisoformat(act.at)
        return (
            self.who.casefold() in act.who.casefold()
            and self.act in {None, act.act.value}
            and self.stage in {None, act.stage.value}
            and self.endpoint in {None, act.endpoint}
            and (self.begin is None or at >= self.begin)
            and (self.until is None or at < self.until)
        )


@dataclass(frozen=True, slots=True)
class ActsPage:
    """The newest acts with their offsets; `older` is the offset before which more may lie, None where all was read."""

    acts: tuple[tuple[int, Act], ...]
    older: int | None


async def newest_acts(settings: Settings, query: ActQuery, before: int | None = None) -> ActsPage:
    """The newest acts that are wanted, of those before the offset `before`.

    Raises:
        DropstreamError: the topic is missing, or the cluster cannot be read.
    """
    partition = TopicPartition(full_name("acts", settings), PARTITION)
    begin_ms = None if query.begin is None else timestamp_ms(query.begin)
    found: list[tuple[int, Act]] = []
    async with open_chunk_reader(settings, ["acts"]) as reader:
        first, end = (await reader.offsets([partition], begin_ms, None)).get(partition, (0, 0))
        end = end if before is None else max(first, min(before, end))
        lowest = max(first, end - _LOOKED_MAX)

        def take(record: RawRecord) -> tuple[int, Act] | None:
            act = read_act(record.value)
            return (record.position.offset, act) if act is not None and query.wants(act) else None

        async for chunk in NewestFirst(reader, {partition: (lowest, end)}, take).chunks():
            found += chunk
            if len(found) >= ROWS_MAX:
                break
    # Two acts within a millisecond keep their order.
    found.sort(key=lambda one: one[0], reverse=True)
    shown = tuple(found[:ROWS_MAX])
    if len(found) >= ROWS_MAX:
        return ActsPage(shown, shown[-1][0] if shown[-1][0] > first else None)
    return ActsPage(shown, lowest if lowest > first else None)


async def acts_in_order(settings: Settings, query: ActQuery) -> AsyncIterator[Act]:
    """Every act that is wanted, the oldest first; a record that is no act is passed over.

    Raises:
        DropstreamError: the topic is missing, or the cluster cannot be read.
    """
    start: Start = query.begin or AtOffset(PARTITION, 0)
    async for record in read_written(settings, "acts", start):
        act = read_act(record.value)
        if act is not None and query.wants(act):
            yield act


def summary_of_act(act: Act) -> str:
    """What the act concerned and what came of it, on one line."""
    chosen = "" if not act.deliveries else f"{len(act.deliveries)} chosen: {', '.join(act.deliveries[:3])}"
    parts = [act.endpoint, act.reason, act.about, act.span, chosen, act.run]
    counts = ", ".join(f"{name} {count}" for name, count in (act.counts or {}).items())
    return " · ".join(filter(None, [*parts, counts, act.failure]))
