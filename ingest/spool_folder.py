"""Which spool file is ours: the first of the folder that no other process has.

Workers beside each other have a file each, and so does a process that starts before its predecessor has ended. What a
worker left behind that is not there any more is found as well, and brought to Kafka by whoever finds it.
"""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import structlog

from ingest.spool_file import SpoolFile, SpoolInUseError, SpoolTooNewError

_log = structlog.get_logger("ingest")

_FILES_MAX = 1_000
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BESIDE = ("", "-wal")


def claim(folder: Path, *, bytes_max: int) -> SpoolFile:
    """The first file that is free, made where there is none; the folder is made too.

    A corrupt one is set aside under another name, for `sqlite3 FILE .recover` may still save what is in it.

    Raises:
        OSError, sqlite3.Error: the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(_FILES_MAX):
        path = folder / f"spool-{number}.sqlite"
        file = _open(path, bytes_max)
        if file is not None:
            return file
    raise OSError(f"{folder} has {_FILES_MAX} spool files, all in use")


def left_behind(folder: Path, *, bytes_max: int) -> Iterator[SpoolFile]:
    """The files in the folder that nobody has and that hold records."""
    for path in sorted(folder.glob("spool-*.sqlite")):
        file = _open(path, bytes_max)
        if file is None:
            continue
        if file.content.waiting:
            yield file
        else:
            file.close()


def _open(path: Path, bytes_max: int) -> SpoolFile | None:
    """The file, or None where it is not to be had."""
    try:
        return SpoolFile(path, bytes_max=bytes_max)
    except SpoolInUseError:
        return None
    except SpoolTooNewError as error:
        _log.error("spool_too_new", path=str(path), error=str(error))
        return None
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode not in _CORRUPT:
            raise
        aside = f".corrupt-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        for ending in _BESIDE:
            part = path.with_name(path.name + ending)
            if part.exists():
                part.rename(path.with_name(path.name + aside + ending))
        _log.error("spool_corrupt", path=str(path), set_aside_as=path.name + aside, error=str(error))
        return SpoolFile(path, bytes_max=bytes_max)
