"""The deliveries that one partition of `raw` has had within the window: in memory, or on disk, and in a changelog.

It answers `judge_sighting` which keys it knows; what a delivery is by them is said there.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

from processors.deliver.keys.buckets import (
    HASH_BYTES,
    NO_NAME,
    OWN_KEY,
    SIGHTING,
    Bucket,
    bucket_key,
    bucket_value,
    read_bucket,
    tag_of,
)
from processors.deliver.keys.disk import DiskKeys
from processors.deliver.keys.local import KeyPlace, LocalKeys, StoreState
from processors.deliver.keys.segments import WITNESSES, KeyBudget, Segments
from processors.deliver.keys.table import KeyTable, MemoryKeys
from processors.deliver.sightings import Sighting, judge_sighting
from processors.runtime.state_store import Change, LocalStoreError, LogExtent, StateStore, StoreBusyError
from schemas.late_log import LateLog

_log = LateLog()

# A processor's clock may differ from an ingress's by so much.
_CLOCKS_S = 3_600
# From this share of a budget on, a person is told.
NEARLY_FULL = 0.8


@dataclass(slots=True, eq=False)
class DedupeStore(StateStore):
    """The keys of one partition of `raw` within `window_s`.

    A verdict compares the times of two receipts, whatever came between them. Stream time only says which keys may be
    forgotten. The keys of one transaction are a bucket: one changelog record, named by the raw offset of its first key.
    """

    window_s: int
    budget: KeyBudget = field(default_factory=KeyBudget)
    place: KeyPlace = field(default_factory=KeyPlace)
    evicted: int = 0
    _segments: Segments = field(init=False)
    _keys: KeyTable = field(default_factory=MemoryKeys)
    _overlay: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    _local: LocalKeys = field(init=False)
    # The last bucket, and an offset of the changelog at which its record is the next bucket.
    _last_name: int = NO_NAME
    _anchor: int = 0
    _anchor_next: int = 0
    # Whether the changelog must show the last bucket again, before anything is taken from it.
    _must_match: bool = False
    _fault: LocalStoreError | None = None
    _is_told: bool = False

    def __post_init__(self) -> None:
        self._segments = Segments(self.window_s, self.budget)
        self._local = LocalKeys(self.place)

    @property
    def entries(self) -> int:
        """How many keys are stored."""
        return self._segments.keys

    @property
    def fullness(self) -> float:
        """The share of its budget that the fullest endpoint, or the partition, has spent; beyond 1 keys go early."""
        return self._segments.fullness

    @property
    def is_on_disk(self) -> bool:
        """Whether the keys are on disk."""
        return isinstance(self._keys, DiskKeys)

    def judge(self, *, endpoint: str, natural_key: str, body: bytes, offset: int, received_s: int) -> Sighting:
        """The verdict on the delivery; by the time of receipt, so that a replay judges the same.

        Raises:
            LocalStoreError: the disk does not say whether the key is there.
        """
        tag = _tag_of(endpoint)
        return judge_sighting(
            partial(self._find, tag),
            self.window_s,
            endpoint=endpoint,
            natural_key=natural_key,
            body=body,
            offset=offset,
            received_s=received_s,
            find_own=partial(self._find, tag | OWN_KEY),
        )

    def remember(self, sighting: Sighting) -> None:
        """Stores the delivery, at once for the running transaction, and for good with its commit."""
        key, entry = sighting.entry
        tag = _tag_of(sighting.endpoint)
        # At the end, also where its window ended within this transaction: a bucket is in the order of `raw`.
        self._overlay.pop(key, None)
        self._overlay[key] = (tag | OWN_KEY if sighting.is_own else tag, entry)

    def take(self, entries: Iterable[tuple[int, bytes]]) -> None:
        """Stores entries of another store's changelog, as `remember` stores a delivery; a later one counts."""
        for tag, entry in entries:
            key = entry[:HASH_BYTES]
            self._overlay.pop(key, None)
            self._overlay[key] = (tag, entry[HASH_BYTES:])

    def changes(self) -> Sequence[Change]:
        """The new keys as one bucket."""
        self._anchor_next = self.changelog_offset
        if not self._overlay:
            return []
        return [(bucket_key(self._overlay_name()), bucket_value(self._overlay_groups()))]

    def commit(self) -> None:
        """Moves the overlay into the store, and forgets what is over."""
        if self._overlay:
            groups = {tag: b"".join(entries) for tag, entries in self._overlay_groups().items()}
            self._anchor = self._anchor_next
            self._add(Bucket(self._overlay_name(), groups))
            self._overlay = {}
        self._write()

    def roll_back(self) -> None:
        """Removes the overlay."""
        self._overlay = {}

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Takes a bucket; a tombstone of version 0.1.0 says nothing, for keys are forgotten by time.

        Raises:
            ValueError: the record is no bucket.
            LocalStoreError: the store on disk is not a cache of this changelog.
        """
        bucket = read_bucket(key, value)
        if bucket is None:
            return
        if self._must_match:
            if bucket.name != self._last_name:
                raise self._failed(LocalStoreError("the changelog does not have what it ends with", is_damage=True))
            self._must_match = False
        elif bucket.name > self._last_name:  # Offsets only grow: any other bucket is stored already.
            self._anchor = self.changelog_offset
            self._add(bucket)
            if isinstance(self._keys, DiskKeys) and self._keys.is_worth_writing:
                self._write()

    def restored(self) -> None:
        """The changelog is read to its end.

        Raises:
            LocalStoreError: the store on disk is not a cache of this changelog.
        """
        if self._must_match:
            raise self._failed(LocalStoreError("the changelog ends before what it ends with", is_damage=True))
        self._write()

    def reaches_back_to_ms(self, key: bytes, value: bytes | None, written_ms: int) -> int | None:
        """A window before a bucket was written or received, less what two clocks differ."""
        try:
            bucket = read_bucket(key, value)
        except ValueError:
            return None
        if bucket is None:
            return None
        earliest_s = min(written_ms // 1_000, *bucket.newest_receipts_s(WITNESSES))
        return 1_000 * (earliest_s - self.window_s - _CLOCKS_S)

    async def open(self, log: LogExtent) -> int:
        """Takes what is on disk, where that is a cache of `log`; returns where reading begins.

        Raises:
            LocalStoreError: the disk cannot be used now.
        """
        if self._fault is not None:
            await self._let_go(str(self._fault) if self._fault.is_damage else None)
        if self.changelog_offset > log.end:
            await self._let_go("it is ahead of the changelog")
        if self.changelog_offset:
            return max(self.changelog_offset, log.first)
        found = await self._local.open(log)
        if found is None:
            return log.first
        self._keys, state, segments = found
        self._segments.load(segments, state.stream_s, state.receipts_s)
        self.changelog_offset, self.input_offset = state.changelog_offset, state.input_offset
        self.rules_digest, self._last_name, self._anchor = state.rules_digest, state.last_name, state.anchor
        self._must_match = self._last_name != NO_NAME
        return self._anchor if self._must_match else max(self.changelog_offset, log.first)

    async def settle(self, patience_s: float = 1.0) -> None:
        """Moves the keys to the disk where they are many, and waits where the disk is behind.

        Raises:
            LocalStoreError: the disk failed, or the store on it is damaged.
        """
        if self._fault is not None:
            raise self._fault
        try:
            if isinstance(self._keys, MemoryKeys) and self._local.is_wanted_for(self.entries):
                self._keys = await self._local.move(self._keys, self._segments)
                self._keys.write(self._state().row(), self._segments.touched())
                await self._keys.flush()
                self._local.note_complete(self._segments.keys)
            if isinstance(self._keys, DiskKeys):
                await self._keys.settle(patience_s)
        except StoreBusyError:
            raise
        except LocalStoreError as error:
            raise self._failed(error) from error

    def turn_to_restore(self) -> asyncio.Semaphore:
        """One of few turns that all partitions of the process share."""
        return self.place.turns

    async def discard(self, reason: str) -> None:
        """Forgets everything, on disk too."""
        await self._let_go(reason)

    async def close(self) -> None:
        """Puts everything on the disk that is not there, and forgets what is in memory."""
        await self._let_go(None)

    async def _let_go(self, damage: str | None) -> None:
        keys, self._keys = self._keys, MemoryKeys()
        self._segments = Segments(self.window_s, self.budget)
        self._overlay, self._fault, self._must_match = {}, None, False
        self._last_name, self._anchor = NO_NAME, 0
        self.changelog_offset, self.input_offset, self.rules_digest = 0, 0, ""
        await self._local.let_go(keys if isinstance(keys, DiskKeys) else None, damage)

    def _find(self, tag: int, key: bytes) -> bytes | None:
        running = self._overlay.get(key)
        if running is not None:
            return running[1]
        if self._fault is not None:
            raise self._fault
        try:
            return self._keys.find(self._segments.live, tag, key)
        except LocalStoreError as error:
            raise self._failed(error) from error

    def _overlay_name(self) -> int:
        """The name of the bucket that the overlay will be; no other of this partition can have it."""
        name: int = SIGHTING.unpack(next(iter(self._overlay.values()))[1])[1]
        return name

    def _overlay_groups(self) -> Mapping[int, Sequence[bytes]]:
        groups: dict[int, list[bytes]] = {}
        for key, (tag, sighting) in self._overlay.items():
            groups.setdefault(tag, []).append(key + sighting)
        return groups

    def _add(self, bucket: Bucket) -> None:
        segment = self._segments.add(bucket.counts, bucket.newest_receipts_s(WITNESSES))
        self._keys.add(segment, bucket.groups.items())
        self._last_name = bucket.name
        for one in self._segments.forget():
            self._keys.forget(one)
            if one.early:
                self.evicted += one.count
                _log.error("retries_forgotten_early", count=one.count, partition=self._local.partition)
        is_nearly_full = self.fullness >= NEARLY_FULL
        if is_nearly_full and not self._is_told:
            _log.warning("retries_nearly_forgotten", share=round(self.fullness, 2), partition=self._local.partition)
        self._is_told = is_nearly_full

    def _write(self) -> None:
        """Puts what changed on the disk; a fault is raised by what asks the store next, for the commit is done."""
        if isinstance(self._keys, DiskKeys) and self._fault is None:
            try:
                self._keys.write(self._state().row(), self._segments.touched())
            except LocalStoreError as error:
                self._failed(error)

    def _state(self) -> StoreState:
        return StoreState(
            changelog_offset=self.changelog_offset,
            input_offset=self.input_offset,
            rules_digest=self.rules_digest,
            last_name=self._last_name,
            anchor=self._anchor,
            stream_s=self._segments.stream_s,
            receipts_s=tuple(self._segments.receipts_s),
        )

    def _failed(self, error: LocalStoreError) -> LocalStoreError:
        self._fault = error
        return error


@lru_cache(maxsize=65_536)
def _tag_of(endpoint: str) -> int:
    return tag_of(endpoint)
