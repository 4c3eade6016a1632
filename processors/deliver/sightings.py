"""What a delivery is to the deliveries before it: the first of its key, a retry, or another body under the same key.

A delivery is known by its endpoint and the provider's own key for it (its natural key). A delivery whose key came
before within the window, with the same body, is a retry and adds nothing. With another body it is no retry, whatever
its key says: a counter that began anew, or a message made anew. It is processed under a key of its own, marked and
counted. The verdict is pure; a store says which keys it knows.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Protocol

from processors.deliver.keys.buckets import HASH_BYTES, SIGHTING
from schemas.fast_frozen import fast_frozen

_DIGEST_BYTES = 8
_SECONDS_MAX = 2**32 - 1


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

    def take(self, entries: Iterable[tuple[int, bytes]]) -> None:
        """Stores entries of another store for the running transaction, each with its tag; a later one counts."""

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


def key_of_another_body(natural_key: str, body: bytes) -> str:
    """The key that a delivery goes by whose natural key came before with another body."""
    return _key_with(natural_key, _digest(body))


def _key_with(natural_key: str, digest: bytes) -> str:
    return f"{natural_key}#{digest.hex()}"


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _hash(endpoint: str, natural_key: str) -> bytes:
    return hashlib.blake2b(f"{endpoint}\n{natural_key}".encode(), digest_size=HASH_BYTES).digest()
