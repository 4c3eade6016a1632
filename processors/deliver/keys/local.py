"""The cache of one partition's keys on this machine's disk: found, taken, moved to, thrown away.

Whatever is wrong with it is said once and mended by the changelog: `LocalKeys` only decides what may be taken.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from processors.deliver.keys.buckets import NO_NAME
from processors.deliver.keys.disk import DiskKeys
from processors.deliver.keys.folder import StateFolder
from processors.deliver.keys.rocksdb import DiskMemory
from processors.deliver.keys.segments import Segment, Segments
from processors.deliver.keys.table import MemoryKeys
from processors.runtime.state_store import LocalStoreError, LogExtent
from schemas.late_log import LateLog

_log = LateLog()

# To write so many at once takes a millisecond; then the event loop gets its turn.
_KEYS_PER_MOVE = 500
_MOVE_PATIENCE_S = 30.0
# One waits for Kafka while the other is put into its store: more would only end later, all of them.
_RESTORED_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where the keys of a partition are kept: in memory up to `memory_keys_max`, beyond that below `state_dir`.

    Without a `state_dir` all are in memory. `turns` is one for all partitions that are restored one after the other.
    """

    memory_keys_max: int = 20_000
    state_dir: Path | None = None
    disk_memory: DiskMemory | None = None
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_RESTORED_AT_ONCE))


@dataclass(frozen=True, slots=True)
class StoreState:
    """What the disk has beside the keys; the fields of `DedupeStore` and `Segments` of the same names."""

    changelog_offset: int
    input_offset: int
    rules_digest: str
    last_name: int
    anchor: int
    stream_s: int
    receipts_s: Sequence[int]

    def row(self) -> dict[str, Any]:
        """As it is written."""
        return asdict(self)


@dataclass(slots=True, eq=False)
class LocalKeys:
    """The folder of one partition's keys; it is claimed only where there is, or must be, a store on disk."""

    place: KeyPlace
    _log: LogExtent | None = None
    _folder: StateFolder | None = None

    @property
    def partition(self) -> int | None:
        """The number of the partition, once that is known."""
        return None if self._log is None else self._log.partition

    async def open(self, log: LogExtent) -> tuple[DiskKeys, StoreState, list[Segment]] | None:
        """The store on disk, where there is one and it is a cache of `log`; another one is removed.

        Raises:
            LocalStoreError: the disk cannot be used now.
        """
        self._log = log
        if self.place.state_dir is None or not await asyncio.to_thread(_has_store, self.place.state_dir, log):
            return None
        folder = await self._claimed(self.place.state_dir, log)
        if not folder.has_store:
            return None
        try:
            keys, state, segments = await asyncio.to_thread(self._opened, folder, log)
        except LocalStoreError as error:
            if not error.is_damage:
                self.release()
                raise
            await self._remove(folder, str(error))
            return None
        _log.info("state_store_opened", folder=str(folder.path), changelog_offset=state.changelog_offset)
        return keys, state, segments

    def is_wanted_for(self, keys: int) -> bool:
        """Whether so many keys belong on the disk."""
        return self.place.state_dir is not None and keys > self.place.memory_keys_max and self._log is not None

    async def move(self, memory: MemoryKeys, segments: Segments) -> DiskKeys:
        """A new store on disk with all that `memory` holds; it counts once the state is written too.

        Raises:
            LocalStoreError: the disk cannot be used.
        """
        if self.place.state_dir is None or self._log is None:
            raise ValueError("a store without a folder stays in memory")
        folder = self._folder or await self._claimed(self.place.state_dir, self._log)
        await asyncio.to_thread(folder.remove)
        await asyncio.to_thread(folder.prepare, self._log)
        disk = await asyncio.to_thread(DiskKeys.open, folder.path, self.place.disk_memory or DiskMemory())
        by_number = {one.number: one for one in segments.live}
        for number, tag, keys in memory.content():
            entries = [key + sighting for key, sighting in keys.items()]
            for start in range(0, len(entries), _KEYS_PER_MOVE):
                disk.add(by_number[number], [(tag, b"".join(entries[start : start + _KEYS_PER_MOVE]))])
                disk.write(None, None)
                await disk.settle(_MOVE_PATIENCE_S)
                await asyncio.sleep(0)
        segments.touch_all()
        return disk

    def note_complete(self, keys: int) -> None:
        """The new store with so many keys is on the disk: from now on it outlives the process, however that ends."""
        _log.info("state_store_created", folder=str(self._folder and self._folder.path), keys=keys)

    async def let_go(self, keys: DiskKeys | None, damage: str | None) -> None:
        """Closes the store, and removes it where it is damaged; another process may use the folder then."""
        if keys is not None:
            try:
                await keys.close()
            except LocalStoreError as error:
                # What is not on the disk is in the changelog.
                _log.warning("state_store_not_flushed", reason=str(error), partition=self.partition)
        if self._folder is not None and damage is not None:
            await self._remove(self._folder, damage)
        self.release()

    def release(self) -> None:
        """Lets another process use the folder."""
        if self._folder is not None:
            self._folder.release()
            self._folder = None

    async def _claimed(self, state_dir: Path, log: LogExtent) -> StateFolder:
        folder = StateFolder(state_dir)
        await folder.claim(log)
        self._folder = folder
        return folder

    async def _remove(self, folder: StateFolder, reason: str) -> None:
        _log.error("state_store_discarded", folder=str(folder.path), reason=reason, partition=self.partition)
        await asyncio.to_thread(folder.remove)

    def _opened(self, folder: StateFolder, log: LogExtent) -> tuple[DiskKeys, StoreState, list[Segment]]:
        fault = folder.origin_fault(log)
        if fault is not None:
            raise LocalStoreError(fault, is_damage=True)
        keys = DiskKeys.open(folder.path, self.place.disk_memory or DiskMemory())
        try:
            row, segments = keys.read()
            return keys, _checked(row, log), segments
        except BaseException:
            keys.abandon()
            raise


def _checked(row: dict[str, Any] | None, log: LogExtent) -> StoreState:
    """The state of a store that may be a cache of `log`."""
    if row is None:
        raise LocalStoreError("it was never completed", is_damage=True)
    state = StoreState(**row)
    if state.changelog_offset > log.end:
        raise LocalStoreError("it is ahead of the changelog", is_damage=True)
    if state.last_name != NO_NAME and state.anchor < log.first:
        raise LocalStoreError("it is older than the beginning of the changelog", is_damage=True)
    return state


def _has_store(state_dir: Path, log: LogExtent) -> bool:
    folder = state_dir / log.topic
    return folder.is_dir() and any(
        one.is_dir() and one.name.split(".")[0] == str(log.partition) for one in folder.iterdir()
    )
