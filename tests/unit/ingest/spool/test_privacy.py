"""The spool is for its owner alone, and a drained body is on the disk no more."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ingest.spool.file import SpoolFile
from ingest.spool.folder import claim
from tests.unit.ingest.spool.test_file import ROOM, everything, pending


@pytest.fixture(params=[0o000, 0o022, 0o177])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """The rights of the folder and of all that is in it."""
    return {path.name: oct(path.stat().st_mode & 0o777) for path in (folder, *folder.iterdir())}


def test_folder_file_and_log_are_for_their_owner_alone(tmp_path: Path, umask: int) -> None:
    """Whatever the umask."""
    folder = tmp_path / "spool"
    if umask == 0o177:  # A folder that is made so could not be entered.
        folder.mkdir()
        folder.chmod(0o700)
    file = claim(folder, bytes_max=ROOM)
    file.append([pending(1)])
    assert modes(folder) == {"spool": "0o700", "spool-0.sqlite": "0o600", "spool-0.sqlite-wal": "0o600"}
    file.close()


def test_what_was_there_before_is_closed_to_others(tmp_path: Path) -> None:
    """Folder, files in use or not, their logs, and what was set aside."""
    folder = tmp_path / "spool"
    folder.mkdir()
    file = SpoolFile(folder / "spool-0.sqlite", bytes_max=ROOM)
    file.append([pending(1)])
    names = ("spool-1.sqlite", "spool-1.sqlite-wal", "spool-1.sqlite-shm", "spool-0.sqlite.corrupt-20261127T000000Z")
    for name in names:
        (folder / name).write_bytes(b"")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o777)
    own = claim(folder, bytes_max=ROOM)
    assert set(modes(folder).values()) == {"0o700", "0o600"}
    assert everything(file) == [pending(1)]
    own.close()
    file.close()


def test_rights_that_cannot_be_taken_away_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a volume of somebody else's the spool works all the same."""

    def refuse(path: Path, _mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    folder = tmp_path / "spool"
    folder.mkdir()
    folder.chmod(0o775)
    monkeypatch.setattr(Path, "chmod", refuse)
    with capture_logs() as told:
        claim(folder, bytes_max=ROOM).close()
    assert [(line["event"], line["path"]) for line in told] == [("spool_open_to_others", str(folder))]


def places(folder: Path, marker: bytes) -> list[str]:
    """The files in which the marker is."""
    return [path.name for path in folder.iterdir() if marker in path.read_bytes()]


@pytest.mark.parametrize("size", [100, 3_000, 300_000])
def test_a_drained_body_is_on_the_disk_no_more(tmp_path: Path, size: int) -> None:
    """As soon as nothing waits: not in the database, its free pages or its log; a refused one stays whole."""
    file = claim(tmp_path, bytes_max=100 * ROOM)
    gone, kept = b"anna@example.com", b"otto@example.com"
    for number in range(30):
        record = pending(number)
        file.append([record._replace(value=(kept if number == 7 else gone).ljust(size, b"-"))])
    assert places(tmp_path, gone) != []
    for one in file.oldest(count_max=100, bytes_max=100 * ROOM):
        if one.record.value.startswith(kept):
            file.refuse(one.id, "too large")
        else:
            file.remove([one])
    assert places(tmp_path, gone) == []
    assert places(tmp_path, kept) != []
    file.close()
    assert places(tmp_path, gone) == []
