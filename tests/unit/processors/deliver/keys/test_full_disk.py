"""The store on disks that are full or cannot be written: real file systems, which only root can mount."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from processors.deliver.dedupe import DedupeStore
from processors.deliver.keys.local import KeyPlace
from processors.deliver.sightings import DedupeResult
from processors.runtime.state_store import Change, LocalStoreError, LogExtent

BYTES = 3_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of `BYTES`."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={BYTES}", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def mount_again(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def see(store: DedupeStore, number: int) -> DedupeResult:
    sighting = store.judge(endpoint="shop", natural_key=str(number), body=b"one", offset=number, received_s=1_000)
    if sighting.kind is not DedupeResult.RETRY:
        store.remember(sighting)
    return sighting.kind


async def worked(store: DedupeStore, numbers: range, changelog: list[Change]) -> None:
    """Processes these deliveries, 1,000 a transaction, as a partition does, which stops where the disk does."""
    for number in numbers:
        see(store, number)
        if number % 1_000 == 999:
            await store.settle()
            changelog += store.changes()
            store.changelog_offset += 1
            store.commit()


async def restored(store: DedupeStore, changelog: list[Change]) -> None:
    """Opens the partition anew."""
    begin = await store.open(LogExtent("one", "d.deliver-state", 3, 0, len(changelog)))
    for offset in range(begin, len(changelog)):
        store.restore(*changelog[offset])
        store.changelog_offset = offset + 1
        await store.settle()
    store.restored()
    await store.settle()


async def restored_and_worked(store: DedupeStore, changelog: list[Change]) -> None:
    """Opens the partition anew, and goes on with more than the disk takes."""
    await restored(store, changelog)
    await worked(store, range(len(changelog) * 1_000, 2_000_000), changelog)


async def test_a_full_disk_stops_its_partition_until_there_is_room(disk: Path) -> None:
    """The sentence says what to do; nothing is taken for new that came before, and with room it goes on by itself."""
    store = DedupeStore(window_s=100, place=KeyPlace(memory_keys_max=100, state_dir=disk))
    changelog: list[Change] = []
    await restored(store, changelog)
    with pytest.raises(LocalStoreError, match=r"the disk is full; make room") as caught:
        await worked(store, range(1_000_000), changelog)
    assert not caught.value.is_damage
    store.roll_back()
    # What is left of the last moments may fit; more does not.
    with pytest.raises(LocalStoreError, match=r"the disk is full; make room"):
        await restored_and_worked(store, changelog)
    store.roll_back()
    await asyncio.to_thread(mount_again, disk, f"size={40 * BYTES}")
    await restored(store, changelog)
    known = len(changelog) * 1_000
    assert [see(store, number) for number in (0, known // 2, known - 1)] == [DedupeResult.RETRY] * 3
    assert see(store, known) is DedupeResult.FIRST
    await store.close()


async def test_a_disk_that_became_read_only_stops_its_partition(disk: Path) -> None:
    """As an ext4 that found an error does: nothing is lost, and mounted again it goes on."""
    await asyncio.to_thread(mount_again, disk, f"size={40 * BYTES}")
    store = DedupeStore(window_s=100, place=KeyPlace(memory_keys_max=100, state_dir=disk))
    changelog: list[Change] = []
    await restored(store, changelog)
    await worked(store, range(10_000), changelog)
    await store.close()
    await asyncio.to_thread(mount_again, disk, "ro")
    with pytest.raises(LocalStoreError, match=r"cannot be written") as caught:
        await restored(store, changelog)
    assert not caught.value.is_damage
    await asyncio.to_thread(mount_again, disk, "rw")
    await restored(store, changelog)
    assert {see(store, number) for number in range(10_000)} == {DedupeResult.RETRY}
    await store.close()
