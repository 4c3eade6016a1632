"""The tables of the spool's file, and how a file of an older version is brought up to date."""

import sqlite3
from pathlib import Path

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
    # The rows of before keep no checksum: to give them one, the whole file would be written anew.
    """
ALTER TABLE records ADD COLUMN checksum INTEGER;
CREATE TABLE unchecked (last_id INTEGER NOT NULL) STRICT;
INSERT INTO unchecked SELECT ifnull(max(id), 0) FROM records;
CREATE TABLE damaged (id INTEGER PRIMARY KEY) STRICT;
""",
    # From here on column `endpoint` of the tally has the lane: the records' key, which is the endpoint without lanes.
    """
DELETE FROM tally;
INSERT INTO tally SELECT CAST(key AS TEXT), count(*), max(id) FROM records GROUP BY key;
""",
)

VERSION = len(_UPGRADES)


class SpoolTooNewError(Exception):
    """A newer version of this program made the file."""


def upgrade(database: sqlite3.Connection, path: Path) -> None:
    """Brings the tables up to date, within the transaction that is open.

    Raises:
        SpoolTooNewError: this version cannot read the file.
        sqlite3.Error: it is damaged, or the disk refuses.
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise SpoolTooNewError(f"{path} is of version {version}; this program knows {VERSION}")
    for number, statements in enumerate(_UPGRADES[version:], version + 1):
        for statement in statements.split(";\n"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {number}")
