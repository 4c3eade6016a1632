"""Deliveries that Kafka cannot take now, kept on this machine's disk until it can.

One thread owns the file; all that waits for the disk at one moment is written with one commit. Kafka is not known here.
"""

import asyncio
import contextlib
import sqlite3
from asyncio import Future
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

import structlog

from ingest.spool.file import SpooledRecord, SpoolFile
from schemas.delivery import PendingRecord

_log = structlog.get_logger("ingest")

# Longer than any disk that works takes, and inside the 5 s in which ShipStream wants its answer:
# https://docs.shipstream.io/merchant-api/webhook
_WRITE_TIMEOUT_S = 3.0
_COMMIT_RECORDS_MAX = 1_000

CallResult = TypeVar("CallResult")


@dataclass(frozen=True, slots=True)
class _Append:
    records: Sequence[PendingRecord]
    done: "Sequence[Future[bool]]"


@dataclass(frozen=True, slots=True)
class _Close:
    pass


@dataclass(frozen=True, slots=True)
class _QueuedCall:
    call: Callable[[SpoolFile], object]
    done: "Future[object]"


class Spool:
    """An open spool file and its thread, used from one event loop. `close` it."""

    def __init__(self, file: SpoolFile) -> None:
        self._file = file
        self._waiting = file.content.waiting.copy()
        self._loop = asyncio.get_running_loop()
        # What came while a commit runs goes with the next one.
        self._unwritten: list[tuple[PendingRecord, Future[bool]]] = []
        self._writing = False
        # The most that a commit held which the disk refused; it is not usable before it has room for as much.
        self._refused_bytes = 0
        self._jobs: SimpleQueue[_Append | _QueuedCall | _Close] = SimpleQueue()
        self._thread = Thread(target=self._run_jobs, name=f"spool {file.path.name}", daemon=True)
        self.path = file.path
        self.refused = 0
        self.oldest_ms = file.content.oldest_ms
        self.bytes_used = file.bytes_used
        self.usable = True
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many records wait for Kafka, without the refused ones."""
        return self._waiting.total()

    @property
    def broken(self) -> bool:
        """Whether the thread died of a fault of ours; only a restart helps."""
        return not self._thread.is_alive()

    def holds(self, endpoint: str) -> bool:
        """Whether records of this endpoint wait, or are on their way here: what comes now must go behind them."""
        return self._waiting.get(endpoint, 0) > 0

    def enqueue(self, record: PendingRecord) -> "Future[bool]":
        """The future of a record that goes to the disk, behind all that were enqueued before; await it by `written`."""
        self._waiting[record.endpoint] += 1
        done: Future[bool] = self._loop.create_future()
        done.add_done_callback(partial(self._settle, record.endpoint))
        self._unwritten.append((record, done))
        if not self._writing:
            self._writing = True
            self._loop.call_soon(self._commit_gathered)
        return done

    async def written(self, done: "Future[bool]") -> bool:
        """Whether the enqueued record is on the disk. After False it may still be written, where that was only slow."""
        await asyncio.wait((done,), timeout=_WRITE_TIMEOUT_S)
        if not done.done():
            self._mark_unusable(f"it took longer than {_WRITE_TIMEOUT_S:.0f} s")
        return done.done() and done.result()

    async def oldest(self, *, count_max: int, bytes_max: int) -> list[SpooledRecord]:
        """As `SpoolFile.oldest`.

        Raises:
            sqlite3.Error: the file cannot be read.
        """
        return await self._call_in_thread(lambda file: file.oldest(count_max=count_max, bytes_max=bytes_max))

    async def remove(self, spooled: Sequence[SpooledRecord]) -> None:
        """These are in Kafka.

        Raises:
            sqlite3.Error: the disk refuses; they are still here.
        """
        await self._call_in_thread(lambda file: file.remove(spooled))
        self._forget([one.record.endpoint for one in spooled])

    async def refuse(self, spooled: SpooledRecord, reason: str) -> None:
        """Kafka will not have this one: it stays, blocks nobody, and is tried again after the next start.

        Raises:
            sqlite3.Error: the disk refuses.
        """
        await self._call_in_thread(lambda file: file.refuse(spooled.id, reason))
        self.refused += 1
        self._forget([spooled.record.endpoint])

    async def check(self) -> None:
        """Looks whether the disk takes writes, how old the oldest record is, and gives room back."""

        def examine(file: SpoolFile) -> int | None:
            if not self._waiting:
                file.shrink()
            oldest_ms = file.oldest_ms()
            if not self.usable and file.has_room(self._refused_bytes):
                # From this thread, so that a write that fails next has the last word.
                self._refused_bytes = 0
                self._call_in_loop(self._mark_usable)
            return oldest_ms

        try:
            self.oldest_ms = await self._call_in_thread(examine)
        except sqlite3.Error as error:
            self._mark_unusable(str(error))

    async def close(self) -> None:
        """Lets the file go; call it when nobody awaits `written` any more."""
        self._jobs.put(_Close())
        await asyncio.to_thread(self._thread.join, _WRITE_TIMEOUT_S)

    def _commit_gathered(self) -> None:
        """Hands what has gathered to the thread, as one commit; called again when that is done."""
        now, self._unwritten = self._unwritten[:_COMMIT_RECORDS_MAX], self._unwritten[_COMMIT_RECORDS_MAX:]
        self._writing = bool(now)
        if now:
            self._jobs.put(_Append([record for record, _ in now], [done for _, done in now]))

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
        """Once, until there is room again. A smaller record that still fits is no sign of it."""
        if self.usable:
            _log.error("spool_unusable", path=str(self.path), error=error)
        self.usable = False

    async def _call_in_thread(self, call: Callable[[SpoolFile], CallResult]) -> CallResult:
        done: Future[CallResult] = self._loop.create_future()
        self._jobs.put(_QueuedCall(call, done))  # type: ignore[arg-type] # futures are invariant
        return await done

    def _run_jobs(self) -> None:
        """The thread."""
        while not isinstance(job := self._jobs.get(), _Close):
            if isinstance(job, _Append):
                self._run_append(job)
            else:
                self._run_call(job)
        self._file.close()

    def _run_append(self, job: _Append) -> None:
        try:
            self._file.append(job.records)
            self.bytes_used = self._file.bytes_used
        except sqlite3.Error as error:
            # Twice, for there are headers too, and pages are not filled to their ends.
            size = 2 * sum(len(record.value) for record in job.records)
            self._refused_bytes = max(self._refused_bytes, size)
            self._call_in_loop(partial(self._mark_unusable, str(error)))
            written = False
        else:
            written = True
        self._call_in_loop(partial(_resolve, job.done, written))
        self._call_in_loop(self._commit_gathered)

    def _run_call(self, job: _QueuedCall) -> None:
        try:
            answer = job.call(self._file)
            self.bytes_used = self._file.bytes_used
        except sqlite3.Error as error:
            self._call_in_loop(partial(_fail, job.done, error))
        else:
            self._call_in_loop(partial(_resolve, [job.done], answer))

    def _call_in_loop(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # The loop is gone, and nobody waits any more.
            self._loop.call_soon_threadsafe(call)


def _resolve(futures: "Sequence[Future[CallResult]]", answer: CallResult) -> None:
    for future in futures:
        if not future.done():
            future.set_result(answer)


def _fail(future: "Future[object]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
