"""A replay that is killed, fenced, interrupted, or overtaken by retention: nothing is lost, doubled or passed over."""

import signal
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from ops.audit.run import audit
from ops.kafka.clients import admin
from ops.replay.store import read_store
from tests.conftest import SettingsFactory
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    MORTAL,
    PROCESS,
    STARTED_AT,
    deliveries,
    prepared,
    processed,
)
from tests.support.replaying import counts, ended, events, kill, more_events, program, says

pytestmark = pytest.mark.kafka

# A rate at which a transaction has a hundred records: at the death with the fifth, most of a range is still to come.
SMALL = "400"
DEATHS = ("all_sent", "commit_on_its_way", "committed")
# A rate at which no run comes to its end while a test waits, and each transaction has one record.
ENDLESS = "1"


async def test_killed_three_times_it_loses_and_doubles_nothing(settings: SettingsFactory, tmp_path: Path) -> None:
    """kill -9 at three steps of a transaction; resumed, every event is there once more and the audit is at zero."""
    count = 4_000
    mine = await prepared(settings(ENDPOINTS + MORTAL, environ=ENVIRON))
    await processed(mine, tmp_path, deliveries(count))
    originals = {one["id"] for one in await events(mine)}
    dropstream = program(mine, tmp_path)
    name = ""
    for step in DEATHS:
        begun = ("--resume", name) if name else ("--yes",)
        killed = await dropstream.start("replay", "--in-place", *begun, "--rate", SMALL, dies_at=step)
        name = name or (await says(killed, "id\t")).split("\t")[1].strip()
        assert (await ended(killed)).code == -signal.SIGKILL, step
    assert 0 < len([one for one in await events(mine) if "replay" in one]) < len(originals)
    done = await dropstream.run("replay", "--in-place", "--resume", name)
    assert done.code == 0, done
    assert counts(done.out)["became events"] == count
    marked = [one["id"] for one in await events(mine) if "replay" in one]
    assert sorted(marked) == sorted(originals)
    verdict = await audit(mine)
    assert verdict.clean, verdict
    assert verdict.replays == {name: len(originals)}
    again = await dropstream.run("replay", "--resume", name)
    assert (again.code, "finished already" in again.out) == (0, True)


async def test_of_two_with_one_id_the_first_ends(settings: SettingsFactory, tmp_path: Path) -> None:
    """Whoever resumes fences whoever runs: one sentence, exit code 1, nothing doubled."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await processed(mine, tmp_path, deliveries(600))
    dropstream = program(mine, tmp_path)
    first = await dropstream.start("replay", "--in-place", "--yes", "--rate", ENDLESS)
    name = (await says(first, "id\t")).split("\t")[1].strip()
    await says(first, "should it end early")
    await more_events(mine, 1, marked=True)
    second = await dropstream.run("replay", "--resume", name)
    beaten = await ended(first)
    assert second.code == 0, second
    assert beaten.code == 1
    assert beaten.err.splitlines() == [
        f"error: {name}: another process goes on with it, or this one was frozen too long; this one ends",
        f"go on with: dropstream replay --resume {name}",
    ]
    assert (await audit(mine)).clean


async def test_ctrl_c_says_how_to_go_on(settings: SettingsFactory, tmp_path: Path) -> None:
    """Interrupted in the middle it ends with 130 and the command that finishes it."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await processed(mine, tmp_path, deliveries(300))
    dropstream = program(mine, tmp_path)
    running = await dropstream.start("replay", "--in-place", "--yes", "--rate", ENDLESS)
    name = (await says(running, "id\t")).split("\t")[1].strip()
    await more_events(mine, 1, marked=True)
    running.send_signal(signal.SIGINT)
    stopped = await ended(running)
    assert stopped.code == 130, stopped
    assert stopped.err == f"error: interrupted; nothing is lost, go on with: dropstream replay --resume {name}\n"
    done = await dropstream.run("replay", "--resume", name)
    assert (done.code, counts(done.out)["became events"]) == (0, 300)
    assert (await audit(mine)).clean


async def test_what_retention_has_eaten_is_not_replayed_quietly(settings: SettingsFactory, tmp_path: Path) -> None:
    """A range whose beginning is deleted is refused by offset and by time, with what is left; the rest can be had."""
    mine = await prepared(settings(ENDPOINTS + MORTAL, environ=ENVIRON, partitions=1))
    await processed(mine, tmp_path, deliveries(100))
    raw = TopicPartition(f"{mine.kafka.topic_prefix}raw", 0)
    async with admin(mine) as client:
        await client.delete_records({raw: RecordsToDelete(before_offset=60)})
    dropstream = program(mine, tmp_path)
    left = (STARTED_AT + timedelta(milliseconds=61)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    by_offset = await dropstream.run("replay", "--from", "0:59", "--in-place", "--yes")
    assert (by_offset.code, by_offset.out) == (1, "")
    assert by_offset.err == (
        f"error: --from 0:59 is not there: partition 0 of {raw.topic} has offsets 60 to 99, since {left}\n"
    )
    early = STARTED_AT.isoformat()
    by_time = await dropstream.run("replay", "--from", early, "--in-place", "--yes")
    assert (by_time.code, by_time.out) == (1, "")
    assert by_time.err.endswith(f"is deleted already; {raw.topic} is whole from {left} on\n")
    running = await dropstream.start("replay", "--from", "0:60", "--in-place", "--yes", "--rate", ENDLESS)
    await more_events(mine, 1, marked=True)
    await kill(running)
    async with admin(mine) as client:
        await client.delete_records({raw: RecordsToDelete(before_offset=99)})
    (name,) = (await read_store(mine)).plans
    resumed = await dropstream.run("replay", "--resume", name)
    assert resumed.code == 1
    assert resumed.err.endswith("to 98 were deleted before they were read; begin anew with --from 0:99\n")
    assert len(resumed.err.splitlines()) == 1
