"""`dropstream replay` on real Kafka: the same events again, once each, whatever dies meanwhile."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from ops.audit.run import audit
from ops.kafka.reader import read_topic
from processors.deliver.provider import Fact, Interpretation, Message, Provider
from processors.groups import deliver_group
from processors.metrics import ProcessMetrics
from processors.providers import discover
from schemas.event_data import OtherData
from schemas.notes.rejections import Rejection
from schemas.settings import Settings
from schemas.vocabulary import Domain
from tests.conftest import SettingsFactory
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    PROCESS,
    audited,
    deliveries,
    prepared,
    processed,
    put,
)
from tests.support.replaying import counts, events, program, replay_id, resigned

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
    as_json = await dropstream.run("replay", "--provider", "dropea", "--dry-run", "--json")
    plan, differences = map(json.loads, as_json.out.splitlines())
    assert (plan["plan"]["id"], plan["plan"]["source"], plan["plan"]["into"]) == (None, "raw", [])
    assert sum(one["deliveries"] for one in plan["plan"]["chosen"]) == plan["plan"]["deliveries"] > 0
    assert sum(one["deliveries"] for one in differences["differences"]) == plan["plan"]["deliveries"]
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
