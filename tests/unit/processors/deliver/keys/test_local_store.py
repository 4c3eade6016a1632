"""The store on disk: what of it is taken at a start, and what a process is told of a store that is not right."""

import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from processors.deliver.dedupe import DedupeStore
from processors.deliver.keys.folder import StateFolder, state_dir_fault
from processors.deliver.keys.local import KeyPlace
from processors.deliver.sightings import DedupeResult
from processors.runtime.state_store import Change, LocalStoreError, LogExtent, StoreBusyError

KEYS = 5_000


def extent(end: int, *, first: int = 0, cluster: str = "one", topic: str = "d.deliver-state") -> LogExtent:
    return LogExtent(cluster, topic, 3, first, end)


def fresh(state_dir: Path) -> DedupeStore:
    return DedupeStore(window_s=100, place=KeyPlace(memory_keys_max=100, state_dir=state_dir))


def see(store: DedupeStore, number: int) -> DedupeResult:
    sighting = store.judge(endpoint="shop", natural_key=str(number), body=b"one", offset=number, received_s=1_000)
    if sighting.kind is not DedupeResult.RETRY:
        store.remember(sighting)
    return sighting.kind


async def filled(store: DedupeStore, keys: range) -> list[Change]:
    """Processes these deliveries, 100 a transaction; returns the changelog."""
    changelog: list[Change] = []
    for number in keys:
        assert see(store, number) is DedupeResult.FIRST
        if number % 100 == 99:
            changelog += store.changes()
            store.changelog_offset, store.input_offset = store.changelog_offset + 1, number + 1
            store.commit()
            await store.settle()
    return changelog


@asynccontextmanager
async def closed_store(folder: Path) -> AsyncIterator[list[Change]]:
    """A store on disk, as a process leaves it that ends; gives its changelog."""
    store = fresh(folder)
    await store.open(extent(0))
    changelog = await filled(store, range(KEYS))
    assert store.is_on_disk
    store.rules_digest = "rules"
    await store.close()
    yield changelog


async def restored(folder: Path, log: LogExtent, changelog: list[Change]) -> tuple[DedupeStore, int]:
    """A store opened anew and restored as `processors.runtime.changelog` does; and from where on it was read."""
    store = fresh(folder)
    begin = read_from = await store.open(log)
    while True:
        try:
            for offset in range(begin, len(changelog)):
                store.restore(*changelog[offset])
                store.changelog_offset = offset + 1
            store.restored()
            await store.settle()
        except LocalStoreError as error:
            await store.discard(str(error))
            begin = read_from = await store.open(log)
        else:
            return store, read_from


async def test_a_start_with_the_store_there_reads_what_is_new(tmp_path: Path) -> None:
    """The last bucket is compared, those behind it are taken, and everything before is known."""
    async with closed_store(tmp_path) as changelog:
        ahead = DedupeStore(window_s=100)
        for change in changelog:
            ahead.restore(*change)
        newer = [*changelog, *await filled(ahead, range(KEYS, KEYS + 100))]
        store, read_from = await restored(tmp_path, extent(len(newer)), newer)
        assert (read_from, store.changelog_offset, store.entries) == (49, 51, KEYS + 100)
        assert (store.input_offset, store.is_on_disk) == (KEYS, True)
        assert [see(store, number) for number in (0, 2_500, KEYS + 99)] == [DedupeResult.RETRY] * 3
        assert see(store, KEYS + 100) is DedupeResult.FIRST
        await store.close()


def _torn(folder: Path) -> None:
    for table in folder.glob("*.sst"):
        os.truncate(table, table.stat().st_size // 2)


def _flipped(folder: Path) -> None:
    for table in folder.glob("*.sst"):
        content = bytearray(table.read_bytes())
        content[100:8_000:50] = bytes(len(content[100:8_000:50]))
        table.write_bytes(content)


def _without_a_table(folder: Path) -> None:
    for table in folder.glob("*.sst"):
        table.unlink()


def _without_manifest(folder: Path) -> None:
    for one in [*folder.glob("MANIFEST*"), *folder.glob("CURRENT")]:
        one.write_bytes(b"junk")


def _without_origin(folder: Path) -> None:
    (folder / "origin.json").unlink()


@pytest.mark.parametrize("damage", [_torn, _flipped, _without_a_table, _without_manifest, _without_origin])
async def test_a_damaged_store_is_made_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """Torn, corrupt, incomplete: it is said once, the changelog gives everything back, and nothing is forgotten."""
    async with closed_store(tmp_path) as changelog:
        damage(tmp_path / "d.deliver-state" / "3")
        with capture_logs() as told:
            store, _ = await restored(tmp_path, extent(len(changelog)), changelog)
            kinds = {await judged(store, number, changelog) for number in range(KEYS)}
        assert kinds == {DedupeResult.RETRY}
        assert [line["event"] for line in told].count("state_store_discarded") == 1
        await store.close()


async def judged(store: DedupeStore, number: int, changelog: list[Change]) -> DedupeResult:
    """The verdict; where only a look-up shows the damage, after the partition was opened anew for it."""
    try:
        return see(store, number)
    except LocalStoreError:
        with pytest.raises(LocalStoreError, match="is damaged"):
            await store.settle()
        begin = await store.open(extent(len(changelog)))
        assert begin == 0
        for offset, change in enumerate(changelog):
            store.restore(*change)
            store.changelog_offset = offset + 1
        store.restored()
        await store.settle()
        return see(store, number)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (extent(50, cluster="another"), "of another cluster, topic, partition or format"),
        (extent(40), "ahead of the changelog"),
        (extent(90, first=60), "older than the beginning of the changelog"),
    ],
    ids=["foreign", "ahead", "older"],
)
async def test_a_store_of_another_log_is_removed(tmp_path: Path, log: LogExtent, reason: str) -> None:
    """Whatever its place in the changelog says: nothing of it is taken, and the reason is said once."""
    async with closed_store(tmp_path):
        store = fresh(tmp_path)
        with capture_logs() as told:
            assert await store.open(log) == log.first
        assert (store.entries, store.changelog_offset, store.is_on_disk) == (0, 0, False)
        (line,) = [line for line in told if line["event"] == "state_store_discarded"]
        assert reason in line["reason"]
        assert not (tmp_path / "d.deliver-state" / "3").exists()


@pytest.mark.parametrize("records", [50, 70])
async def test_a_topic_that_was_made_anew_is_another_log(tmp_path: Path, records: int) -> None:
    """Same cluster, name and length, other records: the last bucket is not where the store has it."""
    async with closed_store(tmp_path):
        other = DedupeStore(window_s=100)
        changelog = await filled(other, range(10_000, 10_000 + 100 * records))
        with capture_logs() as told:
            store, read_from = await restored(tmp_path, extent(records), changelog)
        assert (read_from, store.entries) == (0, 100 * records)
        assert see(store, 0) is DedupeResult.FIRST
        assert [line["event"] for line in told].count("state_store_discarded") == 1
        await store.close()


async def test_a_store_that_was_never_completed_is_not_taken(tmp_path: Path) -> None:
    """Killed while the keys went from memory to the disk: the disk has some of them, and says nothing."""
    folder = StateFolder(tmp_path)
    await folder.claim(extent(0))
    folder.prepare(extent(0))
    folder.release()
    store = fresh(tmp_path)
    with capture_logs() as told:
        assert await store.open(extent(9)) == 0
    assert [line["reason"] for line in told if line["event"] == "state_store_discarded"] == ["it was never completed"]


async def test_a_locked_folder_is_left_to_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another live process holds on to the partition: its store is not touched, this one has a folder beside it."""
    monkeypatch.setattr("processors.deliver.keys.folder._LOCK_WAIT_S", 0.001)
    async with closed_store(tmp_path) as changelog:
        lock = os.open(tmp_path / "d.deliver-state" / "3.lock", os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with capture_logs() as told:
            store, read_from = await restored(tmp_path, extent(len(changelog)), changelog)
        assert (read_from, store.entries, store.is_on_disk) == (0, KEYS, True)
        assert (tmp_path / "d.deliver-state" / "3.1").is_dir()
        assert (tmp_path / "d.deliver-state" / "3" / "CURRENT").exists()
        assert "state_store_locked" in [line["event"] for line in told]
        await store.close()
        os.close(lock)
        again, read_from = await restored(tmp_path, extent(len(changelog)), changelog)
        assert read_from == len(changelog) - 1
        assert not (tmp_path / "d.deliver-state" / "3.1").exists()
        await again.close()


class _Stalled:
    """A RocksDB that takes nothing for a while, in its own words."""

    def __init__(self, db: Any, times: int) -> None:
        self._db, self._times = db, times
        self._seen: list[Any] = []

    def write(self, *written: Any) -> None:
        # RocksDict takes a batch apart before it writes, whether the write fails or not.
        assert written[0] not in self._seen, "this batch is already consumed"
        self._seen.append(written[0])
        self._times -= 1
        if self._times >= 0:
            raise Exception("Result incomplete: Write stall")  # noqa: TRY002 as RocksDict raises it
        self._db.write(*written)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


async def test_a_disk_that_is_behind_forgets_nothing(tmp_path: Path) -> None:
    """What RocksDB does not take at once is known meanwhile, and written when it takes it."""
    store = fresh(tmp_path)
    await store.open(extent(0))
    await filled(store, range(200))
    keys: Any = store._keys  # noqa: SLF001 no test can make a disk slow for so long and no longer
    keys._db = _Stalled(keys._db, times=5)  # noqa: SLF001 as above
    await filled(store, range(200, 500))
    assert [see(store, number) for number in (0, 250, 450)] == [DedupeResult.RETRY] * 3
    await filled(store, range(500, 900))
    await store.close()
    assert await store.open(extent(9)) == 8
    assert [see(store, number) for number in (0, 250, 450, 899)] == [DedupeResult.RETRY] * 4
    await store.close()


async def test_a_disk_that_hangs_stops_its_partition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has a bound: beyond it the partition waits with a sentence, knows all of it, and goes on with the disk."""
    monkeypatch.setattr("processors.deliver.keys.disk._WAITING_KEYS_MAX", 300)
    store = fresh(tmp_path)
    await store.open(extent(0))
    await filled(store, range(200))
    keys: Any = store._keys  # noqa: SLF001 as above
    keys._db = _Stalled(keys._db, times=1_000)  # noqa: SLF001 as above
    with pytest.raises(StoreBusyError, match="the disk has taken nothing for 1 s"):
        await filled(store, range(200, 1_000))
    assert [see(store, number) for number in (0, 199, 450)] == [DedupeResult.RETRY] * 3
    keys._db = keys._db._db  # noqa: SLF001 as above
    await store.settle()
    assert await store.open(extent(9)) == store.changelog_offset
    assert [see(store, number) for number in (0, 199, 450)] == [DedupeResult.RETRY] * 3
    await store.close()


async def test_a_folder_that_cannot_be_written_keeps_the_partition_closed(tmp_path: Path) -> None:
    """It is no damage: nothing is removed, and the sentence says what to do."""
    (tmp_path / "state").write_text("a file", encoding="utf-8")
    store = fresh(tmp_path / "state")
    await store.open(extent(0))
    for number in range(101):
        see(store, number)
    store.commit()
    with pytest.raises(LocalStoreError, match=r"cannot be written .*process\.state_dir") as caught:
        await store.settle()
    assert not caught.value.is_damage
    assert str(state_dir_fault(tmp_path / "state" / "below")).startswith(f"{tmp_path}/state/below cannot be written")
    assert state_dir_fault(tmp_path / "other") is None


async def test_four_live_processes_share_a_partition_s_names_and_a_fifth_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes nobody's store, and calls nothing damaged; the name that is given back is taken next."""
    monkeypatch.setattr("processors.deliver.keys.folder._LOCK_WAIT_S", 0.0)
    others = [StateFolder(tmp_path) for _ in range(4)]
    for folder in others:
        await folder.claim(extent(0))
    assert [folder.path.name for folder in others] == ["3", "3.1", "3.2", "3.3"]
    fifth = StateFolder(tmp_path)
    with pytest.raises(LocalStoreError, match="4 live processes use the store of 3") as told:
        await fifth.claim(extent(0))
    assert not told.value.is_damage
    others[2].release()
    await fifth.claim(extent(0))
    assert fifth.path.name == "3.2"
    for folder in (others[0], others[1], others[3], fifth):
        folder.release()
