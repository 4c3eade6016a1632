"""The spool as the event loop uses it: one commit for many, order per endpoint, a disk that fails and comes back."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from ingest.spool.file import SpoolFile
from ingest.spool.queue import Spool
from schemas.delivery import PendingRecord
from tests.support.waiting import UNHURRIED_MS
from tests.unit.ingest.spool.test_file import ROOM, pending


class CountingFile(SpoolFile):
    """A real file that counts its commits."""

    commits = 0

    def append(self, records):  # type: ignore[no-untyped-def] # as its parent's
        self.commits += 1
        return super().append(records)


async def put(spool: Spool, record: PendingRecord) -> bool:
    """Whether the record is on the disk, as the ingress asks for it."""
    return await spool.written(spool.enqueue(record, lambda: None))


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    opened = Spool(SpoolFile(tmp_path / "spool-0.sqlite", bytes_max=100_000))
    yield opened
    await opened.close()


async def test_many_that_wait_share_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five hundred at once cost a handful of waits for the disk, and are read back in their order."""
    # A disk that others use too may take seconds for a write.
    monkeypatch.setattr("ingest.spool.disk._WRITE_TIMEOUT_S", UNHURRIED_MS / 1_000)
    file = CountingFile(tmp_path / "spool-0.sqlite", bytes_max=ROOM)
    spool = Spool(file)
    assert all(await asyncio.gather(*(put(spool, pending(number)) for number in range(500))))
    assert file.commits <= 2
    found = await spool.oldest(count_max=1_000, bytes_max=ROOM)
    assert [one.record for one in found] == [pending(number) for number in range(500)]
    await spool.close()


async def test_an_endpoint_is_held_from_the_first_put_to_the_last_removal(spool: Spool) -> None:
    """Newer deliveries of it must go behind from the moment on at which one is on its way to the disk."""
    writing = asyncio.create_task(put(spool, pending(1)))
    await asyncio.sleep(0)
    assert (spool.holds("acme"), spool.holds("other")) == (True, False)
    assert await writing
    found = await spool.oldest(count_max=9, bytes_max=ROOM)
    assert (spool.holds("acme"), spool.waiting) == (True, 1)
    await spool.remove(found)
    assert (spool.holds("acme"), spool.waiting) == (False, 0)


async def test_what_the_disk_refuses_holds_nothing_back(spool: Spool) -> None:
    """A put that failed says so and leaves no trace; with room again the next is taken, and it is usable again."""
    assert await put(spool, pending(1, size=60_000))
    assert not await put(spool, pending(2, "other", size=60_000))
    assert (spool.usable, spool.holds("other"), spool.waiting) == (False, False, 1)
    await spool.remove(await spool.oldest(count_max=1, bytes_max=1))
    await spool.check()
    assert spool.usable
    assert await put(spool, pending(3, "other", size=60_000))


async def test_a_full_spool_stays_unusable_until_there_is_room(spool: Spool) -> None:
    """Whatever small thing still fits; told once, and once when it is over."""
    assert await put(spool, pending(1, size=60_000))
    with structlog.testing.capture_logs() as told:
        for number in range(2, 5):
            assert not await put(spool, pending(number, size=60_000))
            assert await put(spool, pending(number))
            await spool.check()
            assert not spool.usable
        await spool.remove(await spool.oldest(count_max=1, bytes_max=1))
        await spool.check()
    assert (spool.usable, spool.waiting) == (True, 3)
    assert spool.bytes_used < 50_000
    path = str(spool.path)
    assert told == [
        {"event": "spool_unusable", "path": path, "error": "database or disk is full", "log_level": "error"},
        {"event": "spool_usable_again", "path": path, "log_level": "info"},
    ]


async def test_a_successor_knows_what_waits(tmp_path: Path) -> None:
    """Counts and age come from the file."""
    first = Spool(SpoolFile(tmp_path / "spool-0.sqlite", bytes_max=ROOM))
    await asyncio.gather(*(put(first, pending(number)) for number in range(3)))
    await first.close()
    second = Spool(SpoolFile(tmp_path / "spool-0.sqlite", bytes_max=ROOM))
    assert (second.waiting, second.holds("acme"), second.oldest_ms) == (3, True, 1_774_747_800_000)
    await second.close()


async def test_a_refused_record_waits_no_more(spool: Spool) -> None:
    """It is counted apart, its endpoint is free, and it has no age that would grow for ever."""
    await put(spool, pending(1))
    (one,) = await spool.oldest(count_max=1, bytes_max=1)
    await spool.refuse(one, "too large")
    await spool.check()
    assert (spool.waiting, spool.refused, spool.holds("acme"), spool.oldest_ms) == (0, 1, False, None)


async def test_a_fault_of_the_disk_reaches_who_asked(spool: Spool) -> None:
    """Nobody waits for ever, and nothing is said to be gone that is still there."""
    await put(spool, pending(1))
    found = await spool.oldest(count_max=1, bytes_max=1)
    spool._disk._file.close()  # noqa: SLF001 as a disk that was taken away
    with pytest.raises(sqlite3.Error):
        await spool.remove(found)
    assert spool.waiting == 1
    await spool.check()
    assert not spool.usable
