"""Reads what partitions of `raw` remembered of deliveries before a replay's range: in the changelog of group `deliver`.

The changelog is written in the same transactions as the events, so it says exactly what the group remembered, within
its retention. It is of use only where today's rules make the same keys, and where nothing of the window is missing;
elsewhere `UnfitChangelogError` says why, and the deliveries are read in `raw` and judged again (`ops.replay.history`).
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from aiokafka import ConsumerRecord, TopicPartition

from ops.audit.reading.eras import Eras, eras_of
from ops.audit.reading.snapshot import noted_rules
from ops.kafka.clients import consumer
from ops.kafka.partitions import readable_partitions_of
from ops.kafka.ranges import read_ranges
from ops.kafka.reader import AtOffset, full_name, open_reader
from ops.kafka.topics import existing
from ops.replay.warm_up import WarmUp
from processors.deliver.asked_keys import AskedKeys
from processors.deliver.keys.sieve import Sieve, TaggedEntry, UnfitChangelogError
from processors.deliver.step import recall
from processors.groups import key_budget
from processors.providers import discover
from processors.replay import Task, endpoint_of
from processors.rules_version import rules_version
from processors.runtime.changelog import is_of_store
from schemas.notes.replays import Range
from schemas.settings import Settings
from schemas.times import rfc3339

_HOUR_MS = 3_600_000
# A processor's clock may differ from an ingress's by so much.
_CLOCKS_MS = _HOUR_MS
# So many deliveries before a range are taken to be read in `raw`; where it is more, the changelog is read twice.
_ASKED_BEFORE = 2_000
_FETCH_BYTES = 16_777_216
_RECORDS_PER_FETCH = 2_000
# The console's event loop has other work.
_TURN_S = 0.02


@dataclass(frozen=True, slots=True)
class MemoryWindow:
    """The deliveries that one partition may have remembered, `before` the offsets of `raw` that a plan reads in it.

    `range` are these offsets, of which the run before may have judged a part; at `begins_ms` the first of them was
    received. `ancestors` are the ranges of other partitions in which the keys lay before a migration.
    """

    before: Range
    range: Range
    begins_ms: int = 0
    ancestors: Sequence[Range] = ()


@dataclass(frozen=True, slots=True)
class Remembered:
    """The entries for the deliveries before offset `reached` of `raw`; later ones are to be read there."""

    reached: int
    entries: Collection[TaggedEntry] = ()


@dataclass(slots=True)
class ChangelogMemory:
    """Reads the changelog for the deliveries of `task`; `eras` are by partition of `raw`."""

    settings: Settings
    task: Task
    eras: Mapping[int, Eras]
    told: WarmUp

    async def read(self, window: MemoryWindow) -> Remembered:
        """What the partition remembered of the deliveries before its range, as far as those of the range ask for it.

        Raises:
            UnfitChangelogError: the changelog does not say it.
            DropstreamError: the cluster fails, or a newer version wrote the changelog.
        """
        self._check_rules(window, ())
        asked = _Asked()
        await self._ask(window.range, asked)
        if not asked.keys.keys:
            return Remembered(window.before.end)
        # What is read in `raw` behind the changelog asks for keys too. It is few deliveries: those of a transaction.
        end, asked_from = window.range.first, window.range.first
        reached = max(window.before.first, end - _ASKED_BEFORE)
        while True:
            await self._ask(Range(window.range.partition, reached, asked_from), asked)
            asked_from = reached
            self._check_rules(window, asked.endpoints)
            sieve = Sieve(asked.keys.keys, end)
            await self._sift(window, sieve, asked.keys.oldest_s)
            reached = window.before.first if sieve.reached is None else max(sieve.reached, window.before.first)
            if reached >= asked_from:
                return Remembered(reached, sieve.entries)

    def _check_rules(self, window: MemoryWindow, endpoints: Collection[str]) -> None:
        for one in (replace(window.before, end=window.range.first), *window.ancestors):
            eras = self.eras.get(one.partition)
            if eras is None:
                raise UnfitChangelogError("nobody noted by which rules its window was judged")
            if other := eras.other_keys_than_today(one.first, one.end, endpoints):
                raise UnfitChangelogError(f"its window was judged by {other}")

    async def _ask(self, one: Range, found: "_Asked") -> None:
        """Finds the keys that the deliveries of the range are looked up by; no more than a store in memory may hold."""
        keys_max = key_budget(self.settings, on_disk=False).partition_keys_max
        self.told.expect(one.count)
        done = one.first
        async with aclosing(read_ranges(self.settings, full_name("raw", self.settings), [one])) as batches:
            async for records in batches:
                for record in records:
                    if self.task.takes_endpoint(record) and recall(record, self.task.rules, found.keys):
                        found.endpoints.add(endpoint_of(record))
                if len(found.keys.keys) > keys_max:
                    raise UnfitChangelogError(
                        f"its range asks for more than {keys_max} keys; replay it in parts, with --from and --to"
                    )
                if records:
                    self.told.advance(records[-1].position.offset + 1 - done)
                    done = records[-1].position.offset + 1
        self.told.advance(one.end - done)

    async def _sift(self, window: MemoryWindow, sieve: Sieve, oldest_s: int) -> None:
        """Passes the changelog over, from a window before receipt at `oldest_s` on until the range begins."""
        window_ms = self.settings.process.dedupe_window_hours * _HOUR_MS
        since_ms = oldest_s * 1_000 - window_ms - _CLOCKS_MS
        changelog = TopicPartition(full_name("deliver-state", self.settings), window.before.partition)
        begin, about_end, is_whole = await self._extent(changelog, since_ms, window.begins_ms)
        start = AtOffset(changelog.partition, begin)
        async with open_reader(self.settings, [changelog.topic], start, fetch_bytes_max=_FETCH_BYTES) as reader:
            there, done, expected = await reader.offsets_left(), 0, about_end - begin
            self.told.expect(expected)
            while not sieve.is_over and not await reader.is_at_end():
                await _pour(await reader.fetch_plain(records_max=_RECORDS_PER_FETCH), sieve)
                now_done = min(expected, there - await reader.offsets_left())
                self.told.advance(now_done - done)
                done = now_done
            self.told.advance(expected - done)
        sieve.finish()
        if is_whole and sieve.first is not None and sieve.first > window.before.first:
            raise UnfitChangelogError(f"the changelog begins with delivery {sieve.first}, within the window")
        if any(one.count for one in window.ancestors) and not sieve.has_inherited:
            raise UnfitChangelogError("what a migration moved to it is not in the changelog")

    async def _extent(self, changelog: TopicPartition, since_ms: int, begins_ms: int) -> tuple[int, int, bool]:
        """The first record that was written at `since_ms` or later, about the first of the range, which begins then.

        And whether the changelog never had an older record than the first one.
        """
        if not await existing(self.settings, [changelog.topic]):
            raise UnfitChangelogError("there is no changelog")
        if changelog not in await readable_partitions_of(self.settings, [changelog.topic]):
            raise UnfitChangelogError("the changelog has no such partition")
        async with consumer(self.settings) as client:
            first = (await client.beginning_offsets([changelog]))[changelog]
            end = (await client.end_offsets([changelog]))[changelog]
            oldest, at, behind = [
                (await client.offsets_for_times({changelog: max(0, one)}))[changelog]
                for one in (0, since_ms, begins_ms)
            ]
        if at is None or oldest is None:
            raise UnfitChangelogError("the changelog holds nothing of its window")
        is_whole = at.offset <= oldest.offset
        if is_whole and first > 0:
            moment = datetime.fromtimestamp(oldest.timestamp / 1000, UTC)
            raise UnfitChangelogError(f"the changelog was deleted up to {rfc3339(moment)}, within the window")
        return at.offset, max(at.offset, end if behind is None else behind.offset), is_whole


async def _pour(records: Sequence[ConsumerRecord], sieve: Sieve) -> None:
    """Gives the sieve the store's own records until it is over; the event loop gets its turn."""
    turn_began_at = time.monotonic()
    for record in records:
        if is_of_store(record.key):
            sieve.take(record.key, record.value)
            if sieve.is_over:
                return
            if time.monotonic() - turn_began_at > _TURN_S:
                await asyncio.sleep(0)
                turn_began_at = time.monotonic()


@dataclass(slots=True)
class _Asked:
    keys: AskedKeys = field(default_factory=AskedKeys)
    endpoints: set[str] = field(default_factory=set)


async def read_eras(settings: Settings) -> Mapping[int, Eras]:
    """By which rules each part of each partition of `raw` was judged; without the partitions that nobody noted."""
    notes, known = await noted_rules(settings)
    return eras_of(rules_version(settings, settings.endpoints, discover()), "raw", notes, known)
