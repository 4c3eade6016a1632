"""Which deliveries are a provider's retry of one that was already processed.

A delivery is known by its endpoint and the provider's own key for it (its natural key). One whose key was seen within
the window with the same body is a retry and adds nothing. With another body it is no retry, whatever its key says: a
counter that began anew, or a message made anew. It is processed under a key of its own, marked and counted.
"""

import hashlib
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from processors.state import Change

# Remembered per key: its hash; then a digest of the body, the offset in `raw`, and when it was received (s since 1970).
_ENTRY = struct.Struct(">16s8sqI")
_SIGHTING = struct.Struct(">8sqI")
_HASH_BYTES = 16
_DIGEST_BYTES = 8
_SECONDS_MAX = 2**32 - 1
_STEP_MAX_S = 3_600


class Kind(StrEnum):
    """What a delivery is to what was seen before."""

    FIRST = "first"
    RETRY = "retry"
    BODY_DIFFERS = "body_differs"


@dataclass(frozen=True, slots=True)
class Sighting:
    """The verdict on a delivery, as `Seen.remember` takes it back.

    `natural_key` is the key that it goes by from now on; `first_offset` is that of its first try, in the same partition
    of `raw`.
    """

    kind: Kind
    natural_key: str
    first_offset: int
    entry: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class _Bucket:
    """The keys of one transaction: one changelog record, forgotten together once the youngest is past the window."""

    key: bytes
    received_s: int
    offset_last: int
    hashes: tuple[bytes, ...]


@dataclass(slots=True)
class Seen:
    """The keys of one partition within `window_s`, at most `keys_max`; a `State`."""

    window_s: int
    keys_max: int
    evicted: int = 0
    _memory: dict[bytes, bytes] = field(default_factory=dict)
    _buckets: deque[_Bucket] = field(default_factory=deque)
    _overlay: dict[bytes, bytes] = field(default_factory=dict)
    _clock_s: int = 0  # Stream time: what the receipts seen so far tell.
    _clock_committed_s: int = 0

    @property
    def entries(self) -> int:
        """How many keys are remembered."""
        return len(self._memory)

    def judge(self, *, endpoint: str, natural_key: str, body: bytes, offset: int, received_s: int) -> Sighting:
        """What the delivery is; the time is that of receipt, so that a replay judges the same."""
        received_s = min(max(received_s, 0), _SECONDS_MAX)
        self._let_pass(received_s)
        digest = hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()
        entry = _SIGHTING.pack(digest, offset, received_s)
        key = _hash(endpoint, natural_key)
        found = self._look_up(key, received_s)
        if found is not None and found[0] == digest:
            return Sighting(Kind.RETRY, natural_key, found[1], (key, entry))
        # Asked even where the plain key is unknown: its window may be over, and that of a differing body not.
        own_key = f"{natural_key}#{digest.hex()}"
        own = _hash(endpoint, own_key)
        again = self._look_up(own, received_s)
        if again is not None:
            return Sighting(Kind.RETRY, own_key, again[1], (own, entry))
        if found is None:
            return Sighting(Kind.FIRST, natural_key, offset, (key, entry))
        return Sighting(Kind.BODY_DIFFERS, own_key, found[1], (own, entry))

    def remember(self, sighting: Sighting) -> None:
        """From now on, in this transaction and after its commit, the delivery has been seen."""
        key, entry = sighting.entry
        self._overlay[key] = entry

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Takes a bucket, or forgets one.

        Raises:
            ValueError: the record is no bucket.
        """
        if value is None:
            self._forget_bucket(key)
            return
        if len(key) != 8 or not value or len(value) % _ENTRY.size:
            raise ValueError(f"a key of {len(key)} and a value of {len(value)} bytes are no bucket")
        if self._buckets and key <= self._buckets[-1].key:
            return  # Offsets only grow: it is known.
        self._add_bucket(key, {entry[0]: _SIGHTING.pack(*entry[1:]) for entry in _ENTRY.iter_unpack(value)})
        self._clock_committed_s = self._clock_s

    def changes(self) -> Sequence[Change]:
        """The new keys as one bucket, and tombstones for the buckets whose time or room is over."""
        tombstones = [(bucket.key, None) for bucket in self._outdated()]
        if not self._overlay:
            return tombstones
        packed = b"".join(key + sighting for key, sighting in self._overlay.items())
        return [(self._bucket_key(), packed), *tombstones]

    def commit(self) -> None:
        """Moves the overlay into memory and forgets the outdated buckets."""
        outdated = self._outdated()
        for bucket in outdated:
            if bucket.received_s >= self._clock_s - self.window_s:
                self.evicted += len(bucket.hashes)
            self._forget(self._buckets.popleft())
        if self._overlay:
            self._add_bucket(self._bucket_key(), self._overlay)
            self._overlay = {}
        self._clock_committed_s = self._clock_s

    def roll_back(self) -> None:
        """Forgets the overlay."""
        self._overlay = {}
        self._clock_s = self._clock_committed_s

    def _let_pass(self, received_s: int) -> None:
        """Moves stream time on, in one step by an hour at most: one wrong clock must not end every window."""
        if received_s > self._clock_s:
            self._clock_s = min(received_s, self._clock_s + _STEP_MAX_S) if self._clock_s else received_s

    def _look_up(self, key: bytes, received_s: int) -> tuple[bytes, int] | None:
        """Body digest and offset of the key's first try, where that lies within the window."""
        packed = self._overlay.get(key) or self._memory.get(key)
        if packed is None:
            return None
        digest, offset, first_s = _SIGHTING.unpack(packed)
        return (digest, offset) if received_s - first_s <= self.window_s else None

    def _bucket_key(self) -> bytes:
        """The raw offset of the overlay's first key; no other bucket of this partition can have it."""
        _, offset, _ = _SIGHTING.unpack(next(iter(self._overlay.values())))
        return struct.pack(">q", offset)

    def _outdated(self) -> list[_Bucket]:
        """The oldest buckets that are past the window, or that there is no room for."""
        count = len(self._memory) + len(self._overlay)
        outdated = []
        for bucket in self._buckets:
            if bucket.received_s >= self._clock_s - self.window_s and count <= self.keys_max:
                break
            count -= len(bucket.hashes)
            outdated.append(bucket)
        return outdated

    def _add_bucket(self, key: bytes, sightings: dict[bytes, bytes]) -> None:
        self._memory.update(sightings)
        unpacked = [_SIGHTING.unpack(packed) for packed in sightings.values()]
        received_s = max(sighting[2] for sighting in unpacked)
        self._let_pass(received_s)
        # No later than stream time, or a wrong clock's bucket would stay before all younger ones.
        received_s = min(received_s, self._clock_s)
        self._buckets.append(_Bucket(key, received_s, max(sighting[1] for sighting in unpacked), tuple(sightings)))

    def _forget_bucket(self, key: bytes) -> None:
        for bucket in self._buckets:
            if bucket.key == key:
                self._buckets.remove(bucket)
                self._forget(bucket)
                return

    def _forget(self, bucket: _Bucket) -> None:
        for key in bucket.hashes:
            packed = self._memory.get(key)
            # A key that was remembered anew after its window belongs to a younger bucket.
            if packed is not None and _SIGHTING.unpack(packed)[1] <= bucket.offset_last:
                del self._memory[key]


def _hash(endpoint: str, natural_key: str) -> bytes:
    return hashlib.blake2b(f"{endpoint}\n{natural_key}".encode(), digest_size=_HASH_BYTES).digest()
