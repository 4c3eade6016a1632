"""Keeps deliveries that Kafka cannot take now on this machine's disk.

One thread owns the file, and writes all records that wait at one moment in one commit. Nothing here knows Kafka.
"""

import asyncio
import contextlib
import sqlite3
from asyncio import Future
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

import structlog

from ingest.spool.file import SpooledRecord, SpoolFile
from schemas.delivery import PendingRecord

_log = structlog.get_logger("ingest")

# A disk that works takes less than that, and ShipStream wants its answer within 5 s:
# https://docs.shipstream.io/merchant-api/webhook
_WRITE_TIMEOUT_S = 3.0
_COMMIT_RECORDS_MAX = 1_000

CallResult = TypeVar("CallResult")


class Spool:
    """An open spool file and the thread that owns it, for one event loop. `close` it at the end."""

    def __init__(self, file: SpoolFile) -> None:
        self._file = file
        self._waiting = file.content.waiting.copy()
        self._loop = asyncio.get_running_loop()
        # Records that arrive while a commit runs wait for the next one.
        self._unwritten: list[tuple[PendingRecord, Future[bool]]] = []
        self._writing = False
        # The size of the largest commit that the disk refused; it is usable again with room for as much.
        self._refused_bytes = 0
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._run_jobs, name=f"spool {file.path.name}", daemon=True)
        self.path = file.path
        self.refused = 0
        self.oldest_ms = file.content.oldest_ms
        self.bytes_used = file.bytes_used
        self.usable = True
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Counts the records that wait for Kafka, without the refused ones."""
        return self._waiting.total()

    @property
    def broken(self) -> bool:
        """Returns whether the thread died of a fault of this program; only a restart helps."""
        return not self._thread.is_alive()

    def holds(self, endpoint: str) -> bool:
        """Returns whether records of this endpoint are here or on their way here, so that newer ones go behind them."""
        return self._waiting.get(endpoint, 0) > 0

    def enqueue(self, record: PendingRecord) -> "Future[bool]":
        """Queues a record for the disk, behind those enqueued before; give the future to `written` to wait for it."""
        self._waiting[record.endpoint] += 1
        done: Future[bool] = self._loop.create_future()
        done.add_done_callback(partial(self._settle, record.endpoint))
        self._unwritten.append((record, done))
        if not self._writing:
            self._writing = True
            self._loop.call_soon(self._commit_gathered)
        return done

    async def written(self, done: "Future[bool]") -> bool:
        """Returns whether the enqueued record is on the disk; after False a slow disk may still write it."""
        await asyncio.wait((done,), timeout=_WRITE_TIMEOUT_S)
        if not done.done():
            self._mark_unusable(f"it took longer than {_WRITE_TIMEOUT_S:.0f} s")
        return done.done() and done.result()

    async def oldest(self, *, count_max: int, bytes_max: int, after: int = 0) -> list[SpooledRecord]:
        """Reads the oldest records, as `SpoolFile.oldest` does.

        Raises:
            sqlite3.Error: the file cannot be read.
        """
        return await self._call_in_thread(
            lambda file: file.oldest(count_max=count_max, bytes_max=bytes_max, after=after)
        )

    async def remove(self, spooled: Sequence[SpooledRecord]) -> None:
        """Removes these records, which Kafka has.

        Raises:
            sqlite3.Error: the disk refuses; the records are still here.
        """
        await self._call_in_thread(lambda file: file.remove(spooled))
        self._forget([one.record.endpoint for one in spooled])

    async def refuse(self, spooled: SpooledRecord, reason: str) -> None:
        """Sets a record aside that Kafka refuses: it stays, blocks no other, and is published again after a restart.

        Raises:
            sqlite3.Error: the disk refuses.
        """
        await self._call_in_thread(lambda file: file.refuse(spooled.id, reason))
        self.refused += 1
        self._forget([spooled.record.endpoint])

    async def check(self) -> None:
        """Examines the age of the oldest record and whether the disk takes writes, and gives unused room back."""

        def examine(file: SpoolFile) -> int | None:
            if not self._waiting:
                file.shrink()
            oldest_ms = file.oldest_ms()
            if not self.usable and file.has_room(self._refused_bytes):
                # This runs in the thread, so that a write that fails afterwards is noted afterwards.
                self._refused_bytes = 0
                self._call_in_loop(self._mark_usable)
            return oldest_ms

        try:
            self.oldest_ms = await self._call_in_thread(examine)
        except sqlite3.Error as error:
            self._mark_unusable(str(error))

    async def close(self) -> None:
        """Closes the file; call it when nothing awaits `written` any more."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, _WRITE_TIMEOUT_S)

    def _commit_gathered(self) -> None:
        """Gives the gathered records to the thread as one commit; the thread calls this again after the commit."""
        now, self._unwritten = self._unwritten[:_COMMIT_RECORDS_MAX], self._unwritten[_COMMIT_RECORDS_MAX:]
        self._writing = bool(now)
        if now:
            self._jobs.put(partial(self._run_append, [record for record, _ in now], [done for _, done in now]))

    def _settle(self, endpoint: str, done: "Future[bool]") -> None:
        if not done.result():
            self._forget([endpoint])

    def _forget(self, endpoints: Sequence[str]) -> None:
        self._waiting.subtract(endpoints)
        for endpoint in set(endpoints):
            if not self._waiting[endpoint]:
                del self._waiting[endpoint]

    def _mark_usable(self) -> None:
        self.usable = True
        _log.info("spool_usable_again", path=str(self.path))

    def _mark_unusable(self, error: str) -> None:
        """Notes and logs once that the disk fails; a smaller record that still fits does not make it usable."""
        if self.usable:
            _log.error("spool_unusable", path=str(self.path), error=error)
        self.usable = False

    async def _call_in_thread(self, call: Callable[[SpoolFile], CallResult]) -> CallResult:
        done: Future[CallResult] = self._loop.create_future()
        self._jobs.put(partial(self._run_call, call, done))
        return await done

    def _run_jobs(self) -> None:
        """Runs the thread: one job after the other, until `close`."""
        while (job := self._jobs.get()) is not None:
            job()
        self._file.close()

    def _run_append(self, records: Sequence[PendingRecord], done: "Sequence[Future[bool]]") -> None:
        try:
            self._file.append(records)
            self.bytes_used = self._file.bytes_used
        except sqlite3.Error as error:
            # Records have headers, too, and do not fill their pages: so twice the size of the bodies.
            size = 2 * sum(len(record.value) for record in records)
            self._refused_bytes = max(self._refused_bytes, size)
            self._call_in_loop(partial(self._mark_unusable, str(error)))
            written = False
        else:
            written = True
        self._call_in_loop(partial(_resolve, done, written))
        self._call_in_loop(self._commit_gathered)

    def _run_call(self, call: Callable[[SpoolFile], CallResult], done: "Future[CallResult]") -> None:
        try:
            answer = call(self._file)
            self.bytes_used = self._file.bytes_used
        except sqlite3.Error as error:
            self._call_in_loop(partial(_fail, done, error))
        else:
            self._call_in_loop(partial(_resolve, [done], answer))

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
