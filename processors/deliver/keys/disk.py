"""Keys on disk: one RocksDB of a partition of `raw`, a cache of its changelog that may be thrown away at any time.

Keys, counts of segments and the place in the changelog are written together, into one column family, without a log of
their own: what a dead process leaves is what stood at some moment before, whole. A block that is damaged says so
(checksums), and then the changelog makes the store anew.
"""

import asyncio
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rocksdict import Rdict, WriteOptions

from processors.deliver.keys.buckets import ENTRY_BYTES, HASH_BYTES, NO_TAG
from processors.deliver.keys.rocksdb import (
    PUT,
    REMOVE,
    Change,
    DiskMemory,
    explained,
    explained_fault,
    open_database,
    unlogged_writes,
    write_at_once,
)
from processors.deliver.keys.segments import Forgotten, Segment, Touched
from processors.runtime.state_store import StoreBusyError

# What a key takes on disk: 36 bytes, and what compaction has not yet put together.
DISK_KEY_BYTES = 48
_PREFIX = struct.Struct(">II")
# Rows beside the keys; no segment has such a number.
_SEGMENT_ROW = b"\xfc"
_COUNT_ROW = b"\xfd"
_STATE_ROW = b"\xfe"
_SEGMENT = struct.Struct(">qqq")
# To write so many at once takes a millisecond.
_KEYS_PER_WRITE = 500
_WAITING_KEYS_MAX = 20_000
_STALL_S = 0.05


@dataclass(slots=True, eq=False)
class DiskKeys:
    """An open RocksDB. After a `LocalStoreError` it is good for nothing but `close`."""

    folder: Path
    _db: Rdict
    _write: WriteOptions
    _changes: "list[Change]" = field(default_factory=list)
    # Entries of `_changes`, and of changes that RocksDB did not take yet, by their full keys.
    _unwritten: dict[bytes, bytes] = field(default_factory=dict)
    # Changes and not batches of them: RocksDict takes a batch apart, whether the write fails or not.
    _stalled: "list[list[Change]]" = field(default_factory=list)
    _expired: list[tuple[bytes, bytes]] = field(default_factory=list)
    _reclaiming: "asyncio.Task[None] | None" = None

    @classmethod
    def open(cls, folder: Path, memory: DiskMemory) -> "DiskKeys":
        """Opens or creates it; takes milliseconds whatever its size.

        Raises:
            LocalStoreError: it is damaged, or the folder cannot be used.
        """
        return cls(folder, open_database(folder, memory), unlogged_writes())

    def find(self, segments: Sequence[Segment], tag: int, key: bytes) -> bytes | None:
        """The youngest sighting of the key among those of `tag`, and those without a tag.

        Raises:
            LocalStoreError: the disk does not give it, or gave something damaged.
        """
        for segment in reversed(segments):
            for one in (tag, NO_TAG):
                if one in segment.keys_by_tag:
                    found = self._get(_PREFIX.pack(segment.number, one) + key)
                    if found is not None:
                        return found
        return None

    def add(self, segment: Segment, groups: Iterable[tuple[int, bytes]]) -> None:
        """Takes packed entries; they are in the store with the next `write`."""
        change, unwritten = self._changes.append, self._unwritten
        for tag, packed in groups:
            prefix = _PREFIX.pack(segment.number, tag)
            for start in range(0, len(packed), ENTRY_BYTES):
                middle = start + HASH_BYTES
                key, sighting = prefix + packed[start:middle], packed[middle : start + ENTRY_BYTES]
                change((PUT, key, sighting))
                unwritten[key] = sighting

    def forget(self, forgotten: Forgotten) -> None:
        """Forgets with the next `write`; `reclaim` gives the room back."""
        number, tag = forgotten.segment.number, forgotten.tag
        first = _PREFIX.pack(number, tag or 0)
        end = _PREFIX.pack(number, tag + 1) if tag is not None else _PREFIX.pack(number + 1, 0)
        for key in [key for key in self._unwritten if first <= key < end]:
            del self._unwritten[key]
        self._changes.append((REMOVE, first, end))
        self._changes.append((REMOVE, _COUNT_ROW + first, _COUNT_ROW + end))
        if tag is None:
            self._changes.append((REMOVE, _SEGMENT_ROW + first[:4], _SEGMENT_ROW + end[:4]))
        self._expired.append((first, end))

    @property
    def is_worth_writing(self) -> bool:
        """Whether enough keys were added for a write."""
        return len(self._unwritten) >= _KEYS_PER_WRITE

    def write(self, state: Mapping[str, Any] | None, touched: Touched | None) -> None:
        """Writes all that was added and forgotten, the rows of what was touched, and the state of the whole.

        Without a state it is not complete yet: a store that has none is not taken when it is opened.

        Raises:
            LocalStoreError: the disk is full or failed.
        """
        if touched is not None:
            for one in touched.segments:
                witnessed_s = -1 if one.witnessed_s is None else one.witnessed_s
                row = _SEGMENT.pack(one.begins_s, one.receipts_behind, witnessed_s)
                self._changes.append((PUT, _SEGMENT_ROW + one.number.to_bytes(4), row))
            for (number, tag), count in touched.counts.items():
                self._changes.append((PUT, _COUNT_ROW + _PREFIX.pack(number, tag), count.to_bytes(8)))
        if state is not None:
            self._changes.append((PUT, _STATE_ROW, orjson.dumps(state)))
        self._stalled.append(self._changes)
        self._changes = []
        self._write_stalled()

    def read(self) -> tuple[dict[str, Any] | None, list[Segment]]:
        """The state of the whole, None in a new store, and its segments, the oldest first."""
        with explained(self.folder):
            state = self._db.get(_STATE_ROW)
            if state is None:
                return None, []
            segments: dict[int, Segment] = {}
            for key, row in self._db.items(from_key=_SEGMENT_ROW):
                if not isinstance(key, bytes):
                    raise TypeError("the database is not in raw mode")
                if key[:1] == _SEGMENT_ROW:
                    begins_s, receipts_behind, witnessed_s = _SEGMENT.unpack(row)
                    number = int.from_bytes(key[1:])
                    segments[number] = Segment(
                        number, begins_s, {}, 0, receipts_behind, None if witnessed_s < 0 else witnessed_s
                    )
                elif key[:1] == _COUNT_ROW:
                    number, tag = _PREFIX.unpack(key[1:])
                    segments[number].keys_by_tag[tag] = int.from_bytes(row)
                    segments[number].keys += int.from_bytes(row)
            return orjson.loads(state), list(segments.values())

    async def settle(self, patience_s: float) -> None:
        """Returns when RocksDB keeps up with what is written; gives back the room of what was forgotten, by and by.

        Raises:
            StoreBusyError: RocksDB does not keep up after `patience_s`.
            LocalStoreError: the disk is full or failed.
        """
        began = time.monotonic()
        while len(self._unwritten) > _WAITING_KEYS_MAX:
            if time.monotonic() - began > patience_s:
                raise StoreBusyError(
                    f"the disk has taken nothing for {patience_s:.0f} s: {self.folder}; look after it, or give "
                    "process.state_dir a quicker one"
                )
            await asyncio.sleep(_STALL_S)
            self._write_stalled()
        if self._reclaiming is not None and self._reclaiming.done():
            done, self._reclaiming = self._reclaiming, None
            done.result()
        if self._expired and self._reclaiming is None:
            expired, self._expired = self._expired, []
            self._reclaiming = asyncio.create_task(asyncio.to_thread(self._reclaim, expired))

    async def flush(self) -> None:
        """Returns when all that was written is on the disk; it takes a moment, and only a new store needs it."""
        with explained(self.folder):
            await asyncio.to_thread(self._db.flush)

    async def close(self) -> None:
        """Writes everything to the disk and lets the folder go."""
        if self._reclaiming is not None:
            await asyncio.wait({self._reclaiming})
        await asyncio.to_thread(self._close)

    def abandon(self) -> None:
        """Lets the folder go, whatever is not on the disk."""
        self._db.close()

    def _get(self, key: bytes) -> bytes | None:
        if self._unwritten and (waiting := self._unwritten.get(key)) is not None:
            return waiting
        try:
            found: bytes | None = self._db.get(key)
        except Exception as error:
            raise explained_fault(self.folder, error) from error
        return found

    def _write_stalled(self) -> None:
        while self._stalled:
            if not write_at_once(self._db, self._stalled[0], self._write, self.folder):
                return
            del self._stalled[0]
        self._unwritten.clear()

    def _reclaim(self, expired: Sequence[tuple[bytes, bytes]]) -> None:
        with explained(self.folder):
            self._db.flush()
            for first, end in expired:
                self._db.compact_range(first, end)

    def _close(self) -> None:
        with explained(self.folder):
            try:
                self._db.flush()
            finally:
                self._db.close()
