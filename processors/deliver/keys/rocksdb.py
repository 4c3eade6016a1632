"""The edge to RocksDB: how a database is opened and written, and what its errors mean to a person.

RocksDict holds the interpreter's lock while it writes, so a write that RocksDB would slow down fails instead
(`no_slowdown`) and is tried again: nothing may keep heartbeats waiting.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from processors.runtime.state_store import LocalStoreError

_MEMTABLE_BYTES = 8_388_608
_BLOCK_BYTES = 16_384
_BLOOM_BITS = 10
# Faults of the disk, as RocksDB words them; any other error of RocksDB's is damage.
_DISK_FAULTS = {
    "No space left on device": "the disk is full; make room, or give process.state_dir a larger one",
    "Disk quota exceeded": "the disk is full; make room, or give process.state_dir a larger one",
    "Read-only file system": "the disk cannot be written; mount it so that it can, or set process.state_dir to another",
    "Permission denied": "the folder cannot be written; give this user the right to, or set process.state_dir",
}
# How RocksDB words what it does not take at once.
_STALL = "Result incomplete"
# What is written: a key and its value, or the begin and the end of what is removed.
PUT = 0
REMOVE = 1
Change = tuple[int, bytes, bytes]


@dataclass(frozen=True, slots=True)
class DiskMemory:
    """What all stores of a process share: a cache of blocks, and a bound on what is not yet on disk."""

    cache: Cache = field(default_factory=lambda: Cache(33_554_432))
    unwritten: WriteBufferManager = field(default_factory=lambda: WriteBufferManager(67_108_864, False))


def open_database(folder: Path, memory: DiskMemory) -> Rdict:
    """Opens or creates the database; takes milliseconds whatever its size.

    Raises:
        LocalStoreError: it is damaged, or the folder cannot be used.
    """
    with explained(folder):
        return Rdict(str(folder), _options(memory))


def unlogged_writes() -> WriteOptions:
    """How `write_at_once` writes: without a log, and never slowed down."""
    write = WriteOptions()
    write.disable_wal = True  # type: ignore[method-assign,assignment] # The stub calls it a method; it is a property.
    write.no_slowdown = True
    return write


def write_at_once(database: Rdict, changes: Iterable[Change], options: WriteOptions, folder: Path) -> bool:
    """Writes all of the changes, or none of them: then RocksDB does not keep up, and False is returned.

    Raises:
        LocalStoreError: the disk is full or failed.
    """
    try:
        database.write(_batch(changes), options)
    except Exception as error:
        if _STALL in str(error):
            return False
        raise explained_fault(folder, error) from error
    return True


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Raises every error of RocksDB's inside the block as a `LocalStoreError`."""
    try:
        yield
    except LocalStoreError:
        raise
    except Exception as error:
        raise explained_fault(folder, error) from error


def explained_fault(folder: Path, error: Exception) -> LocalStoreError:
    """What a person is told; whether the store itself is bad, or the disk below it."""
    said = str(error)
    for sign, sentence in _DISK_FAULTS.items():
        if sign in said:
            return LocalStoreError(f"{sentence}: {folder} ({said})", is_damage=False)
    return LocalStoreError(f"{folder} is damaged ({said})", is_damage=True)


def _options(memory: DiskMemory) -> Options:
    blocks = BlockBasedOptions()
    # Most look-ups are of keys that are not there: ten bits a key answer 99 of 100 of them from memory.
    blocks.set_bloom_filter(_BLOOM_BITS, False)
    blocks.set_block_cache(memory.cache)
    blocks.set_block_size(_BLOCK_BYTES)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(_MEMTABLE_BYTES)
    options.set_max_write_buffer_number(4)
    options.set_write_buffer_manager(memory.unwritten)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(1_048_576)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options


def _batch(changes: "Iterable[Change]") -> WriteBatch:
    batch = WriteBatch(raw_mode=True)
    put = batch.put
    for kind, first, second in changes:
        if kind == PUT:
            put(first, second)
        else:
            batch.delete_range(first, second)
    return batch
