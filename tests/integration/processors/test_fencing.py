"""Who may write for a partition, on real Kafka: the member that the group has given it to, and nobody else."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IllegalGenerationError, KafkaError, UnknownMemberIdError

from ops.kafka.reader import read_topic
from schemas.kafka.arguments import group_consumer_arguments, reader_arguments, transactional_producer_arguments
from schemas.kafka.committed_offsets import committed_offset
from schemas.kafka.errors import FencedInstanceIdError
from schemas.kafka.group_member import GroupMember, client_of, member_of
from schemas.kafka.producers import close_producer
from schemas.kafka.transactions.group_producer import GroupProducer
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    MORTAL,
    PROCESS,
    Processor,
    audited,
    deliveries,
    outputs_so_far,
    prepared,
    processors,
    put,
    start_processor,
)
from tests.support.waiting import PATIENCE_S, until, until_it_is

pytestmark = pytest.mark.kafka


@asynccontextmanager
async def joined(
    settings: Settings, instance_id: str | None = None
) -> AsyncIterator[tuple[AIOKafkaConsumer, GroupMember]]:
    """A consumer that has its partitions of `raw`, and who it is in the group."""
    process = settings.process.model_copy(update={"instance_id": instance_id})
    mine, group = settings.model_copy(update={"process": process}), f"{settings.kafka.topic_prefix}deliver"
    async with AIOKafkaConsumer(
        f"{settings.kafka.topic_prefix}raw", **group_consumer_arguments(mine, group=group)
    ) as consumer:
        await until(lambda: bool(consumer.assignment()))
        yield consumer, member_of(consumer, group)


async def wrote(settings: Settings, value: bytes, member: GroupMember, *, position: int) -> KafkaError | None:
    """Writes an event and commits the position as `member`; the error where it is refused. One id for all."""
    name = f"{settings.kafka.topic_prefix}writer"
    producer = GroupProducer(**transactional_producer_arguments(settings, transactional_id=name))
    try:
        await producer.start()
        batch = producer.create_batch(TopicPartition(f"{settings.kafka.topic_prefix}orders", 0))
        producer.append([batch], b"k", value, [])
        await producer.begin_transaction([batch.partition])
        await producer.write([[batch]])
        await producer.send_positions({TopicPartition(f"{settings.kafka.topic_prefix}raw", 0): position}, member)
        await producer.commit_transaction()
    except KafkaError as error:
        return error
    finally:
        await close_producer(producer, flush_s=0)
    return None


async def stands_at(client: AIOKafkaClient, group: str, source: TopicPartition, offset: int) -> bool:
    """Whether the position counts, as it does when its marker is written."""
    return await committed_offset(client, group, source) == offset


async def orders_are(settings: Settings, values: list[bytes]) -> bool:
    """Whether readers of committed records find these; the answer to a commit comes before its markers."""
    return [record.value for record in await read_topic(settings, "orders")] == values


async def test_only_the_member_of_today_commits(settings: SettingsFactory) -> None:
    """Another generation, member or instance is refused, and nothing that it wrote is ever visible."""
    mine = await prepared(settings(PROCESS, partitions=1))
    source = TopicPartition(f"{mine.kafka.topic_prefix}raw", 0)
    async with joined(mine, "pod-0") as (consumer, member):
        for stranger, error in (
            (replace(member, generation=member.generation + 1), IllegalGenerationError),
            (replace(member, member_id=member.member_id[:-1] + "x"), FencedInstanceIdError),
            (replace(member, instance_id="pod-1"), UnknownMemberIdError),
            (replace(member, instance_id=None, member_id="somebody"), UnknownMemberIdError),
        ):
            assert isinstance(await wrote(mine, b"refused", stranger, position=7), error), stranger
        assert await wrote(mine, b"taken", member, position=3) is None
        await until_it_is(lambda: stands_at(client_of(consumer), member.group, source, 3))
    # The refused ones lie in the log, each aborted by the start of the producer behind it.
    await until_it_is(lambda: orders_are(mine, [b"taken"]))
    async with AIOKafkaConsumer(**{**reader_arguments(mine), "isolation_level": "read_uncommitted"}) as reader:
        orders = TopicPartition(f"{mine.kafka.topic_prefix}orders", 0)
        assert (await reader.end_offsets([orders]))[orders] == 10


async def test_a_replaced_instance_is_fenced_though_its_generation_is_the_same(settings: SettingsFactory) -> None:
    """A restart with the same instance id gets the partitions without a rebalance; the old process commits nothing."""
    mine = await prepared(settings(PROCESS, partitions=1))
    async with joined(mine, "pod-0") as (_, old), joined(mine, "pod-0") as (_, new):
        assert (old.generation, old.member_id != new.member_id) == (new.generation, True)
        assert isinstance(await wrote(mine, b"old", old, position=7), FencedInstanceIdError)
        assert await wrote(mine, b"new", new, position=3) is None
    await until_it_is(lambda: orders_are(mine, [b"new"]))


# Before it may be named: what it wrote can never be committed. Behind it: the new owner waits for it.
FREEZES = ("outputs_written", "positions_sent", "all_sent", "commit_on_its_way")


async def test_a_member_that_freezes_at_any_step_commits_once_or_never(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """Frozen in a transaction past its session and woken later, it loses and doubles nothing, and ends no new owner."""

    # Together, so that the seconds in which a frozen one holds its partitions pass for several at once.
    two = asyncio.Semaphore(2)

    async def freeze_and_wake(step: str) -> str | None:
        async with two:
            return await one_freeze(step)

    async def one_freeze(step: str) -> str | None:
        # So few records a transaction that some are behind it when it freezes.
        plain = settings(f"{ENDPOINTS}{MORTAL}records_per_round_max = 20\n", environ=ENVIRON)
        kafka = plain.kafka.model_copy(update={"topic_prefix": f"{plain.kafka.topic_prefix}{step}."})
        mine, folder = await prepared(plain.model_copy(update={"kafka": kafka})), tmp_path / step
        folder.mkdir()
        await put(mine, deliveries(200))
        frozen = await start_processor(mine, folder, "frozen", freezes_at=step)
        try:
            await frozen.says("frozen_by_the_test")
            async with processors(mine, folder) as start:
                owner = await start("owner")
                await put(mine, deliveries(100, first=201))
                verdict = await audited(mine, 300)
                frozen.signal(signal.SIGCONT)
                await put(mine, deliveries(50, first=301))
                verdict = await audited(mine, 350)
                if owner.process.returncode is not None:
                    return f"{step}: the owner ended: {owner.log.read_text(encoding='utf-8')[-500:]}"
        finally:
            frozen.signal(signal.SIGCONT)
            frozen.signal(signal.SIGKILL)
            await frozen.ended()
        return None if verdict.clean and not verdict.pending else f"{step}: {verdict}"

    assert not [fault for fault in await asyncio.gather(*map(freeze_and_wake, FREEZES)) if fault]


async def one_goes_on(twins: Sequence[Processor], start: Callable[[str], "asyncio.Future[Processor]"]) -> None:
    """Starts a third process of the name, should both twins end: each may be fenced by the other's first request."""
    for twin in twins:
        await twin.process.wait()
    await start("third")


async def test_two_processes_of_one_name_commit_nothing_twice(settings: SettingsFactory, tmp_path: Path) -> None:
    """One of them ends and says why; what is there is right, and one of them alone goes on."""
    mine = await prepared(settings(ENDPOINTS + MORTAL, environ=ENVIRON))
    named = {**ENVIRON, "DROPSTREAM_PROCESS__INSTANCE_ID": "twin"}
    await put(mine, deliveries(300))
    async with processors(mine, tmp_path, named) as start:
        twins = [await start("one"), await start("other")]
        ended: list[Processor] = []
        number = 300
        async with asyncio.timeout(PATIENCE_S):
            while not ended:
                await put(mine, deliveries(10, first=number + 1))
                number += 10
                await outputs_so_far(mine)
                ended = [one for one in twins if one.process.returncode is not None]
        log = ended[0].log.read_text(encoding="utf-8")
        assert ended[0].process.returncode == 1, log[-2000:]
        assert "another process has the name of this one" in log
        async with asyncio.TaskGroup() as together:
            goes_on = together.create_task(one_goes_on(twins, start))
            verdict = await audited(mine, number)
            goes_on.cancel()
    assert (verdict.clean, verdict.pending) == (True, 0), verdict
