"""Which deliveries are a provider's retry of a delivery that was already processed.

A delivery is known by its endpoint and the provider's own key for it (its natural key). A delivery whose key came
before within the window, with the same body, is a retry and adds nothing. With another body it is no retry, whatever
its key says: a counter that began anew, or a message made anew. It is processed under a key of its own, marked and
counted.
"""

import hashlib
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain, islice, repeat
from typing import Protocol

from processors.runtime.state_store import Change, StateStore
from schemas.fast_frozen import fast_frozen
from schemas.notes.raw_places import is_elsewhere, moved_place

# One entry: the hash of a key; then a digest of the body, the offset in `raw`, and the time of receipt (s since 1970).
_ENTRY = struct.Struct(">16s8sqI")
_SIGHTING = struct.Struct(">8sqI")
_NAME = struct.Struct(">q")
_HASH_BYTES = 16
_DIGEST_BYTES = 8
_SECONDS_MAX = 2**32 - 1
# Stream time is the smallest of so many receipts in a row, so that no wrong clock moves it. The price: a bucket is
# removed so many receipts late.
_WITNESSES = 64
# A transaction removes at most so many buckets, or as many keys as it adds: after a pause a million buckets can be
# outdated at once, and the event loop must not wait for all of them.
_OUTDATED_MAX = 1_000


class DedupeResult(StrEnum):
    """What a delivery is to the deliveries before it."""

    FIRST = "first"
    RETRY = "retry"
    BODY_DIFFERS = "body_differs"


@fast_frozen()
class Sighting:
    """The verdict on a delivery; `DedupeStore.remember` takes it back.

    `natural_key` is the key that the delivery goes by from now on; `first_offset` is the place of its first try: an
    offset of the same partition of `raw`, or what `schemas.notes.raw_places` makes of another one. `age_s` is how long
    before this receipt the first try was received.
    """

    kind: DedupeResult
    natural_key: str
    first_offset: int
    entry: tuple[bytes, bytes]
    age_s: int = 0


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
) -> Sighting:
    """The verdict on a delivery, where `find` gives the second half of the entry of a key."""
    received_s = min(max(received_s, 0), _SECONDS_MAX)
    digest = _digest(body)
    entry = _SIGHTING.pack(digest, offset, received_s)
    key = _hash(endpoint, natural_key)
    found = _within(window_s, find(key), received_s)
    if found is not None and found[0] == digest:
        return Sighting(DedupeResult.RETRY, natural_key, found[1], (key, entry), received_s - found[2])
    # Looked up even where the plain key is unknown: its window may be over, and that of a differing body not.
    own_key = _key_with(natural_key, digest)
    own = _hash(endpoint, own_key)
    again = _within(window_s, find(own), received_s)
    if again is not None:
        return Sighting(DedupeResult.RETRY, own_key, again[1], (own, entry), received_s - again[2])
    if found is None:
        return Sighting(DedupeResult.FIRST, natural_key, offset, (key, entry))
    return Sighting(DedupeResult.BODY_DIFFERS, own_key, found[1], (own, entry))


def newest(sighting: Sighting, *, endpoint: str, natural_key: str) -> Sighting:
    """The sighting of the newest delivery of this key: remembered, it stands in the place of the one before."""
    return replace(sighting, natural_key=natural_key, entry=(_hash(endpoint, natural_key), sighting.entry[1]))


def _within(window_s: int, packed: bytes | None, received_s: int) -> tuple[bytes, int, int] | None:
    """Body digest, offset and receipt of a key's first try, where the first try lies within the window."""
    if packed is None:
        return None
    digest, offset, first_s = _SIGHTING.unpack(packed)
    return (digest, offset, first_s) if received_s - first_s <= window_s else None


@dataclass(slots=True, eq=False)
class DedupeStore(StateStore):
    """The keys of one partition of `raw` within `window_s`, at most `keys_max`.

    A verdict compares the times of two receipts, whatever came between them. Stream time only says which keys may be
    removed. The keys of one transaction are a bucket: one changelog record, named by the raw offset of its first key;
    buckets are removed whole, the oldest first.
    """

    window_s: int
    keys_max: int
    evicted: int = 0
    _memory: dict[bytes, bytes] = field(default_factory=dict)
    _order: deque[bytes] = field(default_factory=deque)  # The hashes, the oldest first.
    # Of the buckets, in the same order. Columns, for a quiet partition has a bucket for every key.
    _names: deque[int] = field(default_factory=deque)
    _sizes: deque[int] = field(default_factory=deque)
    _times_s: deque[int] = field(default_factory=deque)  # Stream time once the bucket was there; 0 before there is one.
    _receipts_s: deque[int] = field(default_factory=lambda: deque(maxlen=_WITNESSES))
    _overlay: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def entries(self) -> int:
        """How many keys memory holds."""
        return len(self._memory)

    def judge(self, *, endpoint: str, natural_key: str, body: bytes, offset: int, received_s: int) -> Sighting:
        """The verdict on the delivery; by the time of receipt, so that a replay judges the same."""
        return judge_sighting(
            self._find,
            self.window_s,
            endpoint=endpoint,
            natural_key=natural_key,
            body=body,
            offset=offset,
            received_s=received_s,
        )

    def remember(self, sighting: Sighting) -> None:
        """Stores the delivery, at once for the running transaction, and for good with its commit."""
        key, entry = sighting.entry
        # At the end, also where its window ended within this transaction: a bucket is in the order of receipt.
        self._overlay.pop(key, None)
        self._overlay[key] = entry

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Takes a bucket, or removes one.

        Raises:
            ValueError: the record is no bucket.
        """
        if len(key) != _NAME.size or (value is not None and (not value or len(value) % _ENTRY.size)):
            raise ValueError(f"a key of {len(key)} and a value of {len(value or b'')} bytes are no bucket")
        (name,) = _NAME.unpack(key)
        if value is None:
            # Buckets are removed in their order: it is the oldest one, or compaction has removed its record before.
            if self._names and self._names[0] == name:
                self._remove_oldest()
        elif not self._names or name > self._names[-1]:  # Offsets only grow: any other bucket is in memory already.
            self._add_bucket(name, {entry[0]: _SIGHTING.pack(*entry[1:]) for entry in _ENTRY.iter_unpack(value)})

    def changes(self) -> Sequence[Change]:
        """The new keys as one bucket, and tombstones for the buckets whose time or room is over."""
        outdated = self._outdated_count()
        tombstones = [(_NAME.pack(name), None) for name in islice(self._names, outdated)]
        if not self._overlay:
            return tombstones
        packed = b"".join(key + sighting for key, sighting in self._overlay.items())
        return [(_NAME.pack(self._overlay_name()), packed), *tombstones]

    def commit(self) -> None:
        """Moves the overlay into memory and removes the outdated buckets."""
        for _ in range(self._outdated_count()):
            self.evicted += 0 if self._oldest_is_past() else self._sizes[0]
            self._remove_oldest()
        if self._overlay:
            self._add_bucket(self._overlay_name(), self._overlay)
            self._overlay = {}

    def roll_back(self) -> None:
        """Removes the overlay."""
        self._overlay = {}

    def inheritance(self, partition: int) -> Iterator[Change]:
        """The changelog records by which another partition remembers all that this one, `partition`, does.

        Their names come before all that the other partition will have of its own.
        """
        keys = iter(self._order)
        for name, size in enumerate(self._sizes, start=-len(self._sizes)):
            bucket = [(key, _SIGHTING.unpack(self._memory[key])) for key in islice(keys, size) if key in self._memory]
            entries = [
                _ENTRY.pack(key, digest, moved_place(place, partition), received_s)
                for key, (digest, place, received_s) in bucket
            ]
            if entries:
                yield _NAME.pack(name), b"".join(entries)

    def _find(self, key: bytes) -> bytes | None:
        return self._overlay.get(key) or self._memory.get(key)

    def _overlay_name(self) -> int:
        """The name of the bucket that the overlay will be; no other of this partition can have it."""
        return _offset_of(next(iter(self._overlay.values())))

    def _outdated_count(self) -> int:
        """How many of the oldest buckets this transaction removes: those past the window, or too many."""
        count, keys = len(self._memory) + len(self._overlay), 0
        newest_s = self._times_s[-1] if self._times_s else 0
        # Read in one go, as `_oldest_is_past` reads one: to index the middle of a deque costs as much as the way there.
        witnessed = chain(islice(self._times_s, _WITNESSES, None), repeat(newest_s))
        for outdated, (size, witnessed_s) in enumerate(zip(self._sizes, witnessed, strict=False)):
            if outdated >= _OUTDATED_MAX and keys >= len(self._overlay):
                return outdated
            if count - keys <= self.keys_max and newest_s - witnessed_s <= self.window_s:
                return outdated
            keys += size
        return len(self._sizes)

    def _oldest_is_past(self) -> bool:
        """Whether no receipt that may still come is within the window of the oldest bucket.

        The clock of its receipts may have been wrong. So its time is what stream time was when enough receipts had come
        behind it, which is never too early.
        """
        return len(self._times_s) > _WITNESSES and self._times_s[-1] - self._times_s[_WITNESSES] > self.window_s

    def _add_bucket(self, name: int, sightings: dict[bytes, bytes]) -> None:
        self._memory.update(sightings)
        self._order.extend(sightings)
        self._names.append(name)
        self._sizes.append(len(sightings))
        self._receipts_s.extend(map(_received_of, sightings.values()))
        before_s = self._times_s[-1] if self._times_s else 0
        enough = len(self._receipts_s) == _WITNESSES
        self._times_s.append(max(before_s, min(self._receipts_s)) if enough else 0)

    def _remove_oldest(self) -> None:
        self._names.popleft()
        self._times_s.popleft()
        for _ in range(self._sizes.popleft()):
            key = self._order.popleft()
            # A key that came again after its window belongs to a younger bucket.
            found = self._memory.get(key)
            if found is not None and (not self._names or _is_before(_offset_of(found), self._names[0])):
                del self._memory[key]


def key_of_another_body(natural_key: str, body: bytes) -> str:
    """The key that a delivery goes by whose natural key came before with another body."""
    return _key_with(natural_key, _digest(body))


def _key_with(natural_key: str, digest: bytes) -> str:
    return f"{natural_key}#{digest.hex()}"


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _offset_of(packed: bytes) -> int:
    offset: int = _SIGHTING.unpack(packed)[1]
    return offset


def _is_before(place: int, name: int) -> bool:
    """Whether a key of this place belongs to a bucket before the one of this name; inherited ones are the oldest."""
    return is_elsewhere(place) or place < name


def _received_of(packed: bytes) -> int:
    received_s: int = _SIGHTING.unpack(packed)[2]
    return received_s


def _hash(endpoint: str, natural_key: str) -> bytes:
    return hashlib.blake2b(f"{endpoint}\n{natural_key}".encode(), digest_size=_HASH_BYTES).digest()
