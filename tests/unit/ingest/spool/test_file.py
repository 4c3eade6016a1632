"""The spool's file: what was written is there, whatever happened to the process, the disk or the version since."""

import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.spool.file import Content, SpoolFile
from ingest.spool.folder import claim
from ingest.spool.tables import SpoolTooNewError
from schemas.delivery import PendingRecord

ROOM = 1_048_576
HEADERS = [("content-type", b"application/json"), ("x-odd", b"\x00\xff"), ("x-odd", b"")]


def pending(number: int, endpoint: str = "acme", size: int = 10) -> PendingRecord:
    value = str(number).encode().ljust(size, b".")
    return PendingRecord(endpoint, endpoint.encode(), value, HEADERS, 1_774_747_800_000 + number)


def everything(file: SpoolFile) -> list[PendingRecord]:
    return [one.record for one in file.oldest(count_max=1_000, bytes_max=ROOM)]


def test_records_come_back_as_they_were_and_in_their_order(tmp_path: Path) -> None:
    """Key, value, headers with their repeats and any byte, and the time; oldest first, of all endpoints together."""
    records = [pending(1), pending(2, "other"), pending(3)]
    file = SpoolFile(tmp_path / "spool-0.sqlite", bytes_max=ROOM)
    file.append(records[:1])
    file.append(records[1:])
    assert everything(file) == records
    file.close()
    again = SpoolFile(tmp_path / "spool-0.sqlite", bytes_max=ROOM)
    assert everything(again) == records
    assert again.content == Content(Counter({"acme": 2, "other": 1}), 1_774_747_800_001)
    again.close()


@given(value=st.binary(max_size=200), headers=st.lists(st.tuples(st.text("abc-_é", min_size=1), st.binary())))
def test_any_bytes_are_kept(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    """No body and no header value is changed."""
    record = PendingRecord("acme", b"acme#3", value, headers, 0)
    file = SpoolFile(Path(":memory:"), bytes_max=ROOM)
    file.append([record])
    assert everything(file) == [record]
    file.close()


def test_a_step_is_bounded_by_count_and_by_bytes(tmp_path: Path) -> None:
    """At most so many records, and no more bytes, but always one."""
    file = SpoolFile(tmp_path / "spool-0.sqlite", bytes_max=ROOM)
    file.append([pending(number, size=1_000) for number in range(5)])
    assert [len(file.oldest(count_max=count, bytes_max=size)) for count, size in ((2, ROOM), (9, 2_500), (9, 1))] == [
        2,
        2,
        1,
    ]
    file.close()


def test_what_is_removed_or_refused_is_passed_over(tmp_path: Path) -> None:
    """A removed record is gone; a refused one stays, and is tried again when the file is opened again."""
    path = tmp_path / "spool-0.sqlite"
    file = SpoolFile(path, bytes_max=ROOM)
    file.append([pending(number) for number in range(4)])
    first, second, *rest = file.oldest(count_max=9, bytes_max=ROOM)
    file.remove([first])
    file.refuse(second.id, "too large")
    assert (everything(file), file.oldest_ms()) == ([pending(2), pending(3)], 1_774_747_800_002)
    for one in rest:
        file.refuse(one.id, "too large")
    assert (everything(file), file.oldest_ms()) == ([], None)
    file.close()
    again = SpoolFile(path, bytes_max=ROOM)
    assert everything(again) == [pending(1), pending(2), pending(3)]
    again.close()


def test_a_torn_tail_costs_only_what_was_never_acknowledged(tmp_path: Path) -> None:
    """A log that ends in the middle of a commit, as after the loss of power, gives every commit before it."""
    path = tmp_path / "spool-0.sqlite"
    file = SpoolFile(path, bytes_max=ROOM)
    file.append([pending(1)])
    file.append([pending(2)])
    whole = (tmp_path / "spool-0.sqlite-wal").stat().st_size
    file.append([pending(3, size=20_000)])
    torn = tmp_path / "torn"
    torn.mkdir()
    for part in ("spool-0.sqlite", "spool-0.sqlite-wal"):
        shutil.copy(tmp_path / part, torn / part)
    file.close()
    with (torn / "spool-0.sqlite-wal").open("r+b") as log:
        log.truncate(whole + 9_000)
    again = SpoolFile(torn / "spool-0.sqlite", bytes_max=ROOM)
    assert everything(again) == [pending(1), pending(2)]
    again.close()


def test_a_full_file_takes_nothing_and_changes_nothing_until_there_is_room(tmp_path: Path) -> None:
    """Its bound is its own full disk: the record that does not fit fails whole, and what leaves makes room."""
    file = SpoolFile(tmp_path / "spool-0.sqlite", bytes_max=100_000)
    file.append([pending(1, size=50_000)])
    with pytest.raises(sqlite3.OperationalError, match="full"):
        file.append([pending(2), pending(3, size=50_000)])
    assert everything(file) == [pending(1, size=50_000)]
    file.remove(file.oldest(count_max=1, bytes_max=1))
    file.append([pending(2), pending(3, size=50_000)])
    assert everything(file) == [pending(2), pending(3, size=50_000)]
    assert (tmp_path / "spool-0.sqlite").stat().st_size <= 100_000
    file.close()


def test_an_empty_file_gives_the_disk_back(tmp_path: Path) -> None:
    """After a long night the spool is small again."""
    path = tmp_path / "spool-0.sqlite"
    file = SpoolFile(path, bytes_max=100 * ROOM)
    file.append([pending(number, size=10_000) for number in range(200)])
    file.remove(file.oldest(count_max=1_000, bytes_max=100 * ROOM))
    assert file.bytes_used < 50_000
    file.shrink()
    file.close()
    assert path.stat().st_size < 50_000


VERSION_1 = """
CREATE TABLE records (id INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, key BLOB NOT NULL,
    timestamp_ms INTEGER NOT NULL, headers BLOB NOT NULL, value BLOB NOT NULL, refused TEXT) STRICT;
CREATE TABLE probe (id INTEGER PRIMARY KEY, turn INTEGER NOT NULL) STRICT;
INSERT INTO probe VALUES (0, 0);
INSERT INTO records VALUES
    (7, 'acme', x'61636d65', 1774747800001, CAST('[["h","\u00ff"]]' AS BLOB), x'00ff', 'too large'),
    (8, 'other', x'6f74686572', 1774747800002, CAST('[]' AS BLOB), x'', NULL);
PRAGMA user_version = 1;
"""


@pytest.mark.parametrize("bytes_max", [ROOM, 5 * 4_096])
def test_a_file_of_version_1_is_read(tmp_path: Path, bytes_max: int) -> None:
    """Written here as the first version wrote it, byte for byte of its tables; also where it is full already."""
    path = tmp_path / "spool-0.sqlite"
    database = sqlite3.connect(path)
    database.executescript(VERSION_1)
    database.close()
    for _ in range(2):
        file = SpoolFile(path, bytes_max=bytes_max)
        assert file.content == Content(Counter({"acme": 1, "other": 1}), 1_774_747_800_001)
        assert everything(file) == [
            PendingRecord("acme", b"acme", b"\x00\xff", [("h", b"\xff")], 1_774_747_800_001),
            PendingRecord("other", b"other", b"", [], 1_774_747_800_002),
        ]
        file.close()
    file = SpoolFile(path, bytes_max=bytes_max)
    file.remove(file.oldest(count_max=1, bytes_max=1))
    file.append([pending(2)])
    file.close()
    file = SpoolFile(path, bytes_max=bytes_max)
    assert file.content == Content(Counter({"acme": 1, "other": 1}), 1_774_747_800_002)
    file.close()


def test_a_file_knows_at_once_what_is_in_it_however_much_came_and_went(tmp_path: Path) -> None:
    """By endpoint, across many openings, with more records than are counted one by one, and past refusals."""
    path = tmp_path / "spool-0.sqlite"
    held: list[str] = []
    for names in (["acme"] * 7_000, ["other"] * 2_000 + ["acme"] * 3_000, ["acme", "third"] * 6_000, ["third"]):
        file = SpoolFile(path, bytes_max=100 * ROOM)
        assert file.content.waiting == Counter(held)
        for start in range(0, len(names), 900):
            file.append([pending(number, name) for number, name in enumerate(names[start : start + 900])])
        with pytest.raises(sqlite3.OperationalError, match="full"):
            file.append([pending(0, size=100 * ROOM)])
        file.remove(file.oldest(count_max=800, bytes_max=ROOM))
        held = (held + names)[800:]
        file.close()
    file = SpoolFile(path, bytes_max=100 * ROOM)
    everyone = file.oldest(count_max=100_000, bytes_max=100 * ROOM)
    assert [one.record.endpoint for one in everyone] == held
    file.remove(everyone[:-3])
    file.close()
    file = SpoolFile(path, bytes_max=100 * ROOM)
    assert file.content.waiting == Counter({"third": 2, "acme": 1})
    file.remove(everyone[-3:])
    file.close()
    file = SpoolFile(path, bytes_max=100 * ROOM)
    assert file.content == Content(Counter(), None)
    file.close()


def test_an_empty_file_holds_nobody_back(tmp_path: Path) -> None:
    """Also where somebody else took the records out, and the counts were left."""
    path = tmp_path / "spool-0.sqlite"
    file = SpoolFile(path, bytes_max=10 * ROOM)
    file.append([pending(number) for number in range(10_000)])
    file.close()
    database = sqlite3.connect(path)
    database.execute("DELETE FROM records")
    database.commit()
    database.close()
    file = SpoolFile(path, bytes_max=ROOM)
    assert file.content == Content(Counter(), None)
    file.append([pending(1)])
    file.close()
    file = SpoolFile(path, bytes_max=ROOM)
    assert file.content.waiting == Counter({"acme": 1})
    file.close()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """It is refused with both versions named, and the folder's next name is taken."""
    path = tmp_path / "spool-0.sqlite"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(SpoolTooNewError, match="version 9; this program knows 4"):
        SpoolFile(path, bytes_max=ROOM)
    file = claim(tmp_path, bytes_max=ROOM)
    assert file.path.name == "spool-1.sqlite"
    file.close()
