"""`dropstream replay` on real Kafka: the same events again, once each, whatever dies meanwhile."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from ops.audit import audit, read_topic
from schemas.delivery import Delivery
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.integration.processing import (
    ENDPOINTS,
    ENVIRON,
    PROCESS,
    audited,
    deliveries,
    prepared,
    processors,
    put,
)
from tests.integration.replaying import counts, ended, events, kill, program, replay_id, says

pytestmark = pytest.mark.kafka


async def processed(settings: Settings, folder: Path, batch: Sequence[Delivery]) -> None:
    """Puts the deliveries into an empty `raw` and processes them."""
    await put(settings, batch)
    async with processors(settings, folder) as start:
        await start("once")
        assert (await audited(settings, len(batch))).clean


async def test_in_place_every_event_comes_again_marked(settings: SettingsFactory, tmp_path: Path) -> None:
    """Same ids, same topics, each event once more with the replay's id; the audit finds nothing."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await processed(mine, tmp_path, deliveries(300))
    before = {one["id"] for one in await events(mine)}
    done = await program(mine, tmp_path).run("replay", "--in-place", "--yes")
    assert done.code == 0, done
    after = await events(mine)
    again = [one for one in after if one.get("replay") == replay_id(done.out)]
    assert len(after) == 2 * len(before)
    assert {one["id"] for one in again} == before
    assert counts(done.out)["became events"] == 300
    verdict = await audit(mine)
    assert verdict.clean, verdict
    assert verdict.deliveries == 300


async def test_killed_three_times_it_loses_and_doubles_nothing(settings: SettingsFactory, tmp_path: Path) -> None:
    """kill -9 in the middle, three times; resumed, every event is there once more and the audit is at zero."""
    count = 4_000
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await processed(mine, tmp_path, deliveries(count))
    originals = {one["id"] for one in await events(mine)}
    dropstream = program(mine, tmp_path)
    running = await dropstream.start("replay", "--in-place", "--yes", "--rate", "2000")
    name = (await says(running, "id\t")).split("\t")[1].strip()
    seen = len(originals)
    for _ in range(3):
        seen = await more_events(mine, seen + 300)
        await kill(running)
        running = await dropstream.start("replay", "--in-place", "--resume", name, "--rate", "2000")
    done = await ended(running)
    assert done.code == 0, done
    assert counts(done.out)["became events"] == count
    marked = [one["id"] for one in await events(mine) if "replay" in one]
    assert sorted(marked) == sorted(originals)
    verdict = await audit(mine)
    assert verdict.clean, verdict
    assert verdict.replays == {f"events of {name}": len(originals)}
    again = await dropstream.run("replay", "--resume", name)
    assert (again.code, "finished already" in again.out) == (0, True)


async def more_events(settings: Settings, least: int) -> int:
    """How many events there are, once there are at least so many."""
    async with asyncio.timeout(60):
        while (found := len(await events(settings))) < least:  # noqa: ASYNC110 the log is elsewhere
            await asyncio.sleep(0.05)
    return found


async def test_into_topics_of_its_own_everything_is_there(settings: SettingsFactory, tmp_path: Path) -> None:
    """Events, rejections and notes of retries of the range, in topics made like the originals; live ones untouched."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    batch = deliveries(100)
    await processed(mine, tmp_path, [*batch, *batch[:10]])
    live = await events(mine)
    done = await program(mine, tmp_path).run("replay", "--into", "fixed", "--yes")
    assert done.code == 0, done
    copied = await events(mine, "orders.fixed", "inventory.fixed", "catalog.fixed", "incidents.fixed", "other.fixed")
    assert {one.pop("replay") for one in copied} == {replay_id(done.out)}
    assert sorted(copied, key=str) == sorted(live, key=str)
    assert len(await read_topic(mine, "duplicates.fixed")) == len(await read_topic(mine, "duplicates")) == 10
    assert sorted(await events(mine), key=str) == sorted(live, key=str)
    assert (await audit(mine)).clean
    refused = await program(mine, tmp_path).run("replay", "--into", "fixed", "--yes")
    assert (refused.code, refused.out) == (1, "")
    assert f"hold the data of {replay_id(done.out)}" in refused.err
