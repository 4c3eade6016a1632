"""Keeps deliveries that Kafka cannot take now on this machine's disk.

One thread owns the file, and writes all records that wait at one moment in one commit. Nothing here knows Kafka.

A disk can hang: no call returns, and nothing ends the call. Then one commit stays in the thread, with its bytes;
records behind it are given up when their time is over, and new ones are refused at once.
"""

import asyncio
import contextlib
import sqlite3
import time
from asyncio import Future
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

import structlog

from ingest.spool.file import SpoolFile
from ingest.spool.folder import salvage
from ingest.spool.rows import SpooledRecord, lane_of
from ingest.spool.salvage import is_damage
from schemas.delivery import PendingRecord

_log = structlog.get_logger("ingest")

# A disk that works takes less than that, and ShipStream wants its answer within 5 s:
# https://docs.shipstream.io/merchant-api/webhook
_WRITE_TIMEOUT_S = 3.0
_COMMIT_RECORDS_MAX = 1_000
# While the disk hangs, a commit holds as much of the budget of bytes.
_COMMIT_BYTES_MAX = 8_388_608

CallResult = TypeVar("CallResult")


@dataclass(frozen=True, slots=True)
class _Unwritten:
    """A record on its way to the disk; `release` is called once, when its bytes are not held any more."""

    record: PendingRecord
    release: Callable[[], None]


class Spool:
    """An open spool file and the thread that owns it, for one event loop. `close` it at the end."""

    def __init__(self, file: SpoolFile) -> None:
        self._file = file
        self._waiting = file.content.waiting.copy()
        # Records of which it is not known yet whether they are on the disk; they are among those that wait.
        self._unsettled: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        # Records that were written when nobody waited for them any more: they are drained, and hold no endpoint.
        self._late: set[int] = set()
        # Records that arrive while a commit runs wait for the next one.
        self._unwritten: dict[Future[bool], _Unwritten] = {}
        self._in_commit: dict[Future[bool], _Unwritten] = {}
        # When the job that runs in the thread began, and whether the last one took too long.
        self._began_at: float | None = None
        self._was_slow = False
        self._check: Future[int | None] | None = None
        # The size of the largest commit that the disk refused; it is usable again with room for as much.
        self._refused_bytes = 0
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._run_jobs, name=f"spool {file.path.name}", daemon=True)
        # Why the file cannot be used as it is: it is damaged, and its records are being taken over into a fresh one.
        self._damage: sqlite3.Error | None = None
        self._unsalvaged = ""
        self.refused = 0
        self.oldest_ms = file.content.oldest_ms
        self.bytes_used = file.bytes_used
        self._has_room = True
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Counts the records that wait for Kafka, without the refused ones."""
        return self._waiting.total() + len(self._late)

    @property
    def usable(self) -> bool:
        """Returns whether the disk takes records, as far as is known."""
        return self._has_room and not self.hung

    @property
    def hung(self) -> bool:
        """Returns whether a call to the disk takes too long, or the last one did."""
        began_at = self._began_at
        runs_long = began_at is not None and time.monotonic() - began_at > _WRITE_TIMEOUT_S
        return (runs_long and not self.hurt) or self._was_slow

    @property
    def path(self) -> Path:
        """Returns where the file is; a damaged one is replaced by another."""
        return self._file.path

    @property
    def damaged(self) -> int:
        """Counts the records that are not as they were written, and those that could not be read at all."""
        return len(self._file.damaged) + self._file.lost

    @property
    def hurt(self) -> bool:
        """Returns whether the file is damaged, and its records are not in a fresh one yet."""
        return self._damage is not None

    @property
    def salvaging(self) -> bool:
        """Returns whether the records of a damaged file are being taken over, and no error has kept them from it."""
        return self.hurt and not self._unsalvaged

    @property
    def broken(self) -> bool:
        """Returns whether the thread died of a fault of this program; only a restart helps."""
        return not self._thread.is_alive()

    def holds(self, lane: str) -> bool:
        """Returns whether records of this lane are here or on their way here, so that newer ones go behind them.

        Not while a damaged file cannot be salvaged: nobody knows for how long.
        """
        return not self._unsalvaged and self._waiting.get(lane, 0) > 0

    def enqueue(self, record: PendingRecord, release: Callable[[], None]) -> "Future[bool]":
        """Queues a record for the disk, behind those enqueued before; give the future to `written` to wait for it.

        `release` is called once, when the spool holds the record's bytes no more. A disk that hangs gets no records.
        """
        done: Future[bool] = self._loop.create_future()
        if self.hung:
            release()
            done.set_result(False)
            return done
        self._waiting[lane_of(record)] += 1
        self._unsettled[lane_of(record)] += 1
        self._unwritten[done] = _Unwritten(record, release)
        if len(self._unwritten) == 1 and not self._in_commit:
            self._loop.call_soon(self._commit_gathered)
        return done

    async def written(self, done: "Future[bool]") -> bool:
        """Returns whether the enqueued record is on the disk; after False a slow disk may still write it."""
        await asyncio.wait((done,), timeout=_WRITE_TIMEOUT_S)
        if not done.done():
            self._give_up(done)
        return done.result()

    def _give_up(self, done: "Future[bool]") -> None:
        """Ends a record that nobody waits for any more; the thread may have it, and may write it late."""
        self._mark_slow()
        unwritten = self._unwritten.pop(done, None)
        if unwritten is not None:
            unwritten.release()
        else:
            unwritten = self._in_commit[done]
        self._uncount([lane_of(unwritten.record)], written=False)
        done.set_result(False)

    async def oldest(self, *, count_max: int, bytes_max: int, after: int = 0) -> list[SpooledRecord]:
        """Reads the oldest records, as `SpoolFile.oldest` does.

        Raises:
            sqlite3.Error: the file cannot be read.
        """
        return await self._call_in_thread(
            lambda file: file.oldest(count_max=count_max, bytes_max=bytes_max, after=after),
            # Behind some other record there may be nothing although records wait before it.
            self._note_found if after == 0 else _note_nothing,
        )

    async def remove(self, spooled: Sequence[SpooledRecord]) -> None:
        """Removes these records, which Kafka has.

        Raises:
            sqlite3.Error: the disk refuses; the records are still here.
        """
        await self._call_in_thread(lambda file: file.remove(spooled), lambda _: self._forget(spooled))

    async def refuse(self, spooled: SpooledRecord, reason: str) -> None:
        """Sets a record aside that Kafka refuses: it stays, blocks no other, and is published again after a restart.

        Raises:
            sqlite3.Error: the disk refuses.
        """

        def note(_: None) -> None:
            self.refused += 1
            self._forget([spooled])

        await self._call_in_thread(lambda file: file.refuse(spooled.id, reason), note)

    async def check(self) -> None:
        """Examines the age of the oldest record and whether the disk takes writes, and gives unused room back."""

        def examine(file: SpoolFile) -> int | None:
            if not self._waiting:
                file.shrink()
            oldest_ms = file.oldest_ms()
            if not self._has_room and file.has_room(self._refused_bytes):
                # This runs in the thread, so that a write that fails afterwards is noted afterwards.
                self._refused_bytes = 0
                self._call_in_loop(self._mark_usable)
            return oldest_ms

        if self.salvaging:
            return
        self._check = self._check or self._submit(examine, self._note_oldest)
        await asyncio.wait((self._check,), timeout=_WRITE_TIMEOUT_S)
        if not self._check.done():
            self._mark_slow()
            return
        check, self._check = self._check, None
        try:
            self.oldest_ms = check.result()
        except sqlite3.Error as error:
            self._mark_unusable(str(error))

    async def close(self) -> None:
        """Closes the file; call it when nothing awaits `written` any more."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, _WRITE_TIMEOUT_S)

    def _commit_gathered(self) -> None:
        """Gives the gathered records to the thread as one commit; the thread calls this again after the commit."""
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
            self._jobs.put(partial(self._run_append, [one.record for one in self._in_commit.values()]))

    def _settle(self, first_id: int | None) -> None:
        """Ends the records of the commit: they are on the disk, from `first_id` on, or are not there, for None."""
        in_time = {done: one for done, one in self._in_commit.items() if not done.done()}
        self._uncount([lane_of(one.record) for one in in_time.values()], written=first_id is not None)
        for number, (done, one) in enumerate(self._in_commit.items()):
            one.release()
            if done in in_time:
                done.set_result(first_id is not None)
            elif first_id is not None:
                self._late.add(first_id + number)
        self._in_commit = {}
        self._commit_gathered()

    def _uncount(self, lanes: Sequence[str], *, written: bool) -> None:
        """Notes that it is known now whether the records are on the disk."""
        counted = Counter(lanes)
        self._unsettled -= counted
        if not written:
            self._waiting -= counted

    def _forget(self, spooled: Sequence[SpooledRecord]) -> None:
        # Minus leaves out what is not above 0.
        self._waiting -= Counter(lane_of(one.record) for one in spooled if one.id not in self._late)
        self._late -= {one.id for one in spooled}

    def _note_found(self, found: Sequence[SpooledRecord]) -> None:
        """Corrects the count where nothing is left in the file: the counts of a damaged one may be wrong."""
        if not found:
            self._waiting = self._unsettled.copy()
            self._late.clear()

    def _note_oldest(self, oldest_ms: int | None) -> None:
        """Counts anew where records wait that are not counted, so that they are drained."""
        if oldest_ms is not None and self._waiting == self._unsettled and not (self._late or self._damage):
            self._jobs.put(partial(self._run_call, SpoolFile.recount, None, lambda _: self._note_recounted()))

    def _note_salvaged(self) -> None:
        self.refused = 0
        self._note_recounted()

    def _note_recounted(self) -> None:
        self._waiting = self._file.content.waiting + self._unsettled
        self._late.clear()

    def _mark_usable(self) -> None:
        self._has_room = True
        _log.info("spool_usable_again", path=str(self.path))

    def _mark_unusable(self, error: str) -> None:
        """Notes and logs once that the disk fails; a smaller record that still fits does not make it usable."""
        if self._has_room:
            _log.error("spool_unusable", path=str(self.path), error=error)
        self._has_room = False

    def _mark_slow(self) -> None:
        self._mark_unusable(f"it took longer than {_WRITE_TIMEOUT_S:.0f} s")

    async def _call_in_thread(
        self, call: Callable[[SpoolFile], CallResult], note: Callable[[CallResult], None]
    ) -> CallResult:
        return await self._submit(call, note)

    def _submit(
        self, call: Callable[[SpoolFile], CallResult], note: Callable[[CallResult], None]
    ) -> "Future[CallResult]":
        """Runs the call in the thread; `note` sees its answer before the answer to any later call."""
        done: Future[CallResult] = self._loop.create_future()
        self._jobs.put(partial(self._run_call, call, done, note))
        return done

    def _run_jobs(self) -> None:
        """Runs the thread: one job after the other, until `close`."""
        while (job := self._jobs.get()) is not None:
            self._began_at = time.monotonic()
            job()
            self._was_slow = time.monotonic() - self._began_at > _WRITE_TIMEOUT_S
            self._began_at = None
        self._file.close()

    def _run_append(self, records: Sequence[PendingRecord]) -> None:
        try:
            first_id = self._run_on_file(lambda file: file.append(records))
        except sqlite3.Error as error:
            # Records have headers, too, and do not fill their pages: so twice the size of the bodies.
            size = 2 * sum(len(record.value) for record in records)
            self._refused_bytes = max(self._refused_bytes, size)
            self._call_in_loop(partial(self._mark_unusable, str(error)))
            first_id = None
        self._call_in_loop(partial(self._settle, first_id))

    def _run_call(
        self,
        call: Callable[[SpoolFile], CallResult],
        done: "Future[CallResult] | None",
        note: Callable[[CallResult], None],
    ) -> None:
        try:
            answer = self._run_on_file(call)
        except sqlite3.Error as error:
            if done is not None:
                self._call_in_loop(partial(_fail, done, error))
        else:
            self._call_in_loop(partial(note, answer))
            if done is not None:
                self._call_in_loop(partial(_resolve, [done], answer))

    def _run_on_file(self, call: Callable[[SpoolFile], CallResult]) -> CallResult:
        """Runs the call in the thread; where the file is damaged, a second time, on a fresh file."""
        try:
            if self._damage is not None:
                raise self._damage
            answer = call(self._file)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self._replace_file(error)
            answer = call(self._file)
        self.bytes_used = self._file.bytes_used
        return answer

    def _replace_file(self, damage: sqlite3.Error) -> None:
        """Takes the records of the damaged file over into a fresh one; after an error the next call tries again."""
        self._damage = damage
        try:
            self._file = salvage(self._file, damage)
        except (OSError, sqlite3.Error) as error:
            if str(error) != self._unsalvaged:
                _log.error("spool_not_salvaged", path=str(self.path), error=str(error), damage=str(damage))
            self._unsalvaged = str(error)
            raise damage from error
        self._damage, self._unsalvaged = None, ""
        # A large file takes its time; that is no sign of a disk that hangs.
        self._began_at = time.monotonic()
        self._call_in_loop(self._note_salvaged)

    def _call_in_loop(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # The loop is closed, and nothing waits any more.
            self._loop.call_soon_threadsafe(call)


def _resolve(futures: "Sequence[Future[CallResult]]", answer: CallResult) -> None:
    for future in futures:
        if not future.done():
            future.set_result(answer)


def _fail(future: "Future[CallResult]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _note_nothing(_answer: object) -> None:
    """The answer changes no count."""
