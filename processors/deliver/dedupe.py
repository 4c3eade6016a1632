"""Which deliveries are a provider's retry of a delivery that was already processed.

A delivery is known by its endpoint and the provider's own key for it (its natural key). A delivery whose key came
before within the window, with the same body, is a retry and adds nothing. With another body it is no retry, whatever
its key says: a counter that began anew, or a message made anew. It is processed under a key of its own, marked and
counted.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache, partial
from typing import Protocol

import structlog

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
from processors.runtime.state_store import Change, LocalStoreError, LogExtent, StateStore, StoreBusyError
from schemas.fast_frozen import fast_frozen

_log = structlog.get_logger()

_DIGEST_BYTES = 8
_SECONDS_MAX = 2**32 - 1
# A processor's clock may differ from an ingress's by so much.
_CLOCKS_S = 3_600
# From this share of a budget on, a person is told.
NEARLY_FULL = 0.8


class DedupeResult(StrEnum):
    """What a delivery is to the deliveries before it."""

    FIRST = "first"
    RETRY = "retry"
    BODY_DIFFERS = "body_differs"


@fast_frozen()
class Sighting:
    """The verdict on a delivery of `endpoint`; `DedupeStore.remember` takes it back.

    `natural_key` is the key that the delivery goes by from now on; `first_offset` is the place of its first try: an
    offset of the same partition of `raw`, or what `schemas.notes.raw_places` makes of another one. `age_s` is how long
    before this receipt the first try was received.
    `is_own` where the key tells it from a delivery of the same natural key.
    """

    kind: DedupeResult
    natural_key: str
    first_offset: int
    entry: tuple[bytes, bytes]
    endpoint: str
    age_s: int = 0
    is_own: bool = False


class Sightings(Protocol):
    """A store of deliveries that finds retries."""

    def judge(self, *, endpoint: str, natural_key: str, body: bytes, offset: int, received_s: int) -> Sighting:
        """The verdict on the delivery; `received_s` is in seconds since 1970."""

    def remember(self, sighting: Sighting) -> None:
        """Stores the delivery: from now on the same one is a retry."""


class SightingsOfRun(Sightings, Protocol):
    """Such a store that changes transaction by transaction, as `DedupeStore` does."""

    @property
    def entries(self) -> int:
        """How many keys are stored."""

    @property
    def evicted(self) -> int:
        """How many keys were removed for want of room."""

    def commit(self) -> None:
        """Stores the deliveries since the last commit for good."""

    def roll_back(self) -> None:
        """Removes the deliveries since the last commit."""


def judge_sighting(
    find: Callable[[bytes], bytes | None],
    window_s: int,
    *,
    endpoint: str,
    natural_key: str,
    body: bytes,
    offset: int,
    received_s: int,
    find_own: Callable[[bytes], bytes | None] | None = None,
) -> Sighting:
    """The verdict on a delivery, where `find` gives the second half of the entry of a key.

    `find_own` is for the keys that tell deliveries of one natural key apart; without it `find` knows them too.
    """
    received_s = min(max(received_s, 0), _SECONDS_MAX)
    digest = _digest(body)
    entry = SIGHTING.pack(digest, offset, received_s)
    key = _hash(endpoint, natural_key)
    found = _within(window_s, find(key), received_s)
    if found is not None and found[0] == digest:
        return Sighting(DedupeResult.RETRY, natural_key, found[1], (key, entry), endpoint, received_s - found[2])
    # Looked up even where the plain key is unknown: its window may be over, and that of a differing body not.
    own_key = _key_with(natural_key, digest)
    own = _hash(endpoint, own_key)
    again = _within(window_s, (find_own or find)(own), received_s)
    if again is not None:
        return Sighting(
            DedupeResult.RETRY, own_key, again[1], (own, entry), endpoint, received_s - again[2], is_own=True
        )
    if found is None:
        return Sighting(DedupeResult.FIRST, natural_key, offset, (key, entry), endpoint)
    return Sighting(DedupeResult.BODY_DIFFERS, own_key, found[1], (own, entry), endpoint, is_own=True)


def newest(sighting: Sighting, *, endpoint: str, natural_key: str) -> Sighting:
    """The sighting of the newest delivery of this key: remembered, it stands in the place of the one before."""
    entry = (_hash(endpoint, natural_key), sighting.entry[1])
    return replace(sighting, natural_key=natural_key, entry=entry, is_own=False)


def _within(window_s: int, packed: bytes | None, received_s: int) -> tuple[bytes, int, int] | None:
    """Body digest, offset and receipt of a key's first try, where the first try lies within the window."""
    if packed is None:
        return None
    digest, offset, first_s = SIGHTING.unpack(packed)
    return (digest, offset, first_s) if received_s - first_s <= window_s else None


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
                # Complete from now on, whenever the process dies.
                await self._keys.flush()
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


def key_of_another_body(natural_key: str, body: bytes) -> str:
    """The key that a delivery goes by whose natural key came before with another body."""
    return _key_with(natural_key, _digest(body))


def _key_with(natural_key: str, digest: bytes) -> str:
    return f"{natural_key}#{digest.hex()}"


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _hash(endpoint: str, natural_key: str) -> bytes:
    return hashlib.blake2b(f"{endpoint}\n{natural_key}".encode(), digest_size=HASH_BYTES).digest()


@lru_cache(maxsize=65_536)
def _tag_of(endpoint: str) -> int:
    return tag_of(endpoint)
