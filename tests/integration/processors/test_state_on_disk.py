"""What is remembered of deliveries on disk, while processes die, move and find their disk as it should not be."""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from ops.kafka.reader import read_topic
from tests.conftest import SettingsFactory
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    MORTAL,
    Processor,
    audited,
    deliveries,
    prepared,
    processors,
    progress,
    put,
)

pytestmark = pytest.mark.kafka


def told_by(processor: Processor) -> Sequence[Mapping[str, Any]]:
    """The lines of its log."""
    return [orjson.loads(line) for line in processor.log.read_text(encoding="utf-8").splitlines()]


def restored_keys(processor: Processor, event: str) -> list[Mapping[str, Any]]:
    return [line for line in told_by(processor) if line["event"] == event]


async def test_a_store_outlives_its_process_and_its_damage(settings: SettingsFactory, tmp_path: Path) -> None:
    """Killed with -9, the store serves the successor; damaged, it is made anew: every retry is one all the while."""
    mine = await prepared(settings(ENDPOINTS + MORTAL, environ=ENVIRON, partitions=1))
    batch = deliveries(600)
    await put(mine, batch[:300])
    state = tmp_path / "state" / f"{mine.kafka.topic_prefix}deliver-state" / "0"
    async with processors(mine, tmp_path) as start:
        killed = await start("killed")
        await progress(mine, beyond=50)
        await put(mine, batch[300:])
        # Its keys move to the disk before the next transaction; until all are there, a killed process leaves no store.
        await killed.says("state_store_created")
        killed.signal(signal.SIGKILL)
        await killed.ended()
        await put(mine, batch)
        second = await start("second")
        verdict = await audited(mine, 1_200)
        assert (verdict.clean, verdict.pending) == (True, 0), verdict
        assert len(await read_topic(mine, "duplicates")) == 600
        second.signal(signal.SIGTERM)
        assert await second.ended() == 0
        for table in state.glob("*.sst"):
            table.write_bytes(b"damaged")
        await put(mine, batch)
        third = await start("third")
        verdict = await audited(mine, 1_800)
        assert (verdict.clean, verdict.pending) == (True, 0), verdict
        assert len(await read_topic(mine, "duplicates")) == 1_200
        third.signal(signal.SIGTERM)
        assert await third.ended() == 0
        await put(mine, deliveries(5, first=601))
        fourth = await start("fourth")
        verdict = await audited(mine, 1_805)
    assert (verdict.clean, verdict.pending) == (True, 0), verdict
    assert len(restored_keys(third, "state_store_discarded")) == 1
    assert restored_keys(second, "state_store_discarded") == []
    (opened,) = restored_keys(fourth, "state_store_opened")
    assert opened["changelog_offset"] > 0
