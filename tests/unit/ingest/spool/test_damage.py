"""A damaged spool file costs what is damaged, and nothing else: a row, a page, the counts, at rest and in use."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ingest.spool.file import SpoolFile
from ingest.spool.folder import claim, left_behind
from ingest.spool.queue import Spool
from schemas.delivery import PendingRecord
from tests.support.waiting import until
from tests.unit.ingest.spool.test_file import ROOM, VERSION_1, everything, pending
from tests.unit.ingest.spool.test_queue import put

PAGE = 4_096
WIDE = 100 * ROOM


def spooled(path: Path, count: int, size: int = 900) -> list[PendingRecord]:
    """A closed file of so many records, four to a page."""
    records = [pending(number, size=size) for number in range(count)]
    file = SpoolFile(path, bytes_max=WIDE)
    file.append(records)
    file.close()
    return records


def page_of(path: Path, number: int) -> int:
    """Where the page of a record begins."""
    return path.read_bytes().index(pending(number, size=900).value) // PAGE * PAGE


def overwrite(path: Path, start: int, content: bytes) -> None:
    """Writes beside SQLite, as a failing disk does."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


def drained(file: SpoolFile) -> list[PendingRecord]:
    """All records of the file in their order, by steps as the drain takes them."""
    found = []
    while step := file.oldest(count_max=500, bytes_max=4 * ROOM):
        file.remove(step)
        found += [one.record for one in step]
    return found


@pytest.mark.parametrize("what", [b"application/json", b"acmeacme", b"1..", b"\xc3\xbf"])
def test_a_wrong_byte_costs_its_record_alone(tmp_path: Path, what: bytes) -> None:
    """In headers, endpoint and key, body: the record is told once with its id, kept, counted, and never sent."""
    path = tmp_path / "spool-0.sqlite"
    records = spooled(path, 3, size=10)
    whole = path.read_bytes()
    at = whole.index(what, whole.index(b"1......") - 200)
    overwrite(path, at, bytes([whole[at] ^ 0x81]))
    with capture_logs() as told:
        file = claim(tmp_path, bytes_max=ROOM)
        wrong = file.damaged
        good = [one for number, one in enumerate(records, 1) if number not in wrong]
        assert len(wrong) == 1
        assert drained(file) == good
        assert file.content.waiting.total() == 2
        file.close()
        again = claim(tmp_path, bytes_max=ROOM)
        assert (drained(again), again.damaged, again.content.waiting.total()) == ([], wrong, 0)
        again.close()
    assert [(line["event"], line["ids"]) for line in told] == [("spooled_records_damaged", [*wrong])]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM records").fetchone() == (1,)


def test_no_flipped_bit_of_a_row_is_ever_sent(tmp_path: Path) -> None:
    """Whatever byte of the page is wrong: what is read is as it was written."""
    path = tmp_path / "spool-0.sqlite"
    records = spooled(path, 4)
    whole = path.read_bytes()
    start = page_of(path, 2)
    for offset in range(0, PAGE, 41):
        for other in tmp_path.iterdir():
            other.unlink()
        path.write_bytes(whole)
        overwrite(path, start + offset, bytes([whole[start + offset] ^ 0x10]))
        file = claim(tmp_path, bytes_max=ROOM)
        assert [one for one in everything(file) if one not in records] == [], offset
        file.close()


@pytest.mark.parametrize("pages", [(600,), (0,), (1_199,), (100, 101, 700, 1_100)])
def test_a_damaged_page_costs_its_rows_when_the_file_is_opened(tmp_path: Path, pages: tuple[int, ...]) -> None:
    """All other rows of 1,200 are in a fresh file; the damaged one is kept under another name, told and counted."""
    path = tmp_path / "spool-0.sqlite"
    records = spooled(path, 1_200)
    for page in [page_of(path, number) for number in pages]:
        overwrite(path, page, b"\xee" * PAGE)
    with capture_logs() as told:
        file = claim(tmp_path, bytes_max=WIDE)
        found = drained(file)
    assert found == [one for one in records if one in found]
    assert 1_200 - 5 * len(pages) <= len(found) < 1_200
    assert file.lost == 1_200 - len(found)
    assert file.content.waiting.total() == len(found)
    file.close()
    (aside,) = tmp_path.glob("spool-0.sqlite.corrupt-*")
    assert aside.stat().st_size > 1_000_000
    assert [(line["event"], line["set_aside_as"], line["salvaged"]) for line in told] == [
        ("spool_damaged", aside.name, len(found))
    ]
    assert list(left_behind(tmp_path, bytes_max=WIDE).unread) == [aside]


def test_a_damaged_page_above_others_costs_what_is_below_it(tmp_path: Path) -> None:
    """Not the whole file, which has many such pages."""
    path = tmp_path / "spool-0.sqlite"
    records = spooled(path, 8_000)
    whole = path.read_bytes()
    interior = [at for at in range(PAGE, len(whole), PAGE) if whole[at] == 5]
    overwrite(path, interior[1], b"\xee" * PAGE)
    file = claim(tmp_path, bytes_max=WIDE)
    found = drained(file)
    assert 4_000 < len(found) < 8_000
    lost_from = next(number for number, one in enumerate(found) if one != records[number])
    assert found == records[:lost_from] + records[lost_from + file.lost :]
    file.close()


async def empty(spool: Spool, into: list[PendingRecord]) -> None:
    """Takes all records out, by steps as the drain does."""
    while step := await spool.oldest(count_max=500, bytes_max=ROOM):
        await spool.remove(step)
        into += [one.record for one in step]


async def run_over(path: Path, harm: Callable[[], None]) -> tuple[list[PendingRecord], Spool, list[str]]:
    """What a spool in use gives after the harm, the spool, and what it logged."""
    spool = Spool(SpoolFile(path, bytes_max=WIDE))
    found: list[PendingRecord] = []
    with capture_logs() as told:
        harm()
        await empty(spool, found)
        assert await put(spool, pending(9_999))
    return found, spool, [line["event"] for line in told]


async def test_a_page_damaged_in_use_costs_its_rows_alone(tmp_path: Path) -> None:
    """The spool goes on in a fresh file, without a restart: what can be read is drained, what comes is written."""
    path = tmp_path / "spool-0.sqlite"
    records = spooled(path, 6_000)
    page = page_of(path, 5_000)
    found, spool, told = await run_over(path, lambda: overwrite(path, page, b"\xee" * PAGE))
    assert found == [one for one in records if one in found]
    assert 5_995 <= len(found) < 6_000
    assert (spool.damaged, spool.waiting, spool.hurt) == (6_000 - len(found), 1, False)
    assert told == ["spool_damaged"]
    assert spool.path != path
    await spool.close()


async def test_what_is_met_but_not_found_by_its_id_is_not_sent_for_ever(tmp_path: Path) -> None:
    """A page with ids in the wrong order: the drain ends."""
    path = tmp_path / "spool-0.sqlite"
    spooled(path, 4_000)
    whole = path.read_bytes()
    page = page_of(path, 3_000)
    # The page of a table: 8 bytes, then where each row is; here the first one and the last one change places.
    rows = int.from_bytes(whole[page + 3 : page + 5], "big")
    first, last = whole[page + 8 : page + 10], whole[page + 6 + 2 * rows : page + 8 + 2 * rows]

    def harm() -> None:
        overwrite(path, page + 8, last)
        overwrite(path, page + 6 + 2 * rows, first)

    found, spool, _ = await run_over(path, harm)
    values = {one.value for one in found}
    assert 4_000 - rows <= len(values) <= 4_000
    assert len(found) <= 4_000 + rows
    await spool.close()


@pytest.mark.parametrize("count", [0, 5, 100_000])
async def test_wrong_counts_hold_nothing_back_and_hide_nothing(tmp_path: Path, count: int) -> None:
    """Too many, too few, of nobody: the drain ends, and no endpoint is held any more."""
    path = tmp_path / "spool-0.sqlite"
    file = SpoolFile(path, bytes_max=WIDE)
    file.append([pending(number) for number in range(10_000)])
    file.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE tally SET records = ?, endpoint = 'nobody'", (count,))
    spool = Spool(SpoolFile(path, bytes_max=WIDE))
    left = 10_000
    while left:
        await spool.check()
        await until(lambda: bool(spool.waiting))
        step = await spool.oldest(count_max=500, bytes_max=ROOM)
        await spool.remove(step)
        left -= len(step)
    assert await spool.oldest(count_max=1, bytes_max=ROOM) == []
    assert (spool.waiting, spool.holds("acme"), spool.holds("nobody")) == (0, False, False)
    await spool.close()


async def test_a_damaged_file_that_cannot_be_salvaged_yet_is_tried_again(tmp_path: Path) -> None:
    """While there is no room for a fresh file, errors are told once, and no endpoint is held; then all goes on."""
    path = tmp_path / "spool" / "spool-0.sqlite"
    path.parent.mkdir()
    spooled(path, 6_000)
    spool = Spool(SpoolFile(path, bytes_max=WIDE))
    page = page_of(path, 5_000)
    away = tmp_path / "away"
    with capture_logs() as told:
        overwrite(path, page, b"\xee" * PAGE)
        path.parent.rename(away)
        for _ in range(3):
            with pytest.raises(sqlite3.DatabaseError):
                await empty(spool, [])
        assert (spool.hurt, spool.salvaging, spool.holds("acme")) == (True, False, False)
        away.rename(path.parent)
        await spool.check()
        assert (spool.hurt, spool.holds("acme")) == (False, True)
    assert [line["event"] for line in told] == ["spool_not_salvaged", "spool_damaged"]
    await spool.close()


def test_a_file_of_an_older_version_gets_checksums_for_what_comes(tmp_path: Path) -> None:
    """What is there is not written anew, and is taken as it is; where its headers are none, it is set aside."""
    path = tmp_path / "spool-0.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(VERSION_1)
    whole = path.read_bytes()
    at = whole.index(b'[["h"')
    overwrite(path, at, b"x")
    file = SpoolFile(path, bytes_max=ROOM)
    file.append([pending(1)])
    assert file.damaged == {7}
    assert [one.id for one in file.oldest(count_max=9, bytes_max=ROOM)] == [8, 9]
    file.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT checksum IS NULL FROM records ORDER BY id").fetchall() == [(1,), (1,), (0,)]
        database.execute("UPDATE records SET checksum = NULL")
        database.commit()
    file = SpoolFile(path, bytes_max=ROOM)
    assert file.damaged == {7, 9}
    file.close()
