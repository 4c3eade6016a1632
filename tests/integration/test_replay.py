"""`dropstream replay` on real Kafka: the same events again, once each, whatever dies meanwhile."""

import asyncio
import base64
import hmac
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from prometheus_client import CollectorRegistry
from uuid_utils import uuid7

from ops.audit import audit, read_topic
from ops.cluster import admin
from processors.groups import deliver_group
from processors.metrics import ProcessMetrics
from processors.provider import Fact, Interpretation, Message, Provider, discover
from schemas.delivery import Delivery
from schemas.event_data import OtherData
from schemas.rejections import Rejection
from schemas.settings import Settings
from schemas.vocabulary import Domain
from tests.conftest import SettingsFactory
from tests.integration.processing import (
    ENDPOINTS,
    ENVIRON,
    PROCESS,
    SECRET,
    STARTED_AT,
    audited,
    deliveries,
    prepared,
    processed,
    put,
)
from tests.integration.replaying import counts, ended, events, kill, program, replay_id, says

pytestmark = pytest.mark.kafka


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


async def test_a_parser_s_bug_is_seen_copied_and_mended(settings: SettingsFactory, tmp_path: Path) -> None:
    """The dry run names what differs by offset, the copy has it right, and in place the last word is the right one."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await put(mine, deliveries(200))
    await processed_with(mine, {**discover(), "dropea": with_a_bug(discover()["dropea"])}, 200)
    dropstream = program(mine, tmp_path)
    looked = await dropstream.run("replay", "--provider", "dropea", "--dry-run")
    assert looked.code == 0, looked
    told = counts(looked.out)
    bad = [one for one in await events(mine) if one["type"] == "dropstream.other.buggy"]
    wrong = {f"{one['rawpartition']}:{one['rawoffset']}" for one in bad}
    assert told["moved domain"] == len(wrong) > 0
    first = next(line for line in looked.out.splitlines() if line.startswith("moved domain")).split("\t")[2]
    assert {one.split(" ")[0] for one in first.split(", ")} <= wrong
    assert len(first.split(", ")) == 5
    copied = await dropstream.run("replay", "--provider", "dropea", "--into", "fixed", "--yes")
    mended = await dropstream.run("replay", "--provider", "dropea", "--in-place", "--yes")
    assert (copied.code, mended.code) == (0, 0), (copied, mended)
    copies = await events(mine, "orders.fixed", "inventory.fixed", "incidents.fixed", "catalog.fixed", "other.fixed")
    marked = [one for one in await events(mine) if one.get("replay") == replay_id(mended.out)]
    assert not [one for one in marked if one["type"] == "dropstream.other.buggy"]
    assert unmarked(copies) == unmarked(marked)
    again = await dropstream.run("replay", "--provider", "dropea", "--dry-run")
    assert counts(again.out)["the same"] == sum(told[kind] for kind in ("moved domain", "the same") if kind in told)
    verdict = await audit(mine)
    assert verdict.clean, verdict


def with_a_bug(provider: Provider) -> Provider:
    """The provider, its orders mistaken for something else."""

    def interpret(message: Message) -> Interpretation | Rejection:
        meaning = provider.interpret(message)
        if isinstance(meaning, Rejection) or meaning.facts[0].domain is not Domain.ORDER:
            return meaning
        facts = tuple(Fact(Domain.OTHER, "buggy", fact.entity_id, OtherData(payload={})) for fact in meaning.facts)
        return replace(meaning, facts=facts)

    return replace(provider, interpret=interpret)


async def processed_with(settings: Settings, providers: Mapping[str, Provider], count: int) -> None:
    """Processes what is in `raw` with these providers, in this process."""
    stopping = asyncio.Event()
    group = deliver_group(settings, providers, ProcessMetrics(CollectorRegistry()), stopping)
    async with asyncio.TaskGroup() as together:
        together.create_task(group.run())
        try:
            assert (await audited(settings, count)).clean
        finally:
            stopping.set()


def unmarked(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(({**one, "replay": ""} for one in found), key=str)


async def test_a_retry_in_the_range_of_a_first_try_before_it_is_no_event(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """What was dropped as a retry at first is dropped by the replay too, and what differed keeps its id."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
    first = deliveries(20)
    sample = next(one for one in first if one.endpoint == "shipstream")
    other_body = resigned(sample, sample.body.replace(b"{", b"{ ", 1))
    await processed(mine, tmp_path, [*first, *first[:7], other_body, *deliveries(5, first=21)])
    before = await events(mine)
    assert len([one for one in before if one.get("bodydiffers")]) > 0
    done = await program(mine, tmp_path).run("replay", "--from", "0:20", "--in-place", "--yes")
    assert done.code == 0, done
    assert (counts(done.out)["retries"], counts(done.out)["became events"]) == (7, 6)
    again = {one["id"] for one in await events(mine) if "replay" in one}
    assert again == {one["id"] for one in before if int(one["rawoffset"]) >= 20}
    assert (await audit(mine)).clean


def resigned(delivery: Delivery, body: bytes) -> Delivery:
    """The delivery with another body, rightly signed by ShipStream's rule."""
    signature = base64.b64encode(hmac.digest(SECRET, body, "sha256"))
    return replace(delivery, id=str(uuid7()), body=body, headers=(("x-plugin-hmac-sha256", signature),))


async def test_of_two_with_one_id_the_first_ends(settings: SettingsFactory, tmp_path: Path) -> None:
    """Whoever resumes fences whoever runs: one sentence, exit code 1, nothing doubled."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await processed(mine, tmp_path, deliveries(600))
    dropstream = program(mine, tmp_path)
    first = await dropstream.start("replay", "--in-place", "--yes", "--rate", "100")
    name = (await says(first, "id\t")).split("\t")[1].strip()
    await says(first, "should it end early")
    await marked_events(mine, 1)
    second = await dropstream.run("replay", "--resume", name)
    beaten = await ended(first)
    assert second.code == 0, second
    assert beaten.code == 1
    assert beaten.err.splitlines() == [
        f"error: {name}: another process goes on with it, or this one was frozen too long; this one ends",
        f"go on with: dropstream replay --resume {name}",
    ]
    assert (await audit(mine)).clean


async def marked_events(settings: Settings, least: int) -> None:
    """Returns once there are so many events of a replay."""
    async with asyncio.timeout(60):
        while len([one for one in await events(settings) if "replay" in one]) < least:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_ctrl_c_says_how_to_go_on(settings: SettingsFactory, tmp_path: Path) -> None:
    """Interrupted in the middle it ends with 130 and the command that finishes it."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await processed(mine, tmp_path, deliveries(300))
    dropstream = program(mine, tmp_path)
    running = await dropstream.start("replay", "--in-place", "--yes", "--rate", "20")
    name = (await says(running, "id\t")).split("\t")[1].strip()
    await marked_events(mine, 1)
    running.send_signal(signal.SIGINT)
    stopped = await ended(running)
    assert stopped.code == 130, stopped
    assert stopped.err == f"error: interrupted; nothing is lost, go on with: dropstream replay --resume {name}\n"
    done = await dropstream.run("replay", "--resume", name)
    assert (done.code, counts(done.out)["became events"]) == (0, 300)
    assert (await audit(mine)).clean


async def test_what_retention_has_eaten_is_not_replayed_quietly(settings: SettingsFactory, tmp_path: Path) -> None:
    """A range whose beginning is deleted is refused by offset and by time, with what is left; the rest can be had."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
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
    done = await dropstream.run("replay", "--from", "0:60", "--in-place", "--yes")
    assert (done.code, counts(done.out)["became events"]) == (0, 40)
