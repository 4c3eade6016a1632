"""A disk that hangs or is slow: nothing is held for ever, nobody is held back, and what was written late is found."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest
from structlog.testing import capture_logs

from ingest.spool.file import SpoolFile
from ingest.spool.queue import Spool
from schemas.delivery import PendingRecord
from tests.support.waiting import PATIENCE_S, until
from tests.unit.ingest.spool.test_file import ROOM, pending


class HangingFile(SpoolFile):
    """A real file whose disk hangs for as long as `answers` is not set."""

    def __init__(self, path: Path) -> None:
        self.answers = Event()
        self.answers.set()
        super().__init__(path, bytes_max=100 * ROOM)

    def append(self, records):  # type: ignore[no-untyped-def] # as its parent's
        assert self.answers.wait(PATIENCE_S)
        return super().append(records)

    def oldest_ms(self) -> int | None:
        assert self.answers.wait(PATIENCE_S)
        return super().oldest_ms()


@dataclass
class Hanging:
    """A spool on such a disk, and what it holds of the budget."""

    file: HangingFile
    spool: Spool
    monkeypatch: pytest.MonkeyPatch
    held: list[PendingRecord] = field(default_factory=list)

    def hang(self) -> None:
        """The disk answers no call from now on, and is known to hang after a short while."""
        self.monkeypatch.setattr("ingest.spool.disk._WRITE_TIMEOUT_S", 0.2)
        self.file.answers.clear()

    def answer(self) -> None:
        """The disk answers again, and has all the time that a busy machine takes."""
        self.monkeypatch.setattr("ingest.spool.disk._WRITE_TIMEOUT_S", PATIENCE_S)
        self.file.answers.set()

    async def put(self, record: PendingRecord) -> bool:
        """Whether the record is on the disk, as the ingress asks for it."""
        self.held.append(record)
        return await self.spool.written(self.spool.enqueue(record, lambda: self.held.remove(record)))


@pytest.fixture
async def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hanging]:
    file = HangingFile(tmp_path / "spool-0.sqlite")
    made = Hanging(file, Spool(file), monkeypatch)
    assert await made.put(pending(0))
    (first,) = await made.spool.oldest(count_max=9, bytes_max=ROOM)
    await made.spool.remove([first])
    made.hang()
    yield made
    made.answer()
    await made.spool.close()


async def test_a_hung_disk_holds_one_commit_and_no_endpoint(hanging: Hanging) -> None:
    """What waits behind the commit is given up and forgotten; what comes then is refused at once."""
    spool = hanging.spool
    first = asyncio.create_task(hanging.put(pending(1)))
    await until(lambda: bool(spool._in_commit))  # noqa: SLF001 it is in the thread now
    others = [hanging.put(pending(number, "other")) for number in range(2, 500)]
    assert await asyncio.gather(first, *others) == [False] * 499
    assert (spool.hung, spool.usable, spool.waiting) == (True, False, 0)
    assert (spool.holds("acme"), spool.holds("other")) == (False, False)
    assert hanging.held == [pending(1)]
    for number in range(500, 2_000):
        assert spool.enqueue(pending(number), lambda: None).done()
    assert spool._unwritten == {}  # noqa: SLF001 what it holds in memory


async def test_what_was_written_late_is_found_when_the_disk_is_back(hanging: Hanging) -> None:
    """It waits for the drain and holds its endpoint no more, for it was answered 503; usable again, by itself."""
    spool = hanging.spool
    assert not await hanging.put(pending(1))
    hanging.answer()
    while spool.hung or not spool.usable:
        await spool.check()
    assert (spool.waiting, spool.holds("acme"), hanging.held) == (1, False, [])
    assert await hanging.put(pending(2))
    assert (spool.waiting, spool.holds("acme")) == (2, True)
    found = await spool.oldest(count_max=9, bytes_max=ROOM)
    assert [one.record for one in found] == [pending(1), pending(2)]
    await spool.remove(found[:1])
    assert (spool.waiting, spool.holds("acme")) == (1, True)
    await spool.remove(found[1:])
    assert (spool.waiting, spool.holds("acme")) == (0, False)


async def test_checks_of_a_hung_disk_end_and_do_not_pile_up(hanging: Hanging) -> None:
    """Each says that it hangs, told once; one alone waits in the thread."""
    with capture_logs() as told:
        for _ in range(5):
            await hanging.spool.check()
            # The thread may have begun a moment after the check did.
            await until(lambda: hanging.spool.hung)
        assert hanging.spool._disk._jobs.qsize() == 0  # noqa: SLF001 the thread has the only one
        hanging.answer()
        while not hanging.spool.usable:
            await hanging.spool.check()
    assert [line["event"] for line in told] == ["spool_unusable", "spool_usable_again"]


async def test_a_commit_is_bounded_by_bytes(hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a hung disk holds no more of the budget than one commit, whatever the size of the bodies."""
    monkeypatch.setattr("ingest.spool.queue._COMMIT_BYTES_MAX", 50_000)
    results = await asyncio.gather(*(hanging.put(pending(number, size=20_000)) for number in range(1, 9)))
    assert results == [False] * 8
    assert sum(len(record.value) for record in hanging.held) <= 50_000
    hanging.answer()
    await until(lambda: not hanging.held)
