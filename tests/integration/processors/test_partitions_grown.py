"""Partitions that a foreign hand adds: nobody processes a key apart from what is remembered of it."""

import asyncio
from pathlib import Path

import pytest

from ops.kafka.layouts import current_layout, put_layout
from ops.kafka.migration import migrate
from ops.kafka.reader import read_topic
from schemas.notes.layouts import Layout, MigrationPhase
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.histories import grow
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, audited, deliveries, prepared, processors, put
from tests.support.raw_http import post
from tests.support.serving import serving, serving_settings
from tests.support.waiting import until, until_it_is

pytestmark = pytest.mark.kafka

SENTENCE = (
    "raw has 6, {0}deliver-state has 6 partitions, and keys are placed among 3: a foreign hand changed the topics"
)


async def test_partitions_that_a_foreign_hand_added_are_refused_until_a_migration(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """Processors end with a sentence, at once and at their start; `--migrate` then drops every retry of meanwhile."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await put(mine, deliveries(60))
    async with processors(mine, tmp_path) as start:
        running = await start("running")
        assert (await audited(mine, 60)).pending == 0
        await grow(mine, 6, "raw", "deliver-state")
        assert await running.ended() == 1
        late = await start("late")
        assert await late.ended() == 1
    for one in (running, late):
        said = one.log.read_text(encoding="utf-8")
        assert SENTENCE.format(mine.kafka.topic_prefix) in said
        assert "dropstream topics apply --migrate" in said
    await put(mine, deliveries(60))  # All of them are retries, among six partitions, as an old ingress places them.
    new = mine.model_copy(update={"kafka": mine.kafka.model_copy(update={"partitions": 6})})
    async with processors(mine, tmp_path) as start, asyncio.TaskGroup() as group:
        moving = group.create_task(migrate(new, lambda _line: None))
        await until_it_is(lambda: _is_moving(new))
        await start("after")
        assert (await moving).partitions == 6
        verdict = await audited(new, 120)
    assert verdict.clean, verdict.findings[:5]
    assert (verdict.pending, verdict.outputs["duplicates"]) == (0, 60)


async def _is_moving(settings: Settings) -> bool:
    layout = await current_layout(settings)
    return layout is not None and layout.phase is not None


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
