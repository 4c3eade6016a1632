"""Reads all that can be read of a damaged spool file, by ranges of ids, around what cannot.

A page that is damaged makes SQLite end a query with an error. So each range of ids is read from its beginning to the
first error and from its end to the first error, and what is left between is halved and read in the same way.
"""

import sqlite3
from collections import deque
from collections.abc import Generator, Iterator

from ingest.spool.rows import COLUMNS, SpooledRecord, read_row

Rows = Generator[tuple[object, ...], None, int | None]

# So many errors take some seconds. What is not read then is in a part of the file of which nothing can be read.
_ERRORS_MAX = 100_000
_IDS_MAX = 2**62
# A record with its headers takes more than that of the disk.
_RECORD_BYTES_MIN = 100
_DAMAGED = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH}
)
# Bytes that the disk does not give back are damage, too; other errors of the disk pass, or are of the whole disk. After
# an fsync that failed, a later one proves nothing of this file: Linux takes its pages for written.
_UNTRUSTED = frozenset(
    {
        *(sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS),
        *(sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC),
    }
)


class SpoolDamagedError(sqlite3.DatabaseError):
    """The file says what this program never wrote."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_damage(error: sqlite3.Error) -> bool:
    """Returns whether the file itself is damaged; no statement of the spool breaks a constraint of a sound file."""
    return primary_code(error) in _DAMAGED or getattr(error, "sqlite_errorcode", 0) in _UNTRUSTED


def primary_code(error: sqlite3.Error) -> int:
    """Returns SQLite's code without the details in its higher bits; 0 where the error is not SQLite's own."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)) & 0xFF


def lock_damaged(path: str) -> sqlite3.Connection:
    """Returns a connection that reads the file as it is; nobody else opens the file meanwhile.

    Raises:
        sqlite3.Error: another process has it, or nothing of it can be read.
    """
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    try:
        database.text_factory = bytes
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        database.close()
        raise
    return database


class ReadableRecords:
    """Iterates over the records that can be read and are as they were written, in no order.

    Afterwards `damaged` counts the records that are not as they were written, and `unreadable` the ids that cannot be
    read: at most so many records are lost.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._errors_left = _ERRORS_MAX
        self.damaged = 0
        self.unreadable = 0

    def __iter__(self) -> Iterator[SpooledRecord]:
        known = {name for _, name, *_ in self._database.execute("PRAGMA table_info(records)")}
        columns = COLUMNS if b"checksum" in known or "checksum" in known else COLUMNS.replace("checksum", "NULL")
        unchecked_to = self._read_int("SELECT last_id FROM unchecked") if columns == COLUMNS else _IDS_MAX
        for row in self._rows(columns):
            record = read_row(row, unchecked_to=_IDS_MAX if unchecked_to is None else unchecked_to)
            if record is None or not isinstance(row[0], int):
                self.damaged += 1
            else:
                yield SpooledRecord(row[0], record)
        pages = self._read_int("PRAGMA page_count") or 0
        page_bytes = self._read_int("PRAGMA page_size") or 0
        self.unreadable = min(self.unreadable, pages * page_bytes // _RECORD_BYTES_MIN)

    def faults(self) -> str:
        """Returns the first faults that SQLite itself finds."""
        try:
            found = self._database.execute("PRAGMA quick_check(5)").fetchall()
        except sqlite3.Error as error:
            return str(error)
        return "; ".join(str(row[0], "utf-8", "replace") if isinstance(row[0], bytes) else str(row[0]) for row in found)

    def _rows(self, columns: str) -> Iterator[tuple[object, ...]]:
        # The widest ranges come first, so that what can be read is found before the errors are used up.
        ranges = deque([(1, self._last_id())])
        while ranges:
            first, last = ranges.popleft()
            if self._errors_left > 0:
                reached = yield from self._scan(columns, first, last, "ASC")
                if reached is None:
                    continue
                first = reached + 1
                reached = yield from self._scan(columns, first, last, "DESC")
                if reached is None:
                    continue
                last = reached - 1
            if first >= last or self._errors_left <= 0:
                self.unreadable += max(0, last - first + 1)
            else:
                middle = (first + last) // 2
                ranges += [(first, middle), (middle + 1, last)]

    def _scan(self, columns: str, first: int, last: int, order: str) -> Rows:
        """Yields the rows from one end on; returns the last id before the first error, None if there is no error."""
        forward = order == "ASC"
        reached = first - 1 if forward else last + 1
        rows = self._database.execute("SELECT 1")
        try:
            query = f"SELECT {columns} FROM records WHERE id BETWEEN ? AND ? ORDER BY id {order}"  # noqa: S608 own words
            rows = self._database.execute(query, (first, last))
            for row in rows:
                # The ids of damaged pages may be anything; each range must become smaller.
                if isinstance(row[0], int) and (reached < row[0] <= last if forward else first <= row[0] < reached):
                    reached = row[0]
                    yield row
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self._errors_left -= 1
            return reached
        finally:
            rows.close()
        return None

    def _last_id(self) -> int:
        asked = [
            self._read_int(query)
            for query in ("SELECT seq FROM sqlite_sequence WHERE name = 'records'", "SELECT max(id) FROM records")
        ]
        return max((one for one in asked if one is not None), default=_IDS_MAX)

    def _read_int(self, query: str) -> int | None:
        try:
            row = self._database.execute(query).fetchone()
        except sqlite3.Error:
            return None
        return row[0] if row is not None and isinstance(row[0], int) else None
