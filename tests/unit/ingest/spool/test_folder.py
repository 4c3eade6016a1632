"""The spool's folder: whose a file is, what others left behind, and what becomes of files that cannot be read."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from ingest.spool.file import SpoolFile, SpoolInUseError
from ingest.spool.folder import LeftBehind, claim, left_behind
from tests.unit.ingest.spool.test_file import ROOM, everything, pending


def test_a_file_belongs_to_one_process(tmp_path: Path) -> None:
    """Who comes second gets another file; what the first leaves behind is found when it has let go."""
    first = claim(tmp_path / "spool", bytes_max=ROOM)
    with pytest.raises(SpoolInUseError):
        SpoolFile(first.path, bytes_max=ROOM)
    second = claim(tmp_path / "spool", bytes_max=ROOM)
    assert [first.path.name, second.path.name] == ["spool-0.sqlite", "spool-1.sqlite"]
    first.append([pending(1)])
    assert left_behind(tmp_path / "spool", bytes_max=ROOM) == LeftBehind([], {})
    first.close()
    (found,) = left_behind(tmp_path / "spool", bytes_max=ROOM).files
    assert everything(found) == [pending(1)]
    found.close()
    second.close()


def test_a_file_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    """What lies around it is found, it is named with its fault, and who needs a file takes the next one."""
    (tmp_path / "spool-0.sqlite").mkdir()
    for name in ("spool-1.sqlite", "spool-4.sqlite"):
        file = SpoolFile(tmp_path / name, bytes_max=ROOM)
        file.append([pending(1)])
        file.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "spool-2.sqlite")) as database:
        database.execute("PRAGMA user_version = 9")
    (tmp_path / "spool-3.sqlite").write_bytes(b"this is no database, whatever it is called" * 300)
    there = left_behind(tmp_path, bytes_max=ROOM)
    assert [file.path.name for file in there.files] == ["spool-1.sqlite", "spool-4.sqlite"]
    (aside,) = tmp_path.glob("spool-3.sqlite.corrupt-*")
    assert there.unread == {
        tmp_path / "spool-0.sqlite": "unable to open database file",
        tmp_path / "spool-2.sqlite": f"{tmp_path}/spool-2.sqlite is of version 9; this program knows 4",
        aside: "it was damaged and set aside; save what is in it, then take it away",
    }
    own = claim(tmp_path, bytes_max=ROOM)
    assert own.path.name == "spool-3.sqlite"
    for file in (own, *there.files):
        file.close()


def test_a_folder_that_cannot_be_looked_into_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    """It is named itself, with its fault."""
    folder = tmp_path / "spool"
    folder.write_text("a file where the folder should be")
    assert list(left_behind(folder, bytes_max=ROOM).unread) == [folder]


def overwritten(whole: bytes, start: int, end: int) -> bytes:
    return whole[:start] + b"\xee" * (end - start) + whole[end:]


def damaged(whole: bytes, where: str) -> bytes:
    """What is left of the file."""
    if where == "everywhere":
        return b"this is no database, whatever it is called" * 300
    if where == "behind the first page":
        return overwritten(whole, 4_096, len(whole))
    page = whole.index(pending(400).value) // 4_096 * 4_096
    return overwritten(whole, page, page + 4_096)


@pytest.mark.parametrize("where", ["everywhere", "behind the first page", "where the drain begins"])
def test_a_damaged_file_is_set_aside_and_kept(tmp_path: Path, where: str) -> None:
    """The ingress goes on with a fresh one; the damaged one has another name, for a person to save what is in it."""
    path = tmp_path / "spool-0.sqlite"
    file = SpoolFile(path, bytes_max=10 * ROOM)
    file.append([pending(number) for number in range(10_000)])
    file.close()
    path.write_bytes(damaged(path.read_bytes(), where))
    fresh = claim(tmp_path, bytes_max=10 * ROOM)
    assert fresh.path.name == "spool-1.sqlite"
    assert (fresh.content.waiting.total() > 9_900) is (where == "where the drain begins")
    fresh.close()
    for name in ("spool-0.sqlite.corrupt-*", "spool-1.sqlite"):
        (there,) = tmp_path.glob(name)
        assert there.stat().st_size > 0


def test_two_damaged_files_of_one_name_are_both_kept(tmp_path: Path) -> None:
    """Also where both are set aside within one second."""
    for number in range(3):
        (tmp_path / "spool-0.sqlite").write_bytes(f"this is no database, number {number}, ".encode() * 300)
        claim(tmp_path, bytes_max=ROOM).close()
        (tmp_path / "spool-1.sqlite").unlink(missing_ok=True)
    kept = [path.read_bytes()[:28] for path in tmp_path.glob("spool-0.sqlite.corrupt-*")]
    assert sorted(kept) == [f"this is no database, number {number}"[:28].encode() for number in range(3)]


def test_a_folder_full_of_files_of_others_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where other processes have every file, there is no spool, and the sentence names the folder."""
    monkeypatch.setattr("ingest.spool.folder._FILES_MAX", 2)
    others = [claim(tmp_path, bytes_max=ROOM) for _ in range(2)]
    with pytest.raises(OSError, match=f"^{tmp_path} has 2 spool files, and none can be had$"):
        claim(tmp_path, bytes_max=ROOM)
    others[1].close()
    freed = claim(tmp_path, bytes_max=ROOM)
    assert freed.path.name == "spool-1.sqlite"
    for file in (others[0], freed):
        file.close()
