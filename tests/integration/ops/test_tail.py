"""`dropstream tail` as a program of its own, and the reader under it, against a real cluster."""

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from ops.kafka.reader import AtOffset, Start, TopicReader, open_reader
from ops.kafka.topics import apply
from schemas.errors import DropstreamError
from schemas.kafka.arguments import transactional_producer_arguments
from schemas.records import RawRecord
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.programs import bare_environ
from tests.support.waiting import PATIENCE_S

# A whole hour in the last two: a broker deletes what is older than its topic keeps.
HOUR = int(time.time()) // 3_600 * 3_600_000 - 3_600_000


@asynccontextmanager
async def producing(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """A transactional producer."""
    name = settings.kafka.topic_prefix + "test"
    async with AIOKafkaProducer(**transactional_producer_arguments(settings, transactional_id=name)) as producer:
        yield producer


async def write(producer: AIOKafkaProducer, topic: str, *numbers: int, partition: int = 0) -> None:
    """One committed transaction of events, a minute apart from noon on."""
    async with producer.transaction():
        for number in numbers:
            value = orjson.dumps({"type": "dropstream.order.created", "subject": f"SO-{number}", "data": {"n": number}})
            at = HOUR + 60_000 * number
            await producer.send_and_wait(topic, value, key=b"k", partition=partition, timestamp_ms=at)


def subjects(records: list[RawRecord]) -> list[str]:
    return [orjson.loads(record.value or b"{}")["subject"] for record in records]


async def read_to_end(reader: TopicReader) -> list[RawRecord]:
    records: list[RawRecord] = []
    async with asyncio.timeout(PATIENCE_S):
        while not await reader.is_at_end():
            records += await reader.fetch()
    return records


async def read(settings: Settings, topic: str, start: Start) -> list[str]:
    async with open_reader(settings, [topic], start) as reader:
        return subjects(await read_to_end(reader))


async def tail(settings: Settings, place: Path, *arguments: str) -> Process:
    """`dropstream tail` in a pipe."""
    kafka = settings.kafka
    (place / "dropstream.toml").write_text(
        f"""
        [kafka]
        bootstrap_servers = "{kafka.bootstrap_servers}"
        topic_prefix = "{kafka.topic_prefix}"
        [endpoints]
        """
    )
    command = (sys.executable, "-m", "ops", "tail", *arguments)
    return await asyncio.create_subprocess_exec(*command, cwd=place, env=bare_environ(), stdout=PIPE, stderr=PIPE)


async def ended(process: Process) -> tuple[int | None, list[str], str]:
    """Exit code, JSON lines' subjects, standard error."""
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    return process.returncode, [orjson.loads(line)["value"]["subject"] for line in out.splitlines()], err.decode()


async def test_only_committed_records_are_read(settings: SettingsFactory, prefix: str) -> None:
    """What was aborted is not seen, and what is still open does not hold the reader up."""
    mine, topic = settings(), f"{prefix}orders"
    await apply(mine)
    async with producing(mine) as producer:
        await write(producer, topic, 1, 2)
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b'{"subject":"aborted"}', key=b"k", partition=0)
        await producer.abort_transaction()
        await write(producer, topic, 3)
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b'{"subject":"open"}', key=b"k", partition=0)
        assert await read(mine, topic, "beginning") == ["SO-1", "SO-2", "SO-3"]
        await producer.abort_transaction()
        assert await read(mine, topic, "beginning") == ["SO-1", "SO-2", "SO-3"]


async def test_a_settled_reader_waits_for_what_lies_behind_an_open_transaction(
    settings: SettingsFactory, prefix: str
) -> None:
    """What is committed is read, though another's transaction before it is open: once that has ended."""
    mine, topic = settings(), f"{prefix}orders"
    await apply(mine)
    name = f"{prefix}other"
    async with (
        AIOKafkaProducer(**transactional_producer_arguments(mine, transactional_id=name)) as other,
        producing(mine) as producer,
    ):
        await other.begin_transaction()
        await other.send_and_wait(topic, b'{"subject":"open"}', key=b"k", partition=0)
        await write(producer, topic, 1)
        assert await read(mine, topic, "beginning") == []
        async with open_reader(mine, [topic], "beginning", settled=True) as reader:
            assert await reader.fetch() == []
            assert not await reader.is_at_end()
            await other.abort_transaction()
            assert subjects(await read_to_end(reader)) == ["SO-1"]


async def test_a_reader_begins_where_it_is_told(settings: SettingsFactory, prefix: str) -> None:
    """The end, a time, an offset: each begins at its record, and only there."""
    mine, topic = settings(), f"{prefix}orders"
    await apply(mine)
    async with producing(mine) as producer:
        await write(producer, topic, 1, 2, 3)
        await write(producer, topic, 11, 13, partition=1)
        assert await read(mine, topic, "latest") == []
        # Records 1 and 2 are of 12:01 and 12:02; the time of a record itself is still in.
        assert sorted(await read(mine, topic, datetime.fromtimestamp(HOUR / 1_000 + 180, UTC))) == [
            "SO-11",
            "SO-13",
            "SO-3",
        ]
        assert await read(mine, topic, datetime(2127, 1, 1, tzinfo=UTC)) == []
        assert len(await read(mine, topic, datetime(1969, 1, 1, tzinfo=UTC))) == 5
        assert await read(mine, topic, AtOffset(0, 1)) == ["SO-2", "SO-3"]
        assert await read(mine, topic, AtOffset(0, 10**12)) == []


async def test_what_is_written_after_a_reader_is_open_is_seen(settings: SettingsFactory, prefix: str) -> None:
    """A reader at the end is positioned when it is entered, not at its first fetch."""
    mine, topic = settings(), f"{prefix}orders"
    await apply(mine)
    async with producing(mine) as producer, open_reader(mine, [topic], "latest") as reader:
        await write(producer, topic, 1)
        records: list[RawRecord] = []
        async with asyncio.timeout(PATIENCE_S):
            while not records:
                records = await reader.fetch()
    assert subjects(records) == ["SO-1"]


@pytest.mark.parametrize(("start", "sentence"), [("latest", "no such topic: "), (AtOffset(7, 0), "no partition 7")])
async def test_what_is_not_there_is_named(settings: SettingsFactory, prefix: str, start: Start, sentence: str) -> None:
    """A topic or partition that does not exist is one sentence."""
    mine = settings()
    await apply(mine)
    topic = f"{prefix}orders" if isinstance(start, AtOffset) else f"{prefix}ordres"
    with pytest.raises(DropstreamError, match=sentence):
        async with open_reader(mine, [topic], start):
            pass


async def test_tail_reads_to_the_present_end_and_stops(settings: SettingsFactory, prefix: str, tmp_path: Path) -> None:
    """With --no-follow it shows what there is, a JSON object a line, and ends with 0; --max and --where choose."""
    mine, topic = settings(), f"{prefix}orders"
    await apply(mine)
    async with producing(mine) as producer:
        await write(producer, topic, 1, 2, 3)
    whole = await tail(mine, tmp_path, "orders", "--from", "beginning", "--no-follow")
    assert await ended(whole) == (0, ["SO-1", "SO-2", "SO-3"], "")
    first = await tail(mine, tmp_path, topic, "--from", "beginning", "--max", "1")
    assert await ended(first) == (0, ["SO-1"], "")
    chosen = await tail(mine, tmp_path, "orders", "--from", "0:0", "--no-follow", "--where", "data.n=2")
    assert await ended(chosen) == (0, ["SO-2"], "")


async def test_tail_follows_until_it_is_interrupted(settings: SettingsFactory, prefix: str, tmp_path: Path) -> None:
    """New records come at once, line by line; Ctrl-C ends it with 130 and not a word."""
    mine, topic = settings(), f"{prefix}orders"
    await apply(mine)
    process = await tail(mine, tmp_path, "orders", "--from", "beginning")
    assert process.stdout
    async with producing(mine) as producer, asyncio.timeout(PATIENCE_S):
        for number in (1, 2):
            await write(producer, topic, number)
            assert orjson.loads(await process.stdout.readline())["value"]["subject"] == f"SO-{number}"
    process.send_signal(signal.SIGINT)
    assert await ended(process) == (130, [], "")


async def test_tail_ends_when_its_pipe_closes(settings: SettingsFactory, prefix: str, tmp_path: Path) -> None:
    """A reader such as `head` that leaves ends it quietly, although no further record comes."""
    mine, topic = settings(), f"{prefix}orders"
    await apply(mine)
    async with producing(mine) as producer:
        await write(producer, topic, 1)
    command = f"{sys.executable} -m ops tail orders --from beginning | head -n 1; exit ${{PIPESTATUS[0]}}"
    await ended(await tail(mine, tmp_path, "orders", "--no-follow"))  # writes the configuration
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", command, cwd=tmp_path, env=bare_environ(), stdout=PIPE, stderr=PIPE
    )
    assert await ended(shell) == (0, ["SO-1"], "")
