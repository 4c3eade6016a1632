"""Finds the spool file of this process: the first in the folder that no other process has.

Workers beside each other have a file each, and so does a process that starts before its predecessor has ended. A worker
also opens the files that dead workers left behind, and brings their deliveries to Kafka.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from ingest.spool.file import SpoolFile, SpoolInUseError, SpoolTooNewError

_log = structlog.get_logger("ingest")

_FILES_MAX = 1_000
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# After these errors of the disk another file would fail, too.
_OF_THE_DISK = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_WAL = "-wal"


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Files with records that no process had, open now; and why other files cannot be read, by path."""

    files: Sequence[SpoolFile]
    unread: Mapping[Path, str]


def claim(folder: Path, *, bytes_max: int) -> SpoolFile:
    """Opens the first file that no other process has, and makes file and folder where they are missing.

    A corrupt file is set aside under another name, for `sqlite3 FILE .recover` may still save its records.

    Raises:
        OSError, sqlite3.Error: the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(_FILES_MAX):
        path = folder / f"spool-{number}.sqlite"
        is_new = not path.exists()
        try:
            return _open_file(path, bytes_max)
        except (SpoolInUseError, SpoolTooNewError):
            continue
        except sqlite3.Error as error:
            if is_new or _code(error) in _OF_THE_DISK:
                raise
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
            if file.content.waiting:
                files.append(file)
            else:
                file.close()
        for path in _paths(folder, "spool-*.sqlite.corrupt-*"):
            unread[path] = "it was corrupt and set aside; save what is in it, then take it away"
    except OSError as error:
        unread[folder] = str(error)
    return LeftBehind(files, unread)


def _paths(folder: Path, pattern: str) -> Sequence[Path]:
    # Not `glob`, which takes a folder that cannot be listed for an empty one.
    return sorted(path for path in folder.iterdir() if path.match(pattern) and not path.name.endswith(_WAL))


def _open_file(path: Path, bytes_max: int) -> SpoolFile:
    """Opens the file, or a fresh one where it is corrupt; raises as `SpoolFile`, and OSError."""
    try:
        return SpoolFile(path, bytes_max=bytes_max)
    except sqlite3.DatabaseError as error:
        if _code(error) not in _CORRUPT:
            raise
        aside = f".corrupt-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        for ending in ("", _WAL):
            part = path.with_name(path.name + ending)
            if part.exists():
                part.rename(path.with_name(path.name + aside + ending))
        _log.error("spool_corrupt", path=str(path), set_aside_as=path.name + aside, error=str(error))
        return SpoolFile(path, bytes_max=bytes_max)


def _code(error: sqlite3.Error) -> int:
    """Returns SQLite's primary code, without the details in its higher bits."""
    return error.sqlite_errorcode & 0xFF
