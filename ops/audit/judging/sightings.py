"""Keeps the first tries by which the audit judges retries, as the processors do, on disk instead of in memory.

The newest keys are in memory, all others in a temporary SQLite file that goes when it is closed. A filter of bits
answers most questions about a key that was never seen.
"""

import sqlite3
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from processors.deliver.keys.buckets import HASH_BYTES
from processors.deliver.sightings import DedupeResult, Sighting, judge_sighting
from schemas.errors import DropstreamError
from schemas.notes.raw_places import is_elsewhere, moved_place

# Behind an entry: which key of its memory it is, and whether other rules judged the delivery.
_MORE = struct.Struct(">q?")
_OFFSET = struct.Struct(">8xq4x")
_ENTRY = struct.Struct(">8sqI")
_MEMORY = struct.Struct(">i")
_RECENT_MAX = 20_000
_CACHE_KIB = 16_384
# 8 MiB: among a million keys, one question in a thousand goes to the file for nothing.
_FILTER_BITS = 1 << 26
_MASK = _FILTER_BITS - 1


@contextmanager
def _failures_explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise DropstreamError(
            f"the audit's temporary file cannot be used: {error}; make room, or name a folder that has room in TMPDIR"
        ) from error


@dataclass(slots=True)
class SightingsFile:
    """Every key of every partition that one process judges."""

    _recent: dict[bytes, bytes] = field(default_factory=dict)
    _filter: bytearray = field(default_factory=lambda: bytearray(_FILTER_BITS // 8))
    _file: sqlite3.Connection | None = None

    def get(self, key: bytes) -> bytes | None:
        """The entry that was put under the key last."""
        found = self._recent.get(key)
        if found is not None or self._file is None:
            return found
        for bit in _bits(key):
            if not self._filter[bit >> 3] & 1 << (bit & 7):
                return None
        with _failures_explained():
            row = self._file.execute("SELECT entry FROM seen WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def put(self, key: bytes, entry: bytes) -> None:
        """Keeps the entry in the place of an older one."""
        self._recent[key] = entry
        for bit in _bits(key):
            self._filter[bit >> 3] |= 1 << (bit & 7)
        if len(self._recent) >= _RECENT_MAX:
            with _failures_explained():
                self._flush()

    def close(self) -> None:
        """Removes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _flush(self) -> None:
        if self._file is None:
            # No name: a temporary file of SQLite's own.
            self._file = sqlite3.connect("", isolation_level=None)
            self._file.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            self._file.execute("PRAGMA journal_mode = OFF")
            self._file.execute("CREATE TABLE seen (key BLOB PRIMARY KEY, entry BLOB) WITHOUT ROWID")
        self._file.execute("BEGIN")
        self._file.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?)", sorted(self._recent.items()))
        self._file.execute("COMMIT")
        self._recent = {}


@dataclass(slots=True)
class DiskSightings:
    """The memory of one partition of `raw`, with a `number` of its own; `window_s` and `keys_max` as processors have.

    `bucket_max` is how many keys a processor forgets at once. Since `begin`, `may_be_forgotten` says whether a
    processor may have forgotten the first try by then, for want of room; `unsure_of` is the offset of the first try
    where other rules judged it: they may have rejected it, and then no processor remembers it.
    A partition that a migration made remembers what its parent did when it was made.
    """

    file: SightingsFile
    number: int
    window_s: int
    keys_max: int
    bucket_max: int
    parent: "ParentSightings | None" = None
    may_be_forgotten: bool = False
    unsure_of: int | None = None
    # Whether other rules judged the delivery that is remembered next.
    is_unsure: bool = False
    _count: int = 0

    def begin(self, *, is_unsure: bool = False) -> None:
        """A delivery is judged next; other rules judged it where `is_unsure`."""
        self.may_be_forgotten, self.unsure_of, self.is_unsure = False, None, is_unsure

    def judge(self, *, endpoint: str, natural_key: str, body: bytes, offset: int, received_s: int) -> Sighting:
        """Whether the delivery is a first try, a retry of one that is remembered, or has its key and another body."""
        was_forgotten, was_unsure_of = self.may_be_forgotten, self.unsure_of
        self.may_be_forgotten, self.unsure_of = False, None
        sighting = judge_sighting(
            self._find,
            self.window_s,
            endpoint=endpoint,
            natural_key=natural_key,
            body=body,
            offset=offset,
            received_s=received_s,
        )
        if sighting.kind is DedupeResult.RETRY and (self.may_be_forgotten or self.unsure_of is not None):
            # A processor that did not remember the first try has remembered this one: its memory is fuller than ours.
            self._count += 1
        # A delivery may be asked for under several keys; what is not sure of one of them is not sure of it.
        self.may_be_forgotten = self.may_be_forgotten or was_forgotten
        self.unsure_of = was_unsure_of if self.unsure_of is None else self.unsure_of
        return sighting

    def remember(self, sighting: Sighting) -> None:
        """Remembers the delivery for those that follow."""
        key, entry = sighting.entry
        self.file.put(_MEMORY.pack(self.number) + key, entry + _MORE.pack(self._count, self.is_unsure))
        self._count += 1

    def take(self, entries: Iterable[tuple[int, bytes]]) -> None:
        """Remembers entries of a changelog; all keys of a partition are in one table, whatever their tag."""
        for _, entry in entries:
            key, sighting = entry[:HASH_BYTES], entry[HASH_BYTES:]
            self.file.put(_MEMORY.pack(self.number) + key, sighting + _MORE.pack(self._count, False))
            self._count += 1

    @property
    def entries(self) -> int:
        """How many keys were remembered."""
        return self._count

    @property
    def evicted(self) -> int:
        """No key is ever forgotten."""
        return 0

    def commit(self) -> None:
        """Does nothing: every key counts at once."""

    def roll_back(self) -> None:
        """Does nothing: no key is ever taken back."""

    def _inherited(self, parent: "ParentSightings", key: bytes) -> bytes | None:
        """The entry that the parent had under the key when this partition was made, as this one remembers it."""
        old = parent.sightings
        old.may_be_forgotten, old.unsure_of = False, None
        entry = old._find(key)  # noqa: SLF001 of the same class
        if entry is None:
            return None
        # An offset of the parent's that is unsure says nothing here; that the first try may be unknown does.
        self.may_be_forgotten = self.may_be_forgotten or old.may_be_forgotten or old.unsure_of is not None
        digest, place, received_s = _ENTRY.unpack(entry)
        if not is_elsewhere(place) and place >= parent.end:
            return None
        return _ENTRY.pack(digest, moved_place(place, parent.partition), received_s)

    def _find(self, key: bytes) -> bytes | None:
        found = self.file.get(_MEMORY.pack(self.number) + key)
        if found is None:
            return None if self.parent is None else self._inherited(self.parent, key)
        entry, more = found[: -_MORE.size], found[-_MORE.size :]
        number, is_unsure = _MORE.unpack(more)
        if self._count - number > self.keys_max - self.bucket_max:
            self.may_be_forgotten = True
        if is_unsure:
            (self.unsure_of,) = _OFFSET.unpack(entry)
        return entry


@dataclass(frozen=True, slots=True)
class ParentSightings:
    """The memory of the old partition `partition`, of what came before its offset `end`; judge that first."""

    sightings: DiskSightings
    partition: int
    end: int


def _bits(key: bytes) -> tuple[int, int]:
    """The two bits of the filter that stand for a key; its last 16 bytes are a hash."""
    return int.from_bytes(key[-16:-8]) & _MASK, int.from_bytes(key[-8:]) & _MASK
