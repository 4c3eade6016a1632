"""Makes a delivery durable: in Kafka, else in the spool, from which it goes on to Kafka by itself.

Order: while the spool has deliveries of an endpoint's lane, newer deliveries of the lane go behind them.
"""

import asyncio
import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import structlog

from ingest.answers import Outcome
from ingest.budgets import Reservation
from ingest.kafka.batches import DeliveryReport, Fate, Report
from ingest.kafka.publisher import Publisher
from ingest.metrics import IngestMetrics, SpoolFigures
from ingest.spool.doubts import Doubts
from ingest.spool.drain import Drain
from ingest.spool.episode import SpoolingEpisode
from ingest.spool.folder import claim, left_behind
from ingest.spool.network_disk import network_file_system_of
from ingest.spool.queue import Spool
from ingest.spool.rows import lane_of
from schemas.delivery import PendingRecord
from schemas.sections.programs import IngestSettings

OnOutcome = Callable[[Outcome], None]

_log = structlog.get_logger("ingest")

_CHECK_S = 1.0
_ADOPT_S = 30.0
# A spool opens at once, however large it is; a damaged one is first read as far as it reads, which may take minutes.
_OPEN_S = 5.0


class Storage:
    """Stores deliveries from `start` to `stop`; there is no spool where `spool_bytes_max` is 0."""

    def __init__(self, settings: IngestSettings, *, publisher: Publisher, metrics: IngestMetrics) -> None:
        self._folder = Path(settings.spool_dir).absolute()
        self._bytes_max = settings.spool_bytes_max
        self._publisher = publisher
        self._doubts = Doubts()
        self._drain = Drain(publisher, metrics, self._doubts)
        # Spools that dead processes left behind are drained first, for their deliveries are older.
        self._left_behind: list[Spool] = []
        self._unread: Mapping[Path, str] = {}
        self._open_error = ""
        self._spool: Spool | None = None
        self._filled = asyncio.Event()
        self._episode = SpoolingEpisode(self._folder, now=time.monotonic)
        self._opening: asyncio.Task[None] | None = None
        self._background: asyncio.Task[None] | None = None
        self._enqueued: set[asyncio.Task[None]] = set()

    @property
    def usable(self) -> bool:
        """Returns whether a delivery can be made durable now."""
        return self._publisher.connected or self.spool_usable

    @property
    def spool_usable(self) -> bool:
        """Returns whether the disk takes deliveries, as far as is known."""
        return self._spool is not None and self._spool.usable

    @property
    def broken(self) -> bool:
        """Returns whether a background task died of a fault of this program; only a restart helps."""
        ended = self._background is not None and self._background.done()
        return ended or self._publisher.broken or any(spool.broken for spool in self._spools)

    def figures(self) -> SpoolFigures:
        """Returns how much is in the spools, and how much room is left."""
        oldest = min((spool.oldest_ms for spool in self._spools if spool.oldest_ms is not None), default=None)
        free = 0
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self._folder).free
        return SpoolFigures(
            deliveries=sum(spool.waiting for spool in self._spools),
            refused=sum(spool.refused for spool in self._spools),
            damaged=sum(spool.damaged for spool in self._spools),
            hung=any(spool.hung for spool in self._spools),
            bytes_used=sum(spool.bytes_used for spool in self._spools),
            oldest_seconds=0.0 if oldest is None else max(0.0, time.time() - oldest / 1000),
            free_bytes=free,
            usable=self.spool_usable,
            bytes_max=self._bytes_max,
            unread_files=len(self._unread),
        )

    async def start(self) -> None:
        """Opens the spool, so that it is there for the first delivery, and starts to connect to Kafka.

        A damaged spool does not keep the ingress from receiving for longer than 5 s: what comes while it is read goes
        to Kafka ahead of what it holds, or is refused.
        """
        self._publisher.start()
        if self._bytes_max:
            if network := network_file_system_of(self._folder):
                _log.warning("spool_on_network_disk", path=str(self._folder), file_system=network)
            self._opening = asyncio.create_task(self._open_spools(), name="open the spool")
            await asyncio.wait((self._opening,), timeout=_OPEN_S)
            if not self._opening.done():
                _log.warning("spool_opens_late", path=str(self._folder), waited_s=_OPEN_S)
            self._background = asyncio.create_task(self._run_background(self._opening), name="empty the spool")

    async def stop(self, *, within_s: float) -> None:
        """Writes the published records for up to `within_s` seconds; closes the spools, and logs what is left."""
        tasks = [task for task in (self._background, self._opening) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._publisher.stop(within_s=within_s)
        left = self.figures()
        for spool in self._spools:
            await spool.close()
        if left.deliveries or left.refused:
            _log.warning("spool_not_drained", deliveries=left.deliveries, refused=left.refused, path=str(self._folder))

    def store(self, record: PendingRecord, reservation: Reservation, on_outcome: OnOutcome) -> None:
        """Calls `on_outcome` once: when the record is durable, with where, or when nothing can make it durable.

        The storage takes `reservation` over, and releases it when it needs the bytes no more.
        """
        on_report = partial(self._conclude, record, reservation, on_outcome)
        if self._has_spooled(lane_of(record)) or not self._publisher.publish(record, reservation, on_report):
            self._enqueue(record, reservation, on_outcome)

    def _conclude(self, record: PendingRecord, reservation: Reservation, on_outcome: OnOutcome, report: Report) -> None:
        """Turns the report into the outcome; a record that Kafka has not written in time goes to the spool, too."""
        if report is DeliveryReport.WRITTEN:
            on_outcome(Outcome.STORED)
        else:
            self._enqueue(record, reservation.share(), on_outcome, fate=report if isinstance(report, Fate) else None)

    def _enqueue(
        self, record: PendingRecord, reservation: Reservation, on_outcome: OnOutcome, fate: Fate | None = None
    ) -> None:
        """Puts the record into the spool, behind all that was put there before; `fate` is that of its first try."""
        if self._spool is None:
            reservation.release()
            on_outcome(Outcome.UNAVAILABLE)
            return
        enqueued = self._spool.enqueue(record, reservation.release)
        if fate is not None:
            self._doubts.note(record, fate)
            enqueued.add_done_callback(partial(self._forget_unspooled, record))
        task = asyncio.create_task(self._await_spool(self._spool, enqueued, on_outcome))
        self._enqueued.add(task)
        task.add_done_callback(self._enqueued.discard)

    def _forget_unspooled(self, record: PendingRecord, enqueued: "asyncio.Future[bool]") -> None:
        if not enqueued.result():
            self._doubts.forget(record)

    async def _await_spool(self, spool: Spool, enqueued: "asyncio.Future[bool]", on_outcome: OnOutcome) -> None:
        is_written = await spool.written(enqueued)
        if is_written:
            self._filled.set()
            self._episode.note_spooled(kafka_connected=self._publisher.connected)
        on_outcome(Outcome.SPOOLED if is_written else Outcome.UNAVAILABLE)

    @property
    def _spools(self) -> list[Spool]:
        return self._left_behind if self._spool is None else [*self._left_behind, self._spool]

    @property
    def _drainable(self) -> list[Spool]:
        """Returns the spools to drain: none before it is salvaged, and this process's own one behind those."""
        salvaging = any(spool.salvaging for spool in self._left_behind)
        return [one for one in self._spools if not one.hurt and not (salvaging and one is self._spool)]

    def _has_spooled(self, lane: str) -> bool:
        """Returns whether deliveries of the lane are in a spool, so that newer ones must go behind them."""
        if self._spool is not None and self._spool.holds(lane):
            return True
        return bool(self._left_behind) and any(spool.holds(lane) for spool in self._left_behind)

    async def _open_spools(self) -> None:
        await self._open_spool()
        await self._adopt_left_behind()

    async def _run_background(self, opening: "asyncio.Task[None]") -> None:
        try:
            await opening
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._drain_spools())
                tasks.create_task(self._maintain_spools())
        except Exception:
            _log.exception("spool_failed")
            raise

    async def _drain_spools(self) -> None:
        """Brings spooled deliveries to Kafka whenever there are some."""
        while True:
            drainable = self._drainable
            if any(spool.waiting for spool in drainable):
                await self._drain.drain_some(drainable)
            else:
                self._filled.clear()
                await self._filled.wait()

    async def _maintain_spools(self) -> None:
        """Opens the spool once the disk allows it, checks all spools, and adopts those that are left behind."""
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        while True:
            await asyncio.sleep(_CHECK_S)
            if self._spool is not None and self._spool.hurt:
                # What comes now is not kept waiting until a large file is salvaged.
                self._left_behind.append(self._spool)
                self._spool = None
            if self._spool is None:
                await self._open_spool()
            for spool in self._spools:
                await spool.check()
                if spool is not self._spool and not (spool.waiting or spool.refused or spool.damaged or spool.hurt):
                    self._left_behind.remove(spool)
                    await spool.close()
            if any(spool.waiting for spool in self._drainable):
                self._filled.set()
            self._episode.look(sum(spool.waiting for spool in self._spools))
            if loop.time() - looked_at > _ADOPT_S:
                looked_at = loop.time()
                await self._adopt_left_behind()

    async def _open_spool(self) -> None:
        """Opens this process's own spool; logs each error once where the disk does not allow it."""
        try:
            self._spool = Spool(await asyncio.to_thread(claim, self._folder, bytes_max=self._bytes_max))
        except (OSError, sqlite3.Error) as error:
            if str(error) != self._open_error:
                _log.error("spool_not_opened", path=str(self._folder), error=str(error))
            self._open_error = str(error)
        else:
            self._log_found([self._spool])

    async def _adopt_left_behind(self) -> None:
        """Opens spools that dead processes left behind; logs each unreadable file once, and counts it."""
        there = await asyncio.to_thread(left_behind, self._folder, bytes_max=self._bytes_max)
        spools = [Spool(file) for file in there.files]
        self._left_behind += spools
        self._log_found(spools)
        for path in sorted(there.unread.keys() - self._unread.keys()):
            _log.error("spool_file_not_read", path=str(path), error=there.unread[path])
        self._unread = there.unread

    def _log_found(self, spools: Sequence[Spool]) -> None:
        if waiting := sum(spool.waiting for spool in spools):
            _log.info("spool_found", deliveries=waiting, path=str(self._folder))
            self._filled.set()
