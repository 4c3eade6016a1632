"""The folder of one partition's keys on disk: whose it is, and who uses it now.

Below `process.state_dir` each changelog partition has a folder. A lock beside it says that a live process uses it, a
file in it of which log it is a cache. A process that finds the folder locked, because another one holds on to a
partition that it lost, takes the next name: nothing waits for a process that may be frozen.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from processors.runtime.state_store import LocalStoreError, LogExtent
from schemas.late_log import LateLog

_log = LateLog()

# Of a format that this code reads; another one is a foreign store.
FORMAT = 1
_ORIGIN = "origin.json"
_SLOTS = 4
# So long a process may take to let a partition go that it lost.
_LOCK_TRIES = 20
_LOCK_WAIT_S = 0.1


@dataclass(slots=True, eq=False)
class StateFolder:
    """The folder of the keys of one partition; `claim` it before anything in it is touched."""

    state_dir: Path
    _lock: int | None = None
    path: Path = field(init=False)
    """Where the store is, once it is claimed."""

    async def claim(self, log: LogExtent) -> None:
        """Makes a folder this process's own; it is locked until `release`.

        Raises:
            LocalStoreError: it cannot be written, or four processes use its names.
        """
        base = self.state_dir / log.topic
        for slot in range(_SLOTS):
            name = f"{log.partition}.{slot}" if slot else str(log.partition)
            for again in range(1 if slot else _LOCK_TRIES):
                if again:
                    await asyncio.sleep(_LOCK_WAIT_S)
                if await asyncio.to_thread(self._try, base / name):
                    await asyncio.to_thread(_remove_others, base, log.partition, slot)
                    return
            _log.warning("state_store_locked", folder=str(base / name), reason="another live process uses it")
        raise LocalStoreError(f"{base}: {_SLOTS} live processes use the store of {log.partition}", is_damage=False)

    def release(self) -> None:
        """Lets another process use the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def has_store(self) -> bool:
        """Whether there is anything in the folder."""
        return self.path.exists()

    def prepare(self, log: LogExtent) -> None:
        """Makes an empty folder for a store of `log`.

        Raises:
            LocalStoreError: it cannot be written.
        """
        with _explained(self.path):
            self.path.mkdir(mode=0o700)
            origin = self.path / _ORIGIN
            origin.write_bytes(_origin_of(log))

    def origin_fault(self, log: LogExtent) -> str | None:
        """What is wrong with the origin of the store; None where it is a cache of `log`."""
        try:
            told = (self.path / _ORIGIN).read_bytes()
        except OSError as error:
            return f"it does not say of which log it is ({error.strerror})"
        return None if told == _origin_of(log) else "it is of another cluster, topic, partition or format"

    def remove(self) -> None:
        """Removes the store, whatever it holds."""
        with _explained(self.path):
            if self.path.exists():
                shutil.rmtree(self.path)

    def _try(self, path: Path) -> bool:
        with _explained(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock, self.path = lock, path
        return True


class _explained:  # noqa: N801 read as the verb of a sentence
    """Errors of the disk as `LocalStoreError`, with what to do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, OSError):
            raise LocalStoreError(
                f"{self._path} cannot be written ({error.strerror}); make room or give this user the right to, or set "
                "process.state_dir to another folder",
                is_damage=False,
            ) from error


def state_dir_fault(state_dir: Path) -> str | None:
    """Why nothing can be kept below the folder, in a sentence that says what to do; None where it can."""
    try:
        with _explained(state_dir):
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=state_dir):
                return None
    except LocalStoreError as error:
        return str(error)


@dataclass(frozen=True, slots=True)
class StoreOrigin:
    """A store that lies below `process.state_dir`, and the cluster of its log; None where it does not say it."""

    path: Path
    cluster: str | None


def stores_below(state_dir: Path, topic: str) -> list[StoreOrigin]:
    """The stores of the partitions of changelog `topic`, in the order of their paths.

    Raises:
        OSError: the folder cannot be read.
    """
    base = state_dir / topic
    folders = sorted(one for one in base.iterdir() if one.is_dir()) if base.is_dir() else []
    return [StoreOrigin(one, _cluster_in(one)) for one in folders]


def _cluster_in(path: Path) -> str | None:
    try:
        told = orjson.loads((path / _ORIGIN).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    match told:
        case [int(format_), str(cluster), str(), int()] if format_ == FORMAT:
            return cluster
    return None


def _origin_of(log: LogExtent) -> bytes:
    return orjson.dumps([FORMAT, log.cluster, log.topic, log.partition])


def _remove_others(base: Path, partition: int, slot: int) -> None:
    """Removes the caches under the other names, where no process uses them."""
    for other in range(_SLOTS):
        path = base / (f"{partition}.{other}" if other else str(partition))
        if other == slot or not path.exists():
            continue
        folder = StateFolder(base)
        with _explained(path):
            if folder._try(path):  # noqa: SLF001 the same class's own
                folder.remove()
                folder.release()
