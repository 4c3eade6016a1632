"""A SQLite file of records that wait for Kafka; what a call has written is on the disk when the call returns.

Write-ahead log with `synchronous = FULL`: each commit is fsynced, and a torn tail is cut off at the last whole commit
(https://www.sqlite.org/wal.html). The file is locked for as long as it is open; a process that dies unlocks it.
Nothing here knows threads or an event loop.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from schemas.delivery import PendingRecord

_PAGE_BYTES = 4096
# The log keeps this much of the disk, so that a full disk does not stop the spool from being drained.
_LOG_BYTES = 4_194_304
# A probe is larger than the log, which would hide that the disk is full.
_PROBE_BYTES = 2 * _LOG_BYTES
# At most so many of the newest records are not in the tally, and are counted when the file is opened.
_UNTALLIED_MAX = 10_000
# As much as the drain reads in a step is read at the start; a file with damage in it is set aside, not drained.
_SIGHT_RECORDS = 500
_SIGHT_BYTES = 4_194_304
# The n-th upgrades a file from version n to n + 1; a new file has version 0. A released upgrade never changes.
_UPGRADES = (
    """
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
""",
    """
CREATE INDEX refused ON records (refused) WHERE refused IS NOT NULL;
CREATE TABLE tally (
    endpoint TEXT PRIMARY KEY,
    records INTEGER NOT NULL,
    last_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO tally SELECT endpoint, count(*), max(id) FROM records GROUP BY endpoint;
DROP TABLE probe;
CREATE TABLE probe (room BLOB NOT NULL) STRICT;
""",
)
_INSERT = "INSERT INTO records (endpoint, key, timestamp_ms, headers, value) VALUES (?, ?, ?, ?, ?)"
_TALLY = """
INSERT INTO tally VALUES (?, ?, (SELECT max(id) FROM records))
ON CONFLICT DO UPDATE SET records = records + excluded.records, last_id = excluded.last_id
"""
_UNPROBE = "DELETE FROM probe"
# SQLite stores `refused` behind the body; to test each record would read all bodies, so this asks the index.
_WAITING = (
    "FROM records WHERE id > ? AND id NOT IN (SELECT id FROM records WHERE refused IS NOT NULL) ORDER BY id LIMIT ?"
)


class SpoolInUseError(Exception):
    """Another process has the file."""


class SpoolTooNewError(Exception):
    """A newer version of this program made the file."""


@dataclass(frozen=True, slots=True)
class SpooledRecord:
    """A record that waits for Kafka, with its id in the file."""

    id: int
    record: PendingRecord


@dataclass(frozen=True, slots=True)
class Content:
    """How many records wait in a file, by endpoint, and the time of the oldest one (ms)."""

    waiting: Counter[str]
    oldest_ms: int | None


class SpoolFile:
    """An open, locked file.

    Every method raises sqlite3.Error when the disk fails; then nothing has changed. `content` is what the file held at
    the start. It is known at once, however large the file is: the table `tally` counts all but the newest records, up
    to its greatest `last_id`.
    """

    def __init__(self, path: Path, *, bytes_max: int) -> None:
        """Opens the file, and makes it where it is missing.

        Raises:
            SpoolInUseError: another process has it.
            SpoolTooNewError: this version cannot read it.
            sqlite3.Error: it is corrupt, or the disk refuses.
        """
        self.path = path
        self._bytes_max = bytes_max
        # One thread opens the connection, another one uses it.
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        try:
            self._prepare()
            self._tallied_to, self._untallied, self.content = self._read_content()
        except sqlite3.OperationalError as error:
            self._database.close()
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise SpoolInUseError(str(path)) from error
            raise
        except BaseException:
            self._database.close()
            raise

    def append(self, records: Sequence[PendingRecord]) -> None:
        """Writes all of the records in one commit."""
        rows = [(record.endpoint, record.key, record.timestamp_ms, _pack(record), record.value) for record in records]
        endpoints = [record.endpoint for record in records]
        if self._untallied.total() + len(endpoints) < _UNTALLIED_MAX:
            self._write((_INSERT, rows))
            self._untallied.update(endpoints)
        else:
            self._write((_INSERT, rows), (_TALLY, list((self._untallied + Counter(endpoints)).items())))
            self._tallied_to, self._untallied = self._read_int("SELECT max(last_id) FROM tally"), Counter()

    def oldest(self, *, count_max: int, bytes_max: int, after: int = 0) -> list[SpooledRecord]:
        """Reads the oldest records behind the id `after`, in order: one, and more while they fit; none refused."""
        found: list[SpooledRecord] = []
        size = 0
        rows = self._database.execute(
            f"SELECT id, endpoint, key, timestamp_ms, headers, value {_WAITING}", (after, count_max)
        )
        for number, endpoint, key, timestamp_ms, headers, value in rows:
            size += len(headers) + len(value)
            if found and size > bytes_max:
                break
            record = PendingRecord(endpoint, key, value, _unpack(headers), timestamp_ms)
            found.append(SpooledRecord(number, record))
        # An open cursor would hold its snapshot, and the log could not be reused.
        rows.close()
        return found

    def remove(self, spooled: Sequence[SpooledRecord]) -> None:
        """Deletes these records, which Kafka has."""
        tallied = Counter(one.record.endpoint for one in spooled if one.id <= self._tallied_to)
        self._write(
            ("DELETE FROM records WHERE id = ?", [(one.id,) for one in spooled]),
            ("UPDATE tally SET records = records - ? WHERE endpoint = ?", [(n, name) for name, n in tallied.items()]),
        )
        self._untallied -= Counter(one.record.endpoint for one in spooled if one.id > self._tallied_to)

    def refuse(self, number: int, reason: str) -> None:
        """Marks a record that Kafka refuses: it stays, and is skipped until the file is opened again."""
        self._write(("UPDATE records SET refused = ? WHERE id = ?", [(reason, number)]))

    def has_room(self, size: int) -> bool:
        """Tries on the disk whether the file may grow by `size`, at least 8 MiB, or by half its bound if less."""
        room = min(max(size, _PROBE_BYTES), self._bytes_max // 2)
        if self._bytes_max - self.bytes_used < room:
            return False
        self._write((_UNPROBE, [()]), ("INSERT INTO probe VALUES (zeroblob(?))", [(min(room, _PROBE_BYTES),)]))
        self._write((_UNPROBE, [()]))
        return True

    def oldest_ms(self) -> int | None:
        """Returns when the oldest record that waits was received; None where none waits."""
        row = self._database.execute(f"SELECT timestamp_ms {_WAITING}", (0, 1)).fetchone()
        return None if row is None else int(row[0])

    @property
    def bytes_used(self) -> int:
        """The bytes that the records take on the disk; freed pages are used again before the file grows."""
        pages, free = (self._read_int(f"PRAGMA {name}") for name in ("page_count", "freelist_count"))
        return (pages - free) * _PAGE_BYTES

    def shrink(self) -> None:
        """Gives unused pages back to the disk; call it when nothing else is to do."""
        # `execute` would stop after the first page; this runs the statement to its end.
        self._database.executescript("PRAGMA incremental_vacuum(1000)")

    def close(self) -> None:
        """Closes and unlocks the file."""
        self._database.close()

    def _prepare(self) -> None:
        run = self._database.execute
        run(f"PRAGMA page_size = {_PAGE_BYTES}")
        run("PRAGMA auto_vacuum = INCREMENTAL")
        # This comes first, so that the index of the log is in memory and the file is locked.
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        version = self._read_int("PRAGMA user_version")
        if version > len(_UPGRADES):
            raise SpoolTooNewError(f"{self.path} is of version {version}; this program knows {len(_UPGRADES)}")
        run("BEGIN EXCLUSIVE")
        for number, upgrade in enumerate(_UPGRADES[version:], version + 1):
            for statement in upgrade.split(";\n"):
                run(statement)
            run(f"PRAGMA user_version = {number}")
        run("UPDATE records SET refused = NULL WHERE refused IS NOT NULL")
        run(_UNPROBE)
        # An empty file must not hold deliveries back, even if somebody deleted its records by hand.
        run("DELETE FROM tally WHERE NOT EXISTS (SELECT 1 FROM records)")
        run("COMMIT")
        # This comes last, so that a full file can be upgraded.
        run(f"PRAGMA max_page_count = {max(1, self._bytes_max // _PAGE_BYTES)}")

    def _read_content(self) -> tuple[int, Counter[str], Content]:
        """Returns the last id in the tally, the number of newer records by endpoint, and the content in all."""
        self.oldest(count_max=_SIGHT_RECORDS, bytes_max=_SIGHT_BYTES)
        tallied_to = self._read_int("SELECT ifnull(max(last_id), 0) FROM tally")
        tally = Counter(dict(self._database.execute("SELECT endpoint, records FROM tally WHERE records > 0")))
        rows = self._database.execute("SELECT endpoint, count(*) FROM records WHERE id > ? GROUP BY 1", (tallied_to,))
        untallied = Counter(dict(rows))
        return tallied_to, untallied, Content(tally + untallied, self.oldest_ms())

    def _read_int(self, query: str) -> int:
        return int(self._database.execute(query).fetchone()[0])

    def _write(self, *changes: tuple[str, Sequence[Sequence[object]]]) -> None:
        """Runs statements, each with all of its rows, in one transaction, which is durable on return."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            for statement, rows in changes:
                self._database.executemany(statement, rows)
            self._database.execute("COMMIT")
        except sqlite3.Error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise


def _pack(record: PendingRecord) -> bytes:
    """Encodes the headers as JSON; in Latin-1 each byte of a value is one character, there and back."""
    return orjson.dumps([[name, value.decode("latin-1")] for name, value in record.headers])


def _unpack(headers: bytes) -> list[tuple[str, bytes]]:
    return [(name, value.encode("latin-1")) for name, value in orjson.loads(headers)]
