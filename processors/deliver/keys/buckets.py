"""The changelog's records of keys: the keys of one transaction are a bucket, grouped by endpoint.

The record's key is the bucket's name: the offset in `raw` of its first delivery. Its value is a row of groups, each the
tag of an endpoint, how many entries follow, and the entries. Version 0.1.0 wrote buckets without groups, and tombstones
where it forgot one; both are read still.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from processors.runtime.state_store import Change
from schemas.notes.formats import NewerFormatError, newer
from schemas.notes.raw_places import moved_place

# One entry: the hash of a key (16 bytes); then a digest of the body, the offset in `raw`, and the time of receipt (s
# since 1970).
SIGHTING = struct.Struct(">8sqI")
HASH_BYTES = 16
ENTRY_BYTES = HASH_BYTES + SIGHTING.size
# Before every name.
NO_NAME = -(2**63)
# What a partition inherits has names before all that it will have of its own. Offsets stay below 2**48.
_INHERITED = 2**56
# Entries that do not say their endpoint: those of version 0.1.0.
NO_TAG = 0
# Set in the tag of keys that tell deliveries of one natural key apart: every delivery asks for one, few are there.
OWN_KEY = 0x8000_0000
_TAG_MASK = OWN_KEY - 1
NAME = struct.Struct(">Bq")
_NAME_010 = struct.Struct(">q")
VERSION = 1
# From here on a key of nine bytes begins as text does, and no version of ours wrote it.
_VERSIONS_END = 0x20
GROUP = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class Bucket:
    """The keys of one transaction: by tag the packed entries, each a hash and a sighting of `ENTRY_BYTES` in all."""

    name: int
    groups: Mapping[int, bytes]

    @property
    def counts(self) -> dict[int, int]:
        """How many keys it has of each tag."""
        return {tag: len(entries) // ENTRY_BYTES for tag, entries in self.groups.items()}

    def newest_receipts_s(self, count: int) -> Sequence[int]:
        """When its last `count` deliveries in `raw` were received, in their order."""
        starts = [
            (entries, start)
            for entries in self.groups.values()
            for start in range(max(0, len(entries) - count * ENTRY_BYTES), len(entries), ENTRY_BYTES)
        ]
        found = sorted(SIGHTING.unpack_from(entries, start + HASH_BYTES)[1:] for entries, start in starts)
        return [received_s for _, received_s in found[-count:]]


def tag_of(endpoint: str) -> int:
    """The number that stands for an endpoint in buckets and on disk; two may share one, and share a budget then."""
    digest = hashlib.blake2b(endpoint.encode(), digest_size=4).digest()
    return int.from_bytes(digest) & _TAG_MASK or 1


def endpoint_tag(tag: int) -> int:
    """The tag without what it says about the keys."""
    return tag & _TAG_MASK


def bucket_key(name: int) -> bytes:
    """The key of a bucket's record."""
    return NAME.pack(VERSION, name)


def bucket_value(groups: Mapping[int, Sequence[bytes]]) -> bytes:
    """The value of a bucket's record, from the packed entries of each tag."""
    return b"".join(piece for tag, entries in groups.items() for piece in (GROUP.pack(tag, len(entries)), *entries))


def read_bucket(key: bytes, value: bytes | None) -> Bucket | None:
    """The bucket of a changelog record; None where it says that one is forgotten, as version 0.1.0 did.

    Raises:
        ValueError: the record is no bucket.
        NewerFormatError: a newer version wrote it.
    """
    if len(key) == NAME.size and VERSION < key[0] < _VERSIONS_END:
        raise NewerFormatError(newer("what is remembered of deliveries", key[0], VERSION))
    if len(key) == _NAME_010.size and (value is None or (value and not len(value) % ENTRY_BYTES)):
        return None if value is None else Bucket(_NAME_010.unpack(key)[0], {NO_TAG: value})
    if len(key) == NAME.size and key[0] == VERSION and value:
        groups = dict(_groups(value))
        if groups:
            return Bucket(NAME.unpack(key)[1], groups)
    raise ValueError(f"a key of {len(key)} and a value of {len(value or b'')} bytes are no bucket")


def inherited(key: bytes, value: bytes | None, partition: int) -> Change | None:
    """The changelog record by which another partition remembers what this bucket of `partition` says; None of none.

    Raises:
        ValueError: the record is no bucket.
    """
    bucket = read_bucket(key, value)
    if bucket is None:
        return None
    groups = {
        tag: [_moved(key + packed, partition) for key, packed in entries_of(entries)]
        for tag, entries in bucket.groups.items()
    }
    return bucket_key(bucket.name - _INHERITED), bucket_value(groups)


def _moved(entry: bytes, partition: int) -> bytes:
    digest, place, received_s = SIGHTING.unpack_from(entry, HASH_BYTES)
    return entry[:HASH_BYTES] + SIGHTING.pack(digest, moved_place(place, partition), received_s)


def entries_of(packed: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Hash and sighting of each packed entry."""
    for start in range(0, len(packed), ENTRY_BYTES):
        middle = start + HASH_BYTES
        yield packed[start:middle], packed[middle : start + ENTRY_BYTES]


def _groups(value: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start < len(value):
        if len(value) - start < GROUP.size:
            raise ValueError(f"a value of {len(value)} bytes ends within a group")
        tag, count = GROUP.unpack_from(value, start)
        start += GROUP.size
        end = start + count * ENTRY_BYTES
        if not count or end > len(value):
            raise ValueError(f"a value of {len(value)} bytes has no {count} entries at {start}")
        yield tag, value[start:end]
        start = end
