"""Finds the spool file of this process: the first in the folder that no other process has.

Workers beside each other have a file each, and so does a process that starts before its predecessor has ended. A worker
also opens the files that dead workers left behind, and brings their deliveries to Kafka. Of a damaged file, all records
that can be read go on in a fresh file; the damaged one is kept under another name.
"""

import contextlib
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from ingest.spool.file import SpoolFile, SpoolInUseError
from ingest.spool.rows import SpooledRecord
from ingest.spool.salvage import ReadableRecords, is_damage, lock_damaged, primary_code
from ingest.spool.tables import SpoolTooNewError

_log = structlog.get_logger("ingest")

_FILES_MAX = 1_000
# After these errors of the disk another file would fail, too.
_OF_THE_DISK = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_WAL = "-wal"
_FOLDER_MODE, _FILE_MODE, _OTHERS = 0o700, 0o600, 0o077
# So much of a damaged file is taken over in one commit.
_COMMIT_RECORDS = 500
_COMMIT_BYTES = 4_194_304


_Told = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Files with records that no process had, open now; and why other files cannot be read, by path."""

    files: Sequence[SpoolFile]
    unread: Mapping[Path, str]


def claim(folder: Path, *, bytes_max: int) -> SpoolFile:
    """Opens the first file that no other process has, and makes file and folder where they are missing.

    Of a damaged file, the records that can be read are in the file that is returned.

    Raises:
        OSError, sqlite3.Error: the disk refuses.
    """
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    for number in range(_FILES_MAX):
        path = folder / f"spool-{number}.sqlite"
        is_new = not path.exists()
        try:
            if is_new:
                with contextlib.suppress(FileExistsError):
                    _make(path)
            file = _open_file(path, bytes_max)
        except (SpoolInUseError, SpoolTooNewError):
            continue
        except sqlite3.Error as error:
            if is_new or primary_code(error) in _OF_THE_DISK:
                raise
        else:
            _close_to_others(folder)
            return file
    raise OSError(f"{folder} has {_FILES_MAX} spool files, and none can be had")


def left_behind(folder: Path, *, bytes_max: int) -> LeftBehind:
    """Opens all files that no process has; a file that cannot be read hides no other."""
    files, unread = [], {}
    try:
        for path in _paths(folder, "spool-*.sqlite"):
            try:
                file = _open_file(path, bytes_max)
            except SpoolInUseError:
                continue
            except (OSError, SpoolTooNewError, sqlite3.Error) as error:
                unread[path] = str(error)
                continue
            if file.content.waiting or file.damaged or file.lost:
                files.append(file)
            else:
                file.close()
        for path in _paths(folder, "spool-*.sqlite.corrupt-*"):
            unread[path] = "it was damaged and set aside; save what is in it, then take it away"
    except OSError as error:
        unread[folder] = str(error)
    return LeftBehind(files, unread)


def _paths(folder: Path, pattern: str) -> Sequence[Path]:
    # Not `glob`, which takes a folder that cannot be listed for an empty one.
    return sorted(path for path in folder.iterdir() if path.match(pattern) and not path.name.endswith(_WAL))


def salvage(file: SpoolFile, error: sqlite3.Error) -> SpoolFile:
    """Returns a fresh file with all records of a damaged one that can be read; sets the damaged one aside.

    A process that dies meanwhile leaves both, and the records that are in both reach Kafka twice.

    Raises:
        OSError, sqlite3.Error: the disk refuses; the damaged file is open still, and nothing has changed.
    """
    fresh, told = _take_over(file.path, file.readable(), bytes_max=file.bytes_max)
    file.close()
    _log.error("spool_damaged", path=str(file.path), error=str(error), set_aside_as=_set_aside(file.path), **told)
    return fresh


def _open_file(path: Path, bytes_max: int) -> SpoolFile:
    """Opens the file, or a fresh one with all that can be read of it; raises as `SpoolFile`, and OSError."""
    try:
        return SpoolFile(path, bytes_max=bytes_max)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        reason = str(error)
    told: _Told
    try:
        database = lock_damaged(str(path))
    except sqlite3.DatabaseError as error:
        if primary_code(error) == sqlite3.SQLITE_BUSY:
            raise SpoolInUseError(str(path)) from error
        if not is_damage(error):
            raise
        fresh, told = _create(path.parent, bytes_max), {"salvaged": 0, "faults": str(error)}
    else:
        try:
            fresh, told = _take_over(path, ReadableRecords(database), bytes_max=bytes_max)
        finally:
            database.close()
    _log.error("spool_damaged", path=str(path), error=reason, set_aside_as=_set_aside(path), **told)
    return fresh


def _take_over(path: Path, records: ReadableRecords, *, bytes_max: int) -> tuple[SpoolFile, _Told]:
    """Returns a fresh file with the records, and what is to be told about it."""
    faults = records.faults()
    # The bound may be lower today than it was when the damaged file grew.
    fresh = _create(path.parent, max(bytes_max, 2 * path.stat().st_size))
    count = 0
    try:
        batch: list[SpooledRecord] = []
        size = 0
        for one in records:
            batch.append(one)
            size += len(one.record.value)
            if len(batch) == _COMMIT_RECORDS or size > _COMMIT_BYTES:
                fresh.take_over(batch)
                count, batch, size = count + len(batch), [], 0
        fresh.take_over(batch)
        fresh.recount()
    except BaseException:
        fresh.close()
        fresh.path.unlink()
        raise
    fresh.lost = records.damaged + records.unreadable
    facts: _Told = {"damaged": records.damaged, "unreadable": records.unreadable, "faults": faults}
    return fresh, {"salvaged": count + len(batch), "salvaged_into": fresh.path.name, **facts}


def _create(folder: Path, bytes_max: int) -> SpoolFile:
    """Makes a file that was not there before."""
    for number in range(_FILES_MAX):
        path = folder / f"spool-{number}.sqlite"
        try:
            _make(path)
            return SpoolFile(path, bytes_max=bytes_max)
        except (FileExistsError, SpoolInUseError):  # Another process takes what lies there with nobody's lock.
            continue
    raise OSError(f"{folder} has {_FILES_MAX} spool files, and there is no room for another one")


def _make(path: Path) -> None:
    """Makes an empty file for its owner alone, whatever the umask; SQLite makes the log as the file is.

    Raises:
        FileExistsError: it is there. It is not opened: to close it again would unlock it, where this process has it.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _FILE_MODE)
    try:
        os.fchmod(descriptor, _FILE_MODE)
    finally:
        os.close(descriptor)


def _close_to_others(folder: Path) -> None:
    """Takes from others the rights to folder and files that are there; what is not ours is told, and left as it is."""
    try:
        paths = [(folder, _FOLDER_MODE), *((path, _FILE_MODE) for path in sorted(folder.glob("spool-*.sqlite*")))]
        for path, mode in paths:
            if path.is_dir() == (path is folder) and path.stat().st_mode & _OTHERS:
                path.chmod(mode)
    except OSError as error:
        _log.warning("spool_open_to_others", path=str(error.filename or folder), error=str(error))


def _set_aside(path: Path) -> str:
    """Gives the file, which is closed, another name, and returns that."""
    name = f"{path.name}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    taken = sum(other.name.startswith(name) and not other.name.endswith(_WAL) for other in path.parent.iterdir())
    aside = path.with_name(f"{name}-{taken}" if taken else name)
    for ending in ("", _WAL):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    return aside.name
