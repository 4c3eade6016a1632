"""A SQLite file of records that wait for Kafka; what a call has written is on the disk when the call returns.

Write-ahead log with `synchronous = FULL`: each commit is fsynced, and a torn tail is cut off at the last whole commit
(https://www.sqlite.org/wal.html). The file is locked for as long as it is open; a process that dies unlocks it.
Nothing here knows threads or an event loop.
"""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from ingest.spool.rows import COLUMNS, SpooledRecord, lane_of, read_row, row_of
from ingest.spool.salvage import ReadableRecords, SpoolDamagedError, primary_code
from ingest.spool.tables import upgrade
from schemas.delivery import PendingRecord

_log = structlog.get_logger("ingest")

_PAGE_BYTES = 4096
# The log keeps this much of the disk, so that a full disk does not stop the spool from being drained.
_LOG_BYTES = 4_194_304
# A probe is larger than the log, which would hide that the disk is full.
_PROBE_BYTES = 2 * _LOG_BYTES
# At most so many of the newest records are not in the tally, and are counted when the file is opened.
_UNTALLIED_MAX = 10_000
# As much as the drain reads in a step is read at the start, to learn of damage where it would be met first.
_SIGHT_RECORDS = 500
_SIGHT_BYTES = 4_194_304
_INSERT = "INSERT INTO records (endpoint, key, timestamp_ms, headers, value, checksum) VALUES (?, ?, ?, ?, ?, ?)"
_TAKE_OVER = f"INSERT OR IGNORE INTO records ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 own words
_TALLY = """
INSERT INTO tally VALUES (?, ?, (SELECT max(id) FROM records))
ON CONFLICT DO UPDATE SET records = records + excluded.records, last_id = excluded.last_id
"""
_UNPROBE = "DELETE FROM probe"
# SQLite stores `refused` behind the body; to test each record would read all bodies, so this asks the index.
_WAITING = """
FROM records WHERE id > ? AND id NOT IN (SELECT id FROM records WHERE refused IS NOT NULL)
AND id NOT IN (SELECT id FROM damaged) ORDER BY id
"""
_BY_ID = f"SELECT {COLUMNS} FROM records WHERE id = ? AND refused IS NULL AND id NOT IN (SELECT id FROM damaged)"  # noqa: S608 own words
_LANES = "SELECT key, count(*) FROM records"


class SpoolInUseError(Exception):
    """Another process has the file."""


@dataclass(frozen=True, slots=True)
class Content:
    """How many records wait in a file, by lane, and the time of the oldest one (ms)."""

    waiting: Counter[str]
    oldest_ms: int | None


class SpoolFile:
    """An open, locked file.

    Every method raises sqlite3.Error when the disk fails; then nothing has changed. Where the file is damaged,
    `salvage.is_damage` says so of the error. `content` is what the file held at the start. It is known at once, however
    large the file is: the table `tally` counts all but the newest records, up to its greatest `last_id`.
    """

    def __init__(self, path: Path, *, bytes_max: int) -> None:
        """Opens the file, and makes it where it is missing.

        Raises:
            SpoolInUseError: another process has it.
            SpoolTooNewError: this version cannot read it.
            sqlite3.Error: it is damaged, or the disk refuses.
        """
        self.path = path
        self.bytes_max = bytes_max
        # The records that are not as they were written; they stay in the file, and are neither sent nor removed.
        self.damaged: set[int] = set()
        # At most so many records could not be taken over from a damaged file, which is kept under another name.
        self.lost = 0
        # One thread opens the connection, another one uses it.
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        # What a damaged disk made of a text need not be UTF-8.
        self._database.text_factory = bytes
        try:
            self._prepare()
            self._unchecked_to = self._read_int("SELECT last_id FROM unchecked")
            self._tallied_to, self._untallied, self.content = self._read_content()
        except sqlite3.OperationalError as error:
            self._database.close()
            if primary_code(error) == sqlite3.SQLITE_BUSY:
                raise SpoolInUseError(str(path)) from error
            raise
        except BaseException:
            self._database.close()
            raise

    def append(self, records: Sequence[PendingRecord]) -> int:
        """Writes all of the records in one commit; returns the id of the first one, the others have the next ids."""
        rows = [row_of(record) for record in records]
        lanes = [lane_of(record) for record in records]
        if self._untallied.total() + len(lanes) < _UNTALLIED_MAX:
            self._write((_INSERT, rows))
            self._untallied.update(lanes)
        else:
            self._write((_INSERT, rows), (_TALLY, list((self._untallied + Counter(lanes)).items())))
            self._tallied_to, self._untallied = self._read_int("SELECT max(last_id) FROM tally"), Counter()
        return self._read_int("SELECT last_insert_rowid()") - len(records) + 1

    def take_over(self, spooled: Sequence[SpooledRecord]) -> None:
        """Writes records of a damaged file under the ids that they had there; call `recount` behind the last ones."""
        counts = Counter(lane_of(one.record) for one in spooled)
        self._write(
            (_TAKE_OVER, [(one.id, *row_of(one.record)) for one in spooled]),
            (_TALLY, list(counts.items())),
        )

    def recount(self) -> None:
        """Counts every record, and corrects `content` and the tally, which may be wrong in a damaged file."""
        self._write(("DELETE FROM tally", [()]), (_TALLY, list(self._count("WHERE id > ?", 0).items())))
        self._tallied_to, self._untallied, self.content = self._read_content()

    def readable(self) -> ReadableRecords:
        """Returns all records that can be read, for a fresh file; call it when the file is damaged."""
        return ReadableRecords(self._database)

    def oldest(self, *, count_max: int, bytes_max: int, after: int = 0) -> list[SpooledRecord]:
        """Reads the oldest records behind the id `after`: one, and more while they fit; none refused or damaged.

        A record that turns out to be damaged is noted in the file, and told once.
        """
        rows = self._database.execute(f"SELECT {COLUMNS} {_WAITING}", (after,))
        found = self._read_rows(rows, count_max=count_max, bytes_max=bytes_max)
        # An open cursor would hold its snapshot, and the log could not be reused.
        rows.close()
        return found

    def read(self, ids: Sequence[int], *, bytes_max: int) -> list[SpooledRecord]:
        """Reads those of the records with these ids that wait, as `oldest` does; empty where none of them is there."""
        rows = (row for number in ids for row in self._database.execute(_BY_ID, (number,)).fetchall())
        return self._read_rows(rows, count_max=len(ids), bytes_max=bytes_max)

    def _read_rows(self, rows: Iterable[Sequence[Any]], *, count_max: int, bytes_max: int) -> list[SpooledRecord]:
        found: list[SpooledRecord] = []
        damaged: list[int] = []
        size = 0
        for row in rows:
            record = read_row(row, unchecked_to=self._unchecked_to)
            if record is None:
                damaged += [row[0]] if row[0] not in self.damaged else []
                continue
            size += sum(len(value) for _, value in record.headers) + len(record.value)
            if found and size > bytes_max:
                break
            found.append(SpooledRecord(row[0], record))
            if len(found) == count_max:
                break
        if damaged:
            self._note_damaged(damaged)
        return found

    def remove(self, spooled: Sequence[SpooledRecord]) -> None:
        """Deletes these records, which Kafka has."""
        tallied = Counter(lane_of(one.record) for one in spooled if one.id <= self._tallied_to)
        ids = {one.id for one in spooled}
        self._write(
            ("DELETE FROM records WHERE id = ?", [(number,) for number in ids]),
            ("UPDATE tally SET records = records - ? WHERE endpoint = ?", [(n, name) for name, n in tallied.items()]),
        )
        self._untallied -= Counter(lane_of(one.record) for one in spooled if one.id > self._tallied_to)
        # Where a page says wrong ids, what is met cannot be deleted by its id, and would be sent again and again.
        rows = self._database.execute("SELECT id FROM records ORDER BY id LIMIT ?", (len(ids),))
        if still_there := ids & {number for (number,) in rows.fetchall()}:
            raise SpoolDamagedError(f"{len(still_there)} records are found, and not found by their ids")
        if self.oldest_ms() is None:
            # Where the disk refuses that, `shrink` tries it again.
            with contextlib.suppress(sqlite3.OperationalError):
                self._empty_log()

    def refuse(self, number: int, reason: str) -> None:
        """Marks a record that Kafka refuses: it stays, and is skipped until the file is opened again."""
        self._write(("UPDATE records SET refused = ? WHERE id = ?", [(reason, number)]))

    def has_room(self, size: int) -> bool:
        """Tries on the disk whether the file may grow by `size`, at least 8 MiB, or by half its bound if less."""
        room = min(max(size, _PROBE_BYTES), self.bytes_max // 2)
        if self.bytes_max - self.bytes_used < room:
            return False
        self._write((_UNPROBE, [()]), ("INSERT INTO probe VALUES (zeroblob(?))", [(min(room, _PROBE_BYTES),)]))
        self._write((_UNPROBE, [()]))
        return True

    def oldest_ms(self) -> int | None:
        """Returns when the oldest record that waits was received; None where none waits."""
        rows = self._database.execute(f"SELECT id, timestamp_ms {_WAITING}", (0,))
        found = next((row[1] for row in rows if row[0] not in self.damaged and isinstance(row[1], int)), None)
        rows.close()
        return found

    @property
    def bytes_used(self) -> int:
        """The bytes that the records take on the disk; freed pages are used again before the file grows."""
        pages, free = (self._read_int(f"PRAGMA {name}") for name in ("page_count", "freelist_count"))
        return (pages - free) * _PAGE_BYTES

    def shrink(self) -> None:
        """Gives unused pages and the log back to the disk; call it when nothing waits."""
        # `execute` would stop after the first page; this runs the statement to its end.
        self._database.executescript("PRAGMA incremental_vacuum(1000)")
        self._empty_log()

    def close(self) -> None:
        """Closes and unlocks the file."""
        self._database.close()

    def _empty_log(self) -> None:
        """Cuts the log to nothing: else the disk would keep there the bodies of deliveries that Kafka has."""
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _prepare(self) -> None:
        run = self._database.execute
        run(f"PRAGMA page_size = {_PAGE_BYTES}")
        run("PRAGMA auto_vacuum = INCREMENTAL")
        # This comes first, so that the index of the log is in memory and the file is locked.
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        # What is deleted is overwritten, in free pages too.
        run("PRAGMA secure_delete = ON")
        run(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        run("BEGIN EXCLUSIVE")
        upgrade(self._database, self.path)
        run("UPDATE records SET refused = NULL WHERE refused IS NOT NULL")
        run(_UNPROBE)
        # An empty file must not hold deliveries back, even if somebody deleted its records by hand.
        run("DELETE FROM tally WHERE NOT EXISTS (SELECT 1 FROM records)")
        run("COMMIT")
        # This comes last, so that a full file can be upgraded.
        run(f"PRAGMA max_page_count = {max(1, self.bytes_max // _PAGE_BYTES)}")

    def _read_content(self) -> tuple[int, Counter[str], Content]:
        """Returns the last id in the tally, the number of newer records by lane, and the content in all."""
        self.damaged = {number for (number,) in self._database.execute("SELECT id FROM damaged")}
        self.oldest(count_max=_SIGHT_RECORDS, bytes_max=_SIGHT_BYTES)
        tally: Counter[str] = Counter()
        tallied_to = 0
        for lane, count, last_id in self._database.execute("SELECT endpoint, records, last_id FROM tally"):
            if not (isinstance(lane, bytes) and isinstance(count, int) and isinstance(last_id, int)):
                raise SpoolDamagedError("the counts of the file are none")
            tallied_to = max(tallied_to, last_id)
            tally[lane.decode("utf-8", "replace")] += max(0, count)
        untallied = self._count("WHERE id > ?", tallied_to)
        aside = self._count("WHERE id IN (SELECT id FROM damaged) AND 0 <= ?", 0)
        return tallied_to, untallied, Content(tally + untallied - aside, self.oldest_ms())

    def _count(self, where: str, argument: int) -> Counter[str]:
        rows = self._database.execute(f"{_LANES} {where} GROUP BY key", (argument,))
        return Counter({lane.decode("utf-8", "replace"): count for lane, count in rows if isinstance(lane, bytes)})

    def _note_damaged(self, ids: Sequence[int]) -> None:
        _log.error("spooled_records_damaged", path=str(self.path), ids=ids)
        self.damaged.update(ids)
        # A full disk takes no note; then they are found, and told, again when the file is opened again.
        with contextlib.suppress(sqlite3.OperationalError):
            self._write(("INSERT OR IGNORE INTO damaged VALUES (?)", [(number,) for number in ids]))

    def _read_int(self, query: str) -> int:
        row = self._database.execute(query).fetchone()
        if row is None or not isinstance(row[0], int):
            raise SpoolDamagedError(f"{query}: there is no number")
        return row[0]

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
