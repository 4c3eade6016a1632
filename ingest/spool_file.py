"""One SQLite file of records that wait for Kafka. What a call wrote is on the disk when the call returns.

Write-ahead log with `synchronous = FULL`: each commit is fsynced, and a torn tail is cut off at the last whole commit
(https://www.sqlite.org/wal.html). The file is locked for as long as it is open; a process that dies lets go of it.
Nothing here knows threads or an event loop.
"""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from schemas.delivery import PendingRecord

# Raised with every change of the tables; `_create` then learns to bring an older file up to it.
_VERSION = 1
_PAGE_BYTES = 4096
# The log keeps this much of the disk for itself, so that a full disk does not stop the spool from being emptied.
_LOG_BYTES = 4_194_304
_TABLES = """
CREATE TABLE records (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    key BLOB NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    headers BLOB NOT NULL,
    value BLOB NOT NULL,
    refused TEXT
) STRICT;
CREATE TABLE probe (id INTEGER PRIMARY KEY, turn INTEGER NOT NULL) STRICT;
INSERT INTO probe VALUES (0, 0);
"""


class SpoolInUseError(Exception):
    """Another process has the file."""


class SpoolTooNewError(Exception):
    """A newer version of this program made the file."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A record that waits, by the id under which it is removed."""

    id: int
    record: PendingRecord


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a file: waiting records by endpoint, those that Kafka refused, and when the oldest that waits came."""

    waiting: dict[str, int]
    refused: int
    oldest_ms: int | None


class SpoolFile:
    """An open, locked file.

    Every method raises sqlite3.Error when the disk does not do as it should; then nothing has changed.
    """

    def __init__(self, path: Path, *, bytes_max: int) -> None:
        """Opens the file, or makes it.

        Raises:
            SpoolInUseError: another process has it.
            SpoolTooNewError: it cannot be read by this version.
            sqlite3.Error: it is corrupt, or the disk refuses.
        """
        self.path = path
        # Written by one thread, opened by whichever.
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        try:
            self._prepare(bytes_max)
        except sqlite3.OperationalError as error:
            self._database.close()
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise SpoolInUseError(str(path)) from error
            raise
        except BaseException:
            self._database.close()
            raise

    def append(self, records: Iterable[PendingRecord]) -> None:
        """All of the records, in one commit."""
        rows = [(record.endpoint, record.key, record.timestamp_ms, _pack(record), record.value) for record in records]
        self._write("INSERT INTO records (endpoint, key, timestamp_ms, headers, value) VALUES (?, ?, ?, ?, ?)", rows)

    def oldest(self, *, count_max: int, bytes_max: int) -> list[Spooled]:
        """The first records in the order in which they came: one, and more while they fit; none that was refused."""
        found: list[Spooled] = []
        size = 0
        rows = self._database.execute(
            "SELECT id, endpoint, key, timestamp_ms, headers, value FROM records"
            " WHERE refused IS NULL ORDER BY id LIMIT ?",
            (count_max,),
        )
        for number, endpoint, key, timestamp_ms, headers, value in rows:
            size += len(headers) + len(value)
            if found and size > bytes_max:
                break
            record = PendingRecord(endpoint, key, value, _unpack(headers), timestamp_ms)
            found.append(Spooled(number, record))
        # An open cursor would hold its snapshot, and the log could not be reused.
        rows.close()
        return found

    def remove(self, ids: Collection[int]) -> None:
        """These are elsewhere now."""
        self._write("DELETE FROM records WHERE id = ?", [(number,) for number in ids])

    def refuse(self, number: int, reason: str) -> None:
        """This one Kafka will not have: it stays, and is passed over until the file is opened again."""
        self._write("UPDATE records SET refused = ? WHERE id = ?", [(reason, number)])

    def probe(self) -> None:
        """Returns when the disk takes a commit."""
        self._write("UPDATE probe SET turn = turn + 1", [()])

    def content(self) -> Content:
        """What is in the file."""
        waiting = dict(
            self._database.execute("SELECT endpoint, count(*) FROM records WHERE refused IS NULL GROUP BY endpoint")
        )
        (refused,) = self._database.execute("SELECT count(refused) FROM records").fetchone()
        return Content(waiting, refused, self.oldest_ms())

    def oldest_ms(self) -> int | None:
        """When the record that waits longest was received; None where none waits."""
        row = self._database.execute(
            "SELECT timestamp_ms FROM records WHERE refused IS NULL ORDER BY id LIMIT 1"
        ).fetchone()
        return None if row is None else int(row[0])

    @property
    def bytes_used(self) -> int:
        """How much of the disk its records take; pages that were freed are used again before it grows."""
        pages, free = (self._pragma(name) for name in ("page_count", "freelist_count"))
        return (pages - free) * _PAGE_BYTES

    def shrink(self) -> None:
        """Gives pages that are not used back to the disk; for when nothing else is to do."""
        # `execute` would stop after the first page; this runs the statement to its end.
        self._database.executescript("PRAGMA incremental_vacuum(1000)")

    def close(self) -> None:
        """Lets the file go."""
        self._database.close()

    def _prepare(self, bytes_max: int) -> None:
        run = self._database.execute
        run(f"PRAGMA page_size = {_PAGE_BYTES}")
        run("PRAGMA auto_vacuum = INCREMENTAL")
        # First, so that the log's index is in memory and no other process can come in.
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        run(f"PRAGMA max_page_count = {max(1, bytes_max // _PAGE_BYTES)}")
        version = self._pragma("user_version")
        if version > _VERSION:
            raise SpoolTooNewError(f"{self.path} is of version {version}; this program knows {_VERSION}")
        run("BEGIN EXCLUSIVE")
        if version == 0:
            for statement in _TABLES.split(";\n"):
                run(statement)
            run(f"PRAGMA user_version = {_VERSION}")
        run("UPDATE records SET refused = NULL WHERE refused IS NOT NULL")
        run("COMMIT")

    def _pragma(self, name: str) -> int:
        return int(self._database.execute(f"PRAGMA {name}").fetchone()[0])

    def _write(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """One transaction, durable on return."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(statement, rows)
            self._database.execute("COMMIT")
        except sqlite3.Error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise


def _pack(record: PendingRecord) -> bytes:
    """Header values are bytes; as Latin-1 each byte is one character, there and back."""
    return orjson.dumps([[name, value.decode("latin-1")] for name, value in record.headers])


def _unpack(headers: bytes) -> list[tuple[str, bytes]]:
    return [(name, value.encode("latin-1")) for name, value in orjson.loads(headers)]
