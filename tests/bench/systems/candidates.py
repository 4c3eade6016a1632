"""Three stores for the keys of a partition, on the work that the processors make of them.

Keys of 16 random bytes, values of 20, in batches of 500, three slices of a window one after the other; then look-ups
that find nothing, as those of a new delivery do, in each slice. Durability as the processors need it: none before a
flush, for the changelog has everything. Run as `python -m tests.bench.systems.candidates NAME KEYS FOLDER`.
"""

import importlib.util
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from rocksdict import WriteBatch

from processors.deliver.keys.disk import DiskKeys
from processors.deliver.keys.rocksdb import DiskMemory
from tests.bench.gauge import peak_rss_kib

_BATCH = 500
_SLICES = 3
_LOOKUPS = 20_000


class Candidate(Protocol):
    """A store of bytes by bytes."""

    def put(self, entries: list[tuple[bytes, bytes]]) -> None:
        """Stores the entries together."""

    def get(self, key: bytes) -> bytes | None:
        """What is stored under the key."""

    def drop(self, slice_number: int) -> None:
        """Removes a slice and gives its room back."""

    def close(self) -> None:
        """Writes everything to the disk."""


class Rocks:
    """RocksDB by rocksdict, as the processors open it."""

    def __init__(self, folder: Path) -> None:
        keys = DiskKeys.open(folder / "rocks", DiskMemory())
        # The options are what is measured, so they are those of the product.
        self._db, self._options = keys._db, keys._write  # noqa: SLF001

    def put(self, entries: list[tuple[bytes, bytes]]) -> None:
        """Stores the entries together."""
        while True:
            # Anew for each try: a write takes it apart, whether it fails or not.
            batch = WriteBatch(raw_mode=True)
            for key, value in entries:
                batch.put(key, value)
            try:
                self._db.write(batch, self._options)
            except Exception as error:
                if "Result incomplete" not in str(error):
                    raise
                time.sleep(0.01)
            else:
                return

    def get(self, key: bytes) -> bytes | None:
        """What is stored under the key."""
        found: bytes | None = self._db.get(key)
        return found

    def drop(self, slice_number: int) -> None:
        """Removes a slice and gives its room back."""
        first, end = slice_number.to_bytes(8), (slice_number + 1).to_bytes(8)
        self._db.delete_range(first, end)
        self._db.flush()
        self._db.compact_range(first, end)

    def close(self) -> None:
        """Writes everything to the disk."""
        self._db.flush()
        self._db.close()


class Lmdb:
    """LMDB by py-lmdb, unsynced and by a writable map: its fastest way."""

    def __init__(self, folder: Path) -> None:
        import lmdb  # noqa: PLC0415 no dependency of ours

        self._env: Any = lmdb.open(str(folder / "lmdb"), map_size=2**38, sync=False, writemap=True, map_async=True)

    def put(self, entries: list[tuple[bytes, bytes]]) -> None:
        """Stores the entries together."""
        with self._env.begin(write=True) as transaction, transaction.cursor() as cursor:
            cursor.putmulti(sorted(entries))

    def get(self, key: bytes) -> bytes | None:
        """What is stored under the key."""
        with self._env.begin() as transaction:
            found: bytes | None = transaction.get(key)
        return found

    def drop(self, slice_number: int) -> None:
        """Removes a slice; the file never shrinks, but its pages are used again."""
        first = slice_number.to_bytes(8)
        with self._env.begin(write=True) as transaction, transaction.cursor() as cursor:
            found = cursor.set_range(first)
            while found and cursor.key()[:8] == first:
                found = cursor.delete()

    def close(self) -> None:
        """Writes everything to the disk."""
        self._env.sync(True)
        self._env.close()


class Sqlite:
    """SQLite of the standard library, one table for each slice, unsynced."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "keys.sqlite", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        for number in range(_SLICES):
            self._db.execute(f"CREATE TABLE s{number} (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def put(self, entries: list[tuple[bytes, bytes]]) -> None:
        """Stores the entries together."""
        number = int.from_bytes(entries[0][0][:8])
        self._db.execute("BEGIN")
        rows = sorted((key[8:], value) for key, value in entries)
        self._db.executemany(f"INSERT OR REPLACE INTO s{number} VALUES (?, ?)", rows)  # noqa: S608 a number of ours
        self._db.execute("COMMIT")

    def get(self, key: bytes) -> bytes | None:
        """What is stored under the key."""
        number = int.from_bytes(key[:8])
        row = self._db.execute(f"SELECT value FROM s{number} WHERE key = ?", (key[8:],)).fetchone()  # noqa: S608 as above
        return None if row is None else bytes(row[0])

    def drop(self, slice_number: int) -> None:
        """Removes a slice; its pages are used again."""
        self._db.execute(f"DROP TABLE s{slice_number}")

    def close(self) -> None:
        """Writes everything to the disk."""
        self._db.close()


CANDIDATES: Mapping[str, Callable[[Path], Candidate]] = {"rocksdict": Rocks, "lmdb": Lmdb, "sqlite": Sqlite}


def is_there(name: str) -> bool:
    """Whether the library of a candidate is installed."""
    return name == "sqlite" or importlib.util.find_spec(name) is not None


def measure(name: str, keys: int, folder: Path) -> Mapping[str, float]:
    """What it costs, in CPU where others share the machine."""
    store = CANDIDATES[name](folder)
    cpu, worst_s = time.process_time(), 0.0
    for first in range(0, keys, _BATCH):
        prefix = (first * _SLICES // keys).to_bytes(8)
        random = os.urandom(36 * _BATCH)
        entries = [(prefix + random[at : at + 16], random[at + 16 : at + 36]) for at in range(0, len(random), 36)]
        began = time.perf_counter()
        store.put(entries)
        worst_s = max(worst_s, time.perf_counter() - began)
    put_s = time.process_time() - cpu
    cpu = time.process_time()
    for _ in range(_LOOKUPS):
        key = os.urandom(16)
        for number in range(_SLICES):
            if store.get(number.to_bytes(8) + key) is not None:
                raise AssertionError("a random key is there")
    get_s = time.process_time() - cpu
    peak = peak_rss_kib([os.getpid()])
    began = time.perf_counter()
    store.drop(0)
    drop_s = time.perf_counter() - began
    store.close()
    there = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
    return {
        "keys a CPU second": keys / put_s,
        "slowest batch, ms": 1_000 * worst_s,
        "three absent look-ups, us": get_s / _LOOKUPS * 1_000_000,
        "bytes on disk a key, a slice of three dropped": there / keys,
        "a slice dropped, ms": 1_000 * drop_s,
        "MB of memory": peak / 1_024,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
