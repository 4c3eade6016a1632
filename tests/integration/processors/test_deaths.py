"""A processor that dies with -9 at each step of a transaction, and state that is not what it should be."""

import asyncio
import signal
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from ops.audit.verdict import FindingKind
from ops.kafka.offsets import read_group_offsets
from ops.kafka.reader import read_topic
from schemas.events import read_event
from schemas.kafka.arguments import producer_arguments
from tests.conftest import SettingsFactory
from tests.support.dying import STEPS
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    MORTAL,
    PROCESS,
    audited,
    deliveries,
    prepared,
    processors,
    put,
    start_processor,
)
from tests.support.waiting import until_it_is

pytestmark = pytest.mark.kafka

SMALL_ROUNDS = f"{MORTAL}records_per_round_max = 40\n"
# A successor of the same name ends what the dead one left open. Without a name it waits until Kafka does.
NAMED = {**ENVIRON, "DROPSTREAM_PROCESS__INSTANCE_ID": "mortal"}
NAMELESS = {"all_sent", "commit_on_its_way"}
# Together, so that the seconds in which a dead member without a name holds its partitions pass for all at once.
AT_ONCE = 3


async def test_death_at_any_step_of_a_transaction_loses_and_doubles_nothing(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """Whatever was written, sent or committed when the process was killed: its successor makes it whole, once."""
    groups = asyncio.Semaphore(AT_ONCE)

    async def die_and_go_on(step: str) -> str | None:
        plain = settings(ENDPOINTS + SMALL_ROUNDS, environ=ENVIRON)
        kafka = plain.kafka.model_copy(update={"topic_prefix": f"{plain.kafka.topic_prefix}{step}."})
        folder = tmp_path / step
        folder.mkdir()
        async with groups:
            mine = await prepared(plain.model_copy(update={"kafka": kafka}))
            await put(mine, deliveries(900))
            environ = ENVIRON if step in NAMELESS else NAMED
            victim = await start_processor(mine, folder, "victim", environ, dies_at=step)
            if await victim.ended() != -signal.SIGKILL:
                return f"{step}: it did not die there: {victim.log.read_text(encoding='utf-8')[-500:]}"
            async with processors(mine, folder, environ) as start:
                await start("successor")
                verdict = await audited(mine, 900)
        return None if verdict.clean and not verdict.pending else f"{step}: {verdict}"

    assert not [fault for fault in await asyncio.gather(*map(die_and_go_on, STEPS)) if fault]


async def test_a_corrupt_changelog_stops_its_partition_and_no_other(settings: SettingsFactory, tmp_path: Path) -> None:
    """Nothing is guessed and nothing is written of it; the others go on, and so does it without the record."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await put(mine, deliveries(300))
    changelog = mine.kafka.topic_prefix + "deliver-state"
    async with AIOKafkaProducer(**producer_arguments(mine)) as producer:
        await producer.send_and_wait(changelog, b"junk", key=b"junk", partition=0)
    async with processors(mine, tmp_path) as start:
        processor = await start("one")
        await processor.says(f"changelog {changelog}, partition 0, offset 0 is corrupt")

        async def others_are_done() -> bool:
            found = await read_group_offsets(
                mine, f"{mine.kafka.topic_prefix}deliver", [f"{mine.kafka.topic_prefix}raw"]
            )
            return {one.partition.partition for one in found if one.lag} == {0}

        await until_it_is(others_are_done)
        events = await read_topic(mine, "orders")
        assert not [one for one in events if (event := read_event(one.value)) and event.raw.partition == 0]
        async with AIOKafkaProducer(**producer_arguments(mine)) as producer:
            await producer.send_and_wait(changelog, None, key=b"junk", partition=0)
        verdict = await audited(mine, 300)
    assert (verdict.clean, verdict.pending) == (True, 0), verdict


async def test_offsets_that_the_cluster_forgot_are_known_to_the_changelog(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """A group whose committed offsets are gone, as after a week away, goes on where it was."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
    await put(mine, deliveries(60))
    async with processors(mine, tmp_path) as start:
        first = await start("first")
        await audited(mine, 60)
        first.signal(signal.SIGTERM)
        assert await first.ended() == 0
        group = mine.kafka.topic_prefix + "deliver"
        client = AdminClient({"bootstrap.servers": mine.kafka.bootstrap_servers})
        deleted = client.delete_consumer_groups([group])[group]
        await asyncio.to_thread(deleted.result, 10)
        await put(mine, deliveries(20, first=61))
        second = await start("second")
        verdict = await audited(mine, 80)
        log = [orjson.loads(line) for line in second.log.read_text(encoding="utf-8").splitlines()]
    assert (verdict.clean, verdict.pending) == (True, 0), verdict
    (opened,) = [line for line in log if line["event"] == "partition_opened" and line["group"] == "deliver"]
    assert (opened["committed"], opened["offset"]) == (None, 60)
    assert await read_topic(mine, "duplicates") == []


async def test_deliveries_that_retention_ate_are_reported_and_passed(settings: SettingsFactory, tmp_path: Path) -> None:
    """A position that the log no longer has is opened anew at its first record, and the loss is an error in the log."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
    admin = AdminClient({"bootstrap.servers": mine.kafka.bootstrap_servers})
    await put(mine, deliveries(10))
    async with processors(mine, tmp_path) as start:
        processor = await start("one")
        await audited(mine, 10)
        processor.signal(signal.SIGSTOP)
        # The first answers the fetch that waits at the broker; the others it has not seen.
        await put(mine, deliveries(1, first=11))
        await put(mine, deliveries(20, first=12))
        eaten = admin.delete_records([TopicPartition(mine.kafka.topic_prefix + "raw", 0, 31)])
        await asyncio.to_thread(next(iter(eaten.values())).result, 10)
        await put(mine, deliveries(5, first=32))
        processor.signal(signal.SIGCONT)
        await processor.says("deliveries_deleted_unread")
        verdict = await audited(mine, 5)
        log = processor.log.read_text(encoding="utf-8")
    assert "position_out_of_range" in log
    assert (verdict.pending, verdict.found.get(FindingKind.DOUBLED)) == (0, None), verdict
