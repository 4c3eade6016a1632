"""More partitions under load: keys, what is remembered of them and offsets move, and the audit finds nothing."""

import asyncio
import signal
from collections import deque
from itertools import count
from pathlib import Path

import aiohttp
import pytest

from ops.kafka.migration import migrate
from ops.kafka.reader import read_topic
from processors.providers import discover
from schemas.delivery import Delivery
from schemas.kafka.partitions import partition_of
from schemas.notes.duplicates import read_duplicate
from schemas.notes.gaps import GapState, read_gap
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    MORTAL,
    audited,
    deliveries,
    prepared,
    processors,
    progress,
    put,
    signed,
)
from tests.support.replaying import Program, counts, ended
from tests.support.serving import serving
from tests.support.waiting import PATIENCE_S, until

pytestmark = pytest.mark.kafka


def with_partitions(settings: Settings, count: int) -> Settings:
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"partitions": count})})


class Load:
    """Signed deliveries to an ingress, one after the other, each third one twice; `late` are sent when it ends."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sent = 0
        self.retries: set[str] = set()
        self.late: list[Delivery] = []
        self._stopping = False

    async def run(self) -> None:
        """Sends until it is stopped."""
        async with aiohttp.ClientSession() as client:
            before: deque[Delivery] = deque(maxlen=30)
            for number in count(1):
                if self._stopping:
                    break
                delivery = numbered(number)
                if delivery.endpoint.startswith("shipstream") and number % 40 < 3:
                    self.late.append(delivery)  # A hole until the load ends.
                    continue
                await self._post(client, delivery)
                before.append(delivery)
                if number % 3 == 0:
                    self.retries.add(await self._post(client, before[0]))
            for delivery in self.late:
                await self._post(client, delivery)

    async def more(self, number: int) -> None:
        """Returns when so many more were answered."""
        target = self.sent + number
        await until(lambda: self.sent >= target)

    def stop(self) -> None:
        """Sends what is late, and nothing else."""
        self._stopping = True

    async def _post(self, client: aiohttp.ClientSession, delivery: Delivery) -> str:
        url = f"http://127.0.0.1:{self.port}/webhooks/{delivery.endpoint}"
        headers = [(name, value.decode()) for name, value in delivery.headers]
        async with client.post(url, data=delivery.body, headers=headers) as response:
            assert response.status == 200
            self.sent += 1
            return response.headers["Dropstream-Delivery"]


def numbered(number: int) -> Delivery:
    """The delivery of that number; the samples of every provider take turns."""
    samples = [(sample, provider.name) for provider in discover().values() for sample in provider.samples]
    sample, provider = samples[number % len(samples)]
    return signed(sample, provider, provider.replace("_", "-"), number)


async def test_from_4_to_12_partitions_nothing_is_lost_doubled_or_forgotten(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """Retries of moved endpoints are dropped after the migration as before it, by a replay too, and order holds."""
    old = await prepared(settings(ENDPOINTS + MORTAL, environ=ENVIRON, partitions=4))
    new = with_partitions(old, 12)
    first = deliveries(200)
    moved = {one.endpoint for one in first if partition_of(one.endpoint.encode(), 12) >= 4}
    assert moved, "the test needs endpoints whose partition changes"
    await put(old, first)
    async with processors(old, tmp_path) as start:
        one, two = await start("one"), await start("two")
        await progress(old, beyond=0)
        told: list[str] = []
        layout = await migrate(new, told.append)
        assert (layout.partitions, [(move.before, move.after) for move in layout.moves]) == (12, [(4, 12)])
        await put(new, deliveries(200))  # All of them are retries.
        await put(new, deliveries(100, first=201))
        verdict = await audited(new, 500)
        for program in (one, two):
            assert program.process.returncode is None, program.log.read_text(encoding="utf-8")[-2000:]
    assert verdict.clean, verdict.findings[:5]
    assert (verdict.pending, verdict.outputs["duplicates"]) == (0, 200)
    raw = await read_topic(new, "raw")
    assert {one.position.partition for one in raw if (one.key or b"").decode() in moved} & set(range(4, 12))
    replay = await ended(await Program(new, tmp_path, ENVIRON).start("replay", "--in-place", "--yes"))
    assert replay.code == 0, replay.err
    assert counts(replay.out)["retries"] == 200
    assert (await audited(new, 500)).clean


async def told(process: asyncio.subprocess.Process, text: str) -> None:
    """Returns once the program has said that it does this."""
    assert process.stderr is not None
    said = ""
    async with asyncio.timeout(PATIENCE_S):
        while text not in (line := (await process.stderr.readline()).decode()):
            assert line, f"it ended without saying so: {said}"
            said += line


async def test_killed_twice_under_load_a_migration_goes_on(settings: SettingsFactory, tmp_path: Path) -> None:
    """kill -9 while the old partitions are read, and while state moves: another call ends it, the audit is clean."""
    tables = f'[ingest]\nhost = "127.0.0.1"\nport = 0\nspool_dir = "{tmp_path / "spool"}"\n{ENDPOINTS}{MORTAL}'
    tables += "[sequence]\ngrace_seconds = 1\n"
    old = await prepared(settings(tables, environ=ENVIRON, partitions=3))
    new = with_partitions(old, 12)
    dropstream = Program(new, tmp_path, ENVIRON)
    async with processors(old, tmp_path) as start, serving(old) as front:
        processor = await start("one")
        load = Load(front.port)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            await load.more(150)
            for step in ("moving from 3 to 12 partitions", "retries of partition 1"):
                killed = await dropstream.start("topics", "apply", "--migrate")
                await told(killed, step)
                killed.kill()
                assert (await ended(killed)).code == -signal.SIGKILL
                await load.more(30)
            last = await ended(await dropstream.start("topics", "apply", "--migrate"))
            assert last.code == 0, last.err
            await load.more(100)
            load.stop()
        await until(lambda: not front.ingress.storage.figures().deliveries)
        verdict = await audited(new, load.sent)
        assert processor.process.returncode is None, processor.log.read_text(encoding="utf-8")[-2000:]
    assert verdict.clean, verdict.findings[:5]
    assert verdict.pending == 0
    dropped = {note.delivery for one in await read_topic(new, "duplicates") if (note := read_duplicate(one.value))}
    assert load.retries <= dropped
    assert len(load.retries) > 80
    gaps = {gap.state for one in await read_topic(new, "gaps") if (gap := read_gap(one.value))}
    assert gaps == {GapState.OPEN, GapState.FILLED}
    assert {one.position.partition for one in await read_topic(new, "raw")} >= {3, 4, 9, 10}
