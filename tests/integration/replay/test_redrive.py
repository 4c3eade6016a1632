"""`dropstream redrive` on real Kafka: what was rejected and is good today is an event, once."""

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from uuid_utils import uuid7

from ops.audit.run import audit
from ops.kafka.offsets import groups
from ops.kafka.ranges import parse_span
from ops.kafka.reader import read_topic
from ops.replay.plan import make_plan
from ops.replay.run import Pace, ReplayRun
from ops.replay.store import keep_plan, read_store
from processors.groups import deliver_rules
from processors.providers import discover
from schemas.delivery import Delivery, read_record
from schemas.notes.replays import Choice
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    MORTAL,
    PROCESS,
    deliveries,
    prepared,
    processed,
    processors,
    put,
    signed,
)
from tests.support.replaying import counts, ended, events, program, replay_id, resigned, says
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kafka

WRONG = {"SECRET": "monday-s-wrong-secret"}


def orders(*numbers: int) -> list[Delivery]:
    """ShipStream's orders of these sequence ids, rightly signed."""
    sample = next(one for one in discover()["shipstream"].samples if one.name == "shipstream-order-created")
    return [signed(sample, "shipstream", "shipstream", number) for number in numbers]


async def test_a_wrong_secret_on_monday_is_mended_on_tuesday(settings: SettingsFactory, tmp_path: Path) -> None:
    """After the fix one redrive makes every rejected delivery an event, in order, nothing twice; the audit is clean."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    monday = deliveries(400)
    retried = monday[50:60]
    assert (await processed(mine, tmp_path, [*monday, *retried], total=410, environ=WRONG)).clean
    rejected = await read_topic(mine, "rejected")
    assert len(rejected) >= 300
    tuesday = deliveries(100, first=401)
    assert (await processed(mine, tmp_path, tuesday, total=510)).clean
    dropstream = program(mine, tmp_path)
    looked = await dropstream.run("redrive", "--endpoint", "shipstream", "--reason", "signature_invalid", "--dry-run")
    before = await events(mine)
    done = await dropstream.run("redrive", "--endpoint", "shipstream", "--reason", "signature_invalid", "--yes")
    assert (looked.code, done.code) == (0, 0), (looked, done)
    assert {**counts(looked.out)} == {**counts(done.out)}
    name = replay_id(done.out)
    redriven = [one for one in await events(mine) if one.get("replay") == name]
    wanted = {read_record(one).id for one in rejected if read_record(one).endpoint == "shipstream"}
    again = {one.id for one in retried}
    first_tries = {one.id for one in monday if one.endpoint == "shipstream"}
    assert {one["delivery"] for one in redriven} == wanted - (again - first_tries)
    ids = [one["id"] for one in await events(mine)]
    assert len(ids) == len(set(ids)) == len(before) + len(redriven)
    verdict = await audit(mine)
    assert verdict.clean, verdict
    assert verdict.outputs["rejected"] == len(rejected)
    second = await dropstream.run("redrive", "--endpoint", "shipstream", "--yes")
    assert counts(second.out)["became events"] == 0
    assert len(await events(mine)) == len(ids)


async def test_a_redriven_delivery_fills_its_gap(settings: SettingsFactory, tmp_path: Path) -> None:
    """What was rejected left a gap in ShipStream's numbers; its redrive fills that, id by id."""
    mine = await prepared(settings(ENDPOINTS + PROCESS + "[sequence]\ngrace_seconds = 1\n", environ=ENVIRON))
    await processed(mine, tmp_path, orders(1, 2), total=2)
    await processed(mine, tmp_path, orders(3, 4, 5), total=5, environ=WRONG)
    await put(mine, orders(6))
    async with processors(mine, tmp_path) as start:
        await start("tuesday")
        assert await gaps(mine, 1) == [("open", 3, 5)]
        done = await program(mine, tmp_path).run("redrive", "--yes")
        assert done.code == 0, done
        assert (await gaps(mine, 4))[1:] == [("filled", 3, 3), ("filled", 4, 4), ("filled", 5, 5)]


async def gaps(settings: Settings, count: int) -> list[tuple[str, int, int]]:
    """State, first and last id of the records of `gaps`, once there are so many."""
    async with asyncio.timeout(PATIENCE_S):
        while len(found := await read_topic(settings, "gaps")) < count:  # noqa: ASYNC110 the log is elsewhere
            await asyncio.sleep(0.1)
    told = [orjson.loads(record.value or b"") for record in found]
    return [(one["state"], one["first"], one["last"]) for one in told]


async def test_what_came_through_otherwise_is_not_redriven(settings: SettingsFactory, tmp_path: Path) -> None:
    """A rejected delivery whose retry was taken adds nothing; one of the same number with another body is its own."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    (order,) = orders(1)
    other = resigned(order, order.body.replace(b"{", b"{ ", 1))
    await processed(mine, tmp_path, [order, other], total=2, environ=WRONG)
    await processed(mine, tmp_path, [replace(order, id=str(uuid7()))], total=3)
    before = await events(mine)
    done = await program(mine, tmp_path).run("redrive", "--yes")
    assert done.code == 0, done
    assert (counts(done.out)["became events"], counts(done.out)["events already"]) == (1, 1)
    after = await events(mine)
    assert {one["delivery"] for one in after if "replay" in one} == {other.id}
    assert {one.get("bodydiffers") for one in after if "replay" in one} == {True}
    assert len({one["id"] for one in after}) == len(after) == 2 * len(before)
    again = await program(mine, tmp_path).run("redrive", "--yes")
    assert counts(again.out)["became events"] == 0
    assert (await audit(mine)).clean


async def test_killed_three_times_a_redrive_doubles_nothing(settings: SettingsFactory, tmp_path: Path) -> None:
    """kill -9 at three steps of a transaction, resumed or begun anew: every rejected delivery is one event."""
    count = 1_000
    mine = await prepared(settings(ENDPOINTS + MORTAL, environ=ENVIRON))
    await processed(mine, tmp_path, orders(*range(1, count + 1)), total=count, environ=WRONG)
    dropstream = program(mine, tmp_path)
    arguments: tuple[str, ...] = ("--yes",)
    name = ""
    for turn, step in enumerate(("all_sent", "commit_on_its_way", "committed")):
        # At this rate a transaction has 50 records, so each death comes with most of them still to do.
        killed = await dropstream.start("redrive", *arguments, "--rate", "200", dies_at=step)
        if "--yes" in arguments:
            name = (await says(killed, "id\t")).split("\t")[1].strip()
        assert (await ended(killed)).code == -signal.SIGKILL, step
        # Once by its id, and once as another that knows nothing of it.
        arguments = ("--resume", name) if turn % 2 else ("--yes",)
    done = await dropstream.run("redrive", *arguments)
    assert done.code == 0, done
    found = await events(mine)
    # An order, and what it does to the stock of its two products.
    assert len(found) == len({one["id"] for one in found}) == 3 * count
    assert {int(one["rawoffset"]) for one in found} == set(range(count))
    assert (await audit(mine)).clean


async def test_its_bar_ends_full_and_it_makes_no_group(settings: SettingsFactory, tmp_path: Path) -> None:
    """The bar counts offsets, the marks of transactions among them; there is no group whose lag would grow for ever."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await processed(mine, tmp_path, orders(1, 2, 3, 4), environ=WRONG)
    plan = await make_plan(mine, "redrive-20261127T120000Z-3fa9c1", "rejected", Choice(), parse_span(None, None))
    await keep_plan(mine, plan)
    rules, done = deliver_rules(mine.endpoints, mine, discover()), list[int]()
    counted = await ReplayRun(mine, plan, rules, Pace(), done.append).run()
    assert counted.became == 4
    assert sum(done) == sum(one.count for one in plan.ranges) > 4
    assert (await read_store(mine)).offsets_done(plan) <= sum(done)
    known = await groups(mine)
    assert f"{mine.kafka.topic_prefix}deliver" in known
    assert [one for one in known if plan.id in one] == []
