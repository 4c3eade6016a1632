"""Keeps deliveries that Kafka cannot take now on this machine's disk, in their order.

All records that wait at one moment are written in one commit. Nothing here knows Kafka.

While the disk hangs, one commit stays in its thread, with its bytes; records behind it are given up when their time is
over, and new ones are refused at once.
"""

import asyncio
import sqlite3
from asyncio import Future
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.spool.disk import SpoolDisk
from ingest.spool.file import SpoolFile
from ingest.spool.lane_counts import LaneCounts
from ingest.spool.rows import SpooledRecord, lane_of
from schemas.delivery import PendingRecord

_COMMIT_RECORDS_MAX = 1_000
# While the disk hangs, a commit holds as much of the budget of bytes.
_COMMIT_BYTES_MAX = 8_388_608


@dataclass(frozen=True, slots=True)
class _Unwritten:
    """A record on its way to the disk; `release` is called once, when its bytes are not held any more."""

    record: PendingRecord
    release: Callable[[], None]


class Spool:
    """The records of an open spool file, for one event loop. `close` it at the end."""

    def __init__(self, file: SpoolFile) -> None:
        self._loop = asyncio.get_running_loop()
        self._counts = LaneCounts(file.content.waiting)
        # Records that arrive while a commit runs wait for the next one.
        self._unwritten: dict[Future[bool], _Unwritten] = {}
        self._in_commit: dict[Future[bool], _Unwritten] = {}
        self._check: Future[int | None] | None = None
        self.refused = 0
        self.oldest_ms = file.content.oldest_ms
        self._disk = SpoolDisk(file, on_salvaged=self._note_salvaged)

    @property
    def waiting(self) -> int:
        """Counts the records that wait for Kafka, without the refused ones."""
        return self._counts.total

    @property
    def bytes_used(self) -> int:
        """Returns the bytes that the records take on the disk."""
        return self._disk.bytes_used

    @property
    def usable(self) -> bool:
        """Returns whether the disk takes records, as far as is known."""
        return self._disk.usable

    @property
    def hung(self) -> bool:
        """Returns whether a call to the disk takes too long, or the last one did."""
        return self._disk.hung

    @property
    def path(self) -> Path:
        """Returns where the file is; a damaged one is replaced by another."""
        return self._disk.path

    @property
    def damaged(self) -> int:
        """Counts the records that are not as they were written, and those that could not be read at all."""
        return self._disk.damaged

    @property
    def hurt(self) -> bool:
        """Returns whether the file is damaged, and its records are not in a fresh one yet."""
        return self._disk.hurt

    @property
    def salvaging(self) -> bool:
        """Returns whether the records of a damaged file are being taken over, and no error has kept them from it."""
        return self._disk.salvaging

    @property
    def broken(self) -> bool:
        """Returns whether the thread died of a fault of this program; only a restart helps."""
        return self._disk.broken

    def holds(self, lane: str) -> bool:
        """Returns whether records of this lane are here or on their way here, so that newer ones go behind them.

        Not while a damaged file cannot be salvaged: nobody knows for how long.
        """
        return self._counts.holds(lane) and not self._disk.unsalvaged

    def enqueue(self, record: PendingRecord, release: Callable[[], None]) -> "Future[bool]":
        """Queues a record for the disk, behind those enqueued before; give the future to `written` to wait for it.

        `release` is called once, when the spool holds the record's bytes no more. A disk that hangs gets no records.
        """
        done: Future[bool] = self._loop.create_future()
        if self._disk.hung:
            release()
            done.set_result(False)
            return done
        self._counts.enqueued(lane_of(record))
        self._unwritten[done] = _Unwritten(record, release)
        if len(self._unwritten) == 1 and not self._in_commit:
            self._loop.call_soon(self._commit_gathered)
        return done

    async def written(self, done: "Future[bool]") -> bool:
        """Returns whether the enqueued record is on the disk; after False a slow disk may still write it."""
        if not await self._disk.wait_for(done):
            self._give_up(done)
        return done.result()

    async def oldest(self, *, count_max: int, bytes_max: int, after: int = 0) -> list[SpooledRecord]:
        """Reads the oldest records, as `SpoolFile.oldest` does.

        Raises:
            sqlite3.Error: the file cannot be read.
        """
        return await self._disk.call(
            lambda file: file.oldest(count_max=count_max, bytes_max=bytes_max, after=after),
            # Behind some other record there may be nothing although records wait before it.
            self._note_found if after == 0 else _note_nothing,
        )

    async def read(self, ids: Sequence[int], *, bytes_max: int) -> list[SpooledRecord]:
        """Reads records by their ids, as `SpoolFile.read` does.

        Raises:
            sqlite3.Error: the file cannot be read.
        """
        return await self._disk.call(lambda file: file.read(ids, bytes_max=bytes_max), _note_nothing)

    async def remove(self, spooled: Sequence[SpooledRecord]) -> None:
        """Removes these records, which Kafka has.

        Raises:
            sqlite3.Error: the disk refuses; the records are still here.
        """
        await self._disk.call(lambda file: file.remove(spooled), lambda _: self._counts.removed(spooled))

    async def refuse(self, spooled: SpooledRecord, reason: str) -> None:
        """Sets a record aside that Kafka refuses: it stays, blocks no other, and is published again after a restart.

        Raises:
            sqlite3.Error: the disk refuses.
        """

        def note(_: None) -> None:
            self.refused += 1
            self._counts.removed([spooled])

        await self._disk.call(lambda file: file.refuse(spooled.id, reason), note)

    async def check(self) -> None:
        """Examines the age of the oldest record and whether the disk takes writes, and gives unused room back."""
        if self._disk.salvaging:
            return
        self._check = self._check or self._disk.call(self._examine, self._note_oldest)
        if not await self._disk.wait_for(self._check):
            return
        check, self._check = self._check, None
        try:
            self.oldest_ms = check.result()
        except sqlite3.Error as error:
            self._disk.mark_unusable(str(error))

    async def close(self) -> None:
        """Closes the file; call it when nothing awaits `written` any more."""
        await self._disk.close()

    def _give_up(self, done: "Future[bool]") -> None:
        """Ends a record that nobody waits for any more; the thread may have it, and may write it late."""
        unwritten = self._unwritten.pop(done, None)
        if unwritten is not None:
            unwritten.release()
        else:
            unwritten = self._in_commit[done]
        self._counts.settled([lane_of(unwritten.record)], written=False)
        done.set_result(False)

    def _commit_gathered(self) -> None:
        """Gives the gathered records to the disk as one commit; `_settle` calls this again after the commit."""
        if self._in_commit:
            return
        size = 0
        for done, unwritten in self._unwritten.items():
            size += len(unwritten.record.value)
            if self._in_commit and (len(self._in_commit) == _COMMIT_RECORDS_MAX or size > _COMMIT_BYTES_MAX):
                break
            self._in_commit[done] = unwritten
        for done in self._in_commit:
            del self._unwritten[done]
        if self._in_commit:
            self._disk.append([one.record for one in self._in_commit.values()], self._settle)

    def _settle(self, first_id: int | None) -> None:
        """Ends the records of the commit: they are on the disk, from `first_id` on, or are not there, for None."""
        in_time = {done: one for done, one in self._in_commit.items() if not done.done()}
        self._counts.settled([lane_of(one.record) for one in in_time.values()], written=first_id is not None)
        for number, (done, one) in enumerate(self._in_commit.items()):
            one.release()
            if done in in_time:
                done.set_result(first_id is not None)
            elif first_id is not None:
                self._counts.written_late(first_id + number)
        self._in_commit = {}
        self._commit_gathered()

    def _examine(self, file: SpoolFile) -> int | None:
        """Makes the check in the thread of the disk, and returns the time of the oldest record."""
        if self._counts.holds_none:
            file.shrink()
        oldest_ms = file.oldest_ms()
        self._disk.regain_room(file)
        return oldest_ms

    def _note_found(self, found: Sequence[SpooledRecord]) -> None:
        """Corrects the count where nothing is left in the file: the counts of a damaged one may be wrong."""
        if not found:
            self._counts.recounted(Counter())

    def _note_oldest(self, oldest_ms: int | None) -> None:
        """Counts anew where records wait that are not counted, so that they are drained."""
        if oldest_ms is not None and self._counts.none_on_disk and not self._disk.hurt:
            self._disk.recount(self._note_recounted)

    def _note_recounted(self) -> None:
        self._counts.recounted(self._disk.counted)

    def _note_salvaged(self) -> None:
        self.refused = 0
        self._note_recounted()


def _note_nothing(_answer: object) -> None:
    """The answer changes no count."""
