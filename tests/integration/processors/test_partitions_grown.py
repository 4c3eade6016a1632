"""Partitions that a foreign hand adds: nobody processes a key apart from what is remembered of it."""

from pathlib import Path

import pytest

from ops.kafka.layouts import put_layout
from ops.kafka.reader import read_topic
from schemas.notes.layouts import Layout, MigrationPhase
from tests.conftest import SettingsFactory
from tests.support.histories import grow
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, deliveries, prepared, processors, put
from tests.support.raw_http import post
from tests.support.serving import serving, serving_settings
from tests.support.waiting import until

pytestmark = pytest.mark.kafka

SENTENCE = (
    "raw has 6, {0}deliver-state has 6 partitions, and keys are placed among 3: a foreign hand changed the topics"
)


async def test_processors_refuse_partitions_that_a_foreign_hand_added(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """At their start and while they run they end with a sentence that names the topics and the way out."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await put(mine, deliveries(30))
    async with processors(mine, tmp_path) as start:
        running = await start("running")
        await running.says("partition_opened")
        await grow(mine, 6, "raw", "deliver-state")
        assert await running.ended() == 1
        late = await start("late")
        assert await late.ended() == 1
    for one in (running, late):
        said = one.log.read_text(encoding="utf-8")
        assert SENTENCE.format(mine.kafka.topic_prefix) in said
        assert "dropstream topics apply --migrate" in said


async def test_an_ingress_places_keys_by_the_layout(settings: SettingsFactory, tmp_path: Path) -> None:
    """Beside partitions that a foreign hand added it goes on with the old ones, and spools while a migration runs."""
    mine = await prepared(serving_settings(settings, spool=tmp_path / "spool"))
    await grow(mine, 6, "raw")
    async with serving(mine) as running:
        for number in range(20):
            assert (await running.ask(post("/webhooks/laned", b"%d" % number))).status == 200
        assert running.requests("laned", "stored") == 20
        await put_layout(mine, Layout(partitions=3, target=6, phase=MigrationPhase.DRAIN))
        await until(lambda: not running.ingress.publisher.takes_something)
        for number in range(20, 40):
            assert (await running.ask(post("/webhooks/laned", b"%d" % number))).status == 200
        assert running.requests("laned", "spooled") == 20
        assert {one.position.partition for one in await read_topic(mine, "raw")} == {0, 1, 2}
        await put_layout(mine, Layout(partitions=6))
        await until(lambda: not running.ingress.storage.figures().deliveries)
    records = await read_topic(mine, "raw")
    assert sorted(int(one.value or b"") for one in records) == list(range(40))
    assert {one.position.partition for one in records if int(one.value or b"") >= 20} & {3, 4, 5}
