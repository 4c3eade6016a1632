"""`dropstream audit --since-last` on real Kafka: it goes on where the last clean audit of everything ended."""

import asyncio
import signal
from pathlib import Path

import pytest

from ops.audit.run import audit
from ops.kafka.reader import read_topic
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.auditing import judged, since_last, state, verdict, write_copy
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, audited, deliveries, prepared, processors, put
from tests.support.replaying import Ended, counts, events, kill, more_events, program, replay_id, says

pytestmark = pytest.mark.kafka

WRONG = {"SECRET": "monday-s-wrong-secret"}
_BATCH = 20


@pytest.fixture
async def mine(settings: SettingsFactory) -> Settings:
    return await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))


async def test_only_what_came_since_the_last_clean_audit_is_judged(mine: Settings, tmp_path: Path) -> None:
    """The first audit judges everything, the second the new deliveries alone, the third none; each is kept."""
    async with processors(mine, tmp_path) as start:
        await start("processor")
        await put(mine, deliveries(90))
        await audited(mine, 90)
        assert (await state(mine)).checkpoint is None
        first = await since_last(mine, tmp_path)
        assert (first.code, judged(first), verdict(first)) == (0, 90, "clean"), first
        await put(mine, deliveries(40, first=91))
        await audited(mine, 130)
        second = await since_last(mine, tmp_path)
        assert (second.code, judged(second), verdict(second)) == (0, 40, "clean"), second
        third = await since_last(mine, tmp_path)
        assert (third.code, judged(third), verdict(third)) == (0, 0, "clean"), third
        kept = await state(mine)
        assert kept.result is not None
        assert (kept.result.status, kept.result.deliveries, kept.result.exceptions) == ("clean", 0, {})
        everything = await program(mine, tmp_path).run("audit")
        assert (everything.code, judged(everything)) == (0, 130), everything


async def test_deliveries_that_come_during_the_audits_are_judged_once(mine: Settings, tmp_path: Path) -> None:
    """Audits one after the other under load: each is clean, and together they judge every delivery exactly once."""
    stopped = asyncio.Event()
    sent = 0

    async def load() -> None:
        nonlocal sent
        while not stopped.is_set():
            await put(mine, deliveries(_BATCH, first=sent + 1))
            sent += _BATCH

    told: list[Ended] = []
    async with processors(mine, tmp_path) as start:
        await start("processor")
        async with asyncio.TaskGroup() as beside:
            beside.create_task(load())
            while len([one for one in told if judged(one)]) < 4:
                told.append(await since_last(mine, tmp_path))
            stopped.set()
        assert (await audited(mine, sent)).clean
        told.append(await since_last(mine, tmp_path))
    assert [(one.code, verdict(one)) for one in told] == [(0, "clean")] * len(told), told
    assert sum(map(judged, told)) == sent


async def test_an_old_record_that_is_doubled_later_is_named_until_it_is_accepted(
    mine: Settings, tmp_path: Path
) -> None:
    """A copy is `doubled`, the checkpoint stays, and the next audit says it again; until a person accepts it."""
    async with processors(mine, tmp_path) as start:
        await start("processor")
        await put(mine, deliveries(60))
        await audited(mine, 60)
        assert (await since_last(mine, tmp_path)).code == 0
        clean = await state(mine)
        (event, *_) = await read_topic(mine, "orders")
        await write_copy(mine, "orders", event)
        await put(mine, deliveries(30, first=61))
        await audited(mine, 90)
        for _ in range(2):
            told = await since_last(mine, tmp_path)
            assert (told.code, verdict(told), judged(told)) == (1, "exceptions", 30), told
            assert [line.split("\t")[1] for line in told.out.splitlines() if line.startswith("doubled\t")][:1] == ["1"]
            kept = await state(mine)
            assert kept.checkpoint == clean.checkpoint
            assert kept.result is not None
            assert (kept.result.status, kept.result.exceptions) == ("exceptions", {"doubled": 1})
        accepted = await program(mine, tmp_path).run("audit", "--since-last", "--accept")
        assert (accepted.code, verdict(accepted)) == (1, "exceptions"), accepted
        after = await since_last(mine, tmp_path)
        assert (after.code, verdict(after), judged(after)) == (0, "clean", 0), after


async def test_a_redrive_of_what_was_audited_before_is_clean(mine: Settings, tmp_path: Path) -> None:
    """Its events and its late observations of old deliveries are known by their mark, and count for nothing wrong."""
    async with processors(mine, tmp_path, WRONG) as start:
        processor = await start("monday")
        await put(mine, deliveries(80))
        await audited(mine, 80)
        assert (await since_last(mine, tmp_path)).code == 0
        dropstream = program(mine, tmp_path)
        redriven = await dropstream.run("redrive", "--yes")
        assert redriven.code == 0, redriven
        assert counts(redriven.out)["became events"] > 0
        told = await since_last(mine, tmp_path)
        assert (told.code, verdict(told), judged(told)) == (0, "clean", 0), told
        again = await since_last(mine, tmp_path)
        assert (again.code, verdict(again)) == (0, "clean"), again
        processor.signal(signal.SIGTERM)
        await processor.ended()
    assert (await audit(mine)).clean


async def test_a_redrive_that_goes_on_is_judged_when_it_has_ended(mine: Settings, tmp_path: Path) -> None:
    """Audits during a redrive that is killed, and after its end, are clean; the first after its end sees all of it."""
    async with processors(mine, tmp_path, WRONG) as start:
        await start("monday")
        await put(mine, deliveries(400))
        await audited(mine, 400)
    assert (await since_last(mine, tmp_path)).code == 0
    dropstream = program(mine, tmp_path)
    process = await dropstream.start("redrive", "--yes", "--rate", "20")
    told: list[Ended] = []
    try:
        name = replay_id(await says(process, "id\t"))
        await more_events(mine, 1, marked=True)
        told.append(await since_last(mine, tmp_path))
    finally:
        await kill(process)
    told.append(await since_last(mine, tmp_path))
    resumed = await dropstream.run("redrive", "--resume", name, "--yes")
    assert resumed.code == 0, resumed
    told += [await since_last(mine, tmp_path) for _ in range(2)]
    assert [(one.code, verdict(one)) for one in told] == [(0, "clean")] * 4, told
    # On a slow machine the redrive may have ended before an earlier one of them.
    seen = [counts(one.out).get(f"events of {name}") for one in told]
    assert seen[-1] is None
    assert [one for one in seen if one is not None][-1] == len(await events(mine))


async def test_partitions_in_which_nothing_is_committed_are_pending(mine: Settings, tmp_path: Path) -> None:
    """Before a processor ever ran all is pending and nothing judged; what it has done then, the next audit judges."""
    dropea = [one for one in deliveries(40) if one.endpoint == "dropea"]
    await put(mine, dropea)
    early = await since_last(mine, tmp_path)
    assert (early.code, judged(early), verdict(early)) == (0, 0, "clean"), early
    assert counts(early.out)["pending"] == len(dropea)
    async with processors(mine, tmp_path) as start:
        await start("processor")
        await audited(mine, len(dropea))
        one_partition = await since_last(mine, tmp_path)
        assert (one_partition.code, judged(one_partition)) == (0, len(dropea)), one_partition
        await put(mine, deliveries(60, first=41))
        await audited(mine, len(dropea) + 60)
        others = await since_last(mine, tmp_path)
        assert (others.code, judged(others), verdict(others)) == (0, 60, "clean"), others


async def test_a_range_of_its_own_leaves_the_state_alone(mine: Settings, tmp_path: Path) -> None:
    """An audit of a part is not kept; and one since the last refuses a beginning or an end of the person's."""
    run = program(mine, tmp_path).run
    part = await run("audit", "--from", "0:0")
    assert part.code == 0, part
    assert await state(mine) == type(await state(mine))()
    for option in ("--since-last", "--accept"):
        for more in (("--from", "0:0"), ("--to", "2026-05-21T00:00:00Z")):
            refused = await run("audit", option, *more)
            assert (refused.code, refused.out) == (2, ""), refused
            assert "leave out --from and --to" in refused.err
