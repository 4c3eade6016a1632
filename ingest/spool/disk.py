"""Runs what the spool does on its disk: one thread owns the file, and makes one call after the other.

A disk can be full: then it gets no room back until a probe fits. A disk can hang: no call returns, and nothing ends the
call; it stays in the thread. A file can be damaged: then its records are taken over into a fresh one, and the call is
made again there. Nothing here knows which records wait, or for whom.
"""

import asyncio
import contextlib
import sqlite3
import time
from asyncio import Future
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

import structlog

from ingest.spool.file import SpoolFile
from ingest.spool.folder import salvage
from ingest.spool.salvage import is_damage
from schemas.delivery import PendingRecord

_log = structlog.get_logger("ingest")

# A disk that works takes less than that, and ShipStream wants its answer within 5 s:
# https://docs.shipstream.io/merchant-api/webhook
_WRITE_TIMEOUT_S = 3.0

CallResult = TypeVar("CallResult")


class SpoolDisk:
    """An open spool file and the thread that owns it, for one event loop. `close` it at the end.

    `on_salvaged` is called in the event loop when a fresh file has what could be read of a damaged one.
    """

    def __init__(self, file: SpoolFile, *, on_salvaged: Callable[[], None]) -> None:
        self._file = file
        self._on_salvaged = on_salvaged
        self._loop = asyncio.get_running_loop()
        # When the job that runs in the thread began, and whether the last one took too long.
        self._began_at: float | None = None
        self._was_slow = False
        self._has_room = True
        # The size of the largest commit that the disk refused; it is usable again with room for as much.
        self._refused_bytes = 0
        # Why the file cannot be used as it is: it is damaged, and its records are being taken over into a fresh one.
        self._damage: sqlite3.Error | None = None
        # The error that kept the records from that, as long as it does.
        self.unsalvaged = ""
        self.bytes_used = file.bytes_used
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._run_jobs, name=f"spool {file.path.name}", daemon=True)
        self._thread.start()

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
    def counted(self) -> Counter[str]:
        """Returns how many records of each lane waited in the file when its records were counted last."""
        return self._file.content.waiting

    @property
    def hurt(self) -> bool:
        """Returns whether the file is damaged, and its records are not in a fresh one yet."""
        return self._damage is not None

    @property
    def salvaging(self) -> bool:
        """Returns whether the records of a damaged file are being taken over, and no error has kept them from it."""
        return self.hurt and not self.unsalvaged

    @property
    def broken(self) -> bool:
        """Returns whether the thread died of a fault of this program; only a restart helps."""
        return not self._thread.is_alive()

    def append(self, records: Sequence[PendingRecord], on_appended: Callable[[int | None], None]) -> None:
        """Writes the records in one commit; `on_appended` gets the first id, or None where the disk refuses them."""
        self._jobs.put(partial(self._run_append, records, on_appended))

    def call(self, call: Callable[[SpoolFile], CallResult], note: Callable[[CallResult], None]) -> "Future[CallResult]":
        """Makes the call in the thread; `note` sees its answer before the answer to any later call.

        The future ends with the sqlite3.Error where the disk fails.
        """
        done: Future[CallResult] = self._loop.create_future()
        self._jobs.put(partial(self._run_call, call, done, note))
        return done

    def recount(self, on_recounted: Callable[[], None]) -> None:
        """Counts every record in the file; where the disk fails, `on_recounted` is not called."""
        self._jobs.put(partial(self._run_call, SpoolFile.recount, None, lambda _: on_recounted()))

    async def wait_for(self, done: "Future[CallResult]") -> bool:
        """Waits as long as a disk that works may take, and returns whether the future is done."""
        await asyncio.wait((done,), timeout=_WRITE_TIMEOUT_S)
        if not done.done():
            self.mark_unusable(f"it took longer than {_WRITE_TIMEOUT_S:.0f} s")
        return done.done()

    def regain_room(self, file: SpoolFile) -> None:
        """Tries in the thread whether a disk that was full takes as much again as it refused."""
        if not self._has_room and file.has_room(self._refused_bytes):
            # This runs in the thread, so that a write that fails afterwards is noted afterwards.
            self._refused_bytes = 0
            self._call_in_loop(self._mark_usable)

    def mark_unusable(self, error: str) -> None:
        """Notes and logs once that the disk fails; a smaller record that still fits does not make it usable."""
        if self._has_room:
            _log.error("spool_unusable", path=str(self.path), error=error)
        self._has_room = False

    async def close(self) -> None:
        """Closes the file when all calls before are made, or leaves a disk that hangs to itself."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, _WRITE_TIMEOUT_S)

    def _mark_usable(self) -> None:
        self._has_room = True
        _log.info("spool_usable_again", path=str(self.path))

    def _run_jobs(self) -> None:
        """Runs the thread: one job after the other, until `close`."""
        while (job := self._jobs.get()) is not None:
            self._began_at = time.monotonic()
            job()
            self._was_slow = time.monotonic() - self._began_at > _WRITE_TIMEOUT_S
            self._began_at = None
        self._file.close()

    def _run_append(self, records: Sequence[PendingRecord], on_appended: Callable[[int | None], None]) -> None:
        try:
            first_id = self._run_on_file(lambda file: file.append(records))
        except sqlite3.Error as error:
            # Records have headers, too, and do not fill their pages: so twice the size of the bodies.
            size = 2 * sum(len(record.value) for record in records)
            self._refused_bytes = max(self._refused_bytes, size)
            self._call_in_loop(partial(self.mark_unusable, str(error)))
            first_id = None
        self._call_in_loop(partial(on_appended, first_id))

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
                self._call_in_loop(partial(_resolve, done, answer))

    def _run_on_file(self, call: Callable[[SpoolFile], CallResult]) -> CallResult:
        """Makes the call in the thread; where the file is damaged, a second time, on a fresh file."""
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
            if str(error) != self.unsalvaged:
                _log.error("spool_not_salvaged", path=str(self.path), error=str(error), damage=str(damage))
            self.unsalvaged = str(error)
            raise damage from error
        self._damage, self.unsalvaged = None, ""
        # A large file takes its time; that is no sign of a disk that hangs.
        self._began_at = time.monotonic()
        self._call_in_loop(self._on_salvaged)

    def _call_in_loop(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # The loop is closed, and nothing waits any more.
            self._loop.call_soon_threadsafe(call)


def _resolve(future: "Future[CallResult]", answer: CallResult) -> None:
    if not future.done():
        future.set_result(answer)


def _fail(future: "Future[CallResult]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
