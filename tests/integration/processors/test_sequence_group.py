"""Group `sequence` on real Kafka: from signed deliveries to gaps, whatever dies meanwhile; a replay is the judge."""

import asyncio
import base64
import hmac
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry
from uuid_utils import uuid7

from ops.audit.run import audit
from ops.audit.verdict import FindingKind
from ops.kafka.reader import read_topic
from processors.deliver.dedupe import DedupeStore
from processors.groups import deliver_group, sequence_group
from processors.metrics import ProcessMetrics
from processors.providers import discover
from processors.runtime.group import Group
from processors.runtime.state_store import StoreT
from processors.sequence.step import TRAIL, observe, punctuate
from processors.sequence.store import SequenceStore
from processors.sequence.tracker import GapRules
from schemas.delivery import Delivery
from schemas.kafka.arguments import producer_arguments
from schemas.settings import Settings
from schemas.times import rfc3339
from tests.conftest import SettingsFactory
from tests.support.histories import delete_topics
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    MORTAL,
    PROCESS,
    SECRET,
    deliveries,
    outputs_so_far,
    prepared,
    processors,
    put,
    start_processor,
)
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kafka

# Long enough ago that every hole of then is overdue, and short enough that none is lost.
STARTED_AT = datetime.now(UTC) - timedelta(minutes=10)
QUICK = "[sequence]\ngrace_seconds = 1\n"


def shipped(number: int, made_at: datetime, received_at: datetime) -> Delivery:
    """A signed ShipStream delivery of that sequence id; a retry is received later and keeps the time it was made."""
    message = {"webhook_increment_id": number, "unique_id": "7", "event_timestamp": rfc3339(made_at)}
    body = orjson.dumps({"topic": "order:shipped", "message": message})
    signature = base64.b64encode(hmac.digest(SECRET, body, "sha256"))
    headers = (("x-plugin-hmac-sha256", signature),)
    return Delivery(str(uuid7()), "shipstream", "shipstream", received_at, "192.0.2.1", headers, body)


def early(number: int) -> datetime:
    """When the delivery of that id was made, and received if it came in time: a tenth of a second after the last."""
    return STARTED_AT + timedelta(milliseconds=100 * number)


async def put_now(settings: Settings, numbers: Iterable[int]) -> None:
    now = datetime.now(UTC)
    await put(settings, [shipped(number, early(number), now) for number in numbers])


async def told(settings: Settings) -> list[tuple[str, int, int]]:
    """What `gaps` says so far."""
    gaps = [orjson.loads(record.value or b"") for record in await read_topic(settings, "gaps")]
    return [(gap["state"], gap["first"], gap["last"]) for gap in gaps]


async def told_at_last(settings: Settings, count: int) -> list[tuple[str, int, int]]:
    """What `gaps` says once it holds so many records, or patience is over."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while len(found := await told(settings)) < count and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    return found


async def replayed(settings: Settings) -> list[bytes]:
    """The records of `gaps` that `sequence` alone gives: no process, no clock but the last one."""
    rules = GapRules(
        grace=timedelta(seconds=settings.sequence.grace_seconds),
        lost_after=timedelta(hours=settings.sequence.lost_after_hours),
    )
    store = SequenceStore(rules)
    gaps = [gap for record in await read_topic(settings, "sequence") for gap in observe(record, store)]
    gaps += punctuate(store, datetime.now(UTC) + TRAIL)
    return [gap.value for gap in gaps]


async def listed(folder: Path, *options: str, code: int = 0) -> str:
    """What `dropstream gaps` writes into a pipe; it ends with `code`."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops", "gaps", "--config", str(folder / "dropstream.toml"), *options),
        env={**os.environ, **ENVIRON},
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        out, err = await program.communicate()
    assert program.returncode == code, err.decode()
    return out.decode()


async def test_a_hole_is_reported_and_filled_while_traffic_stops(settings: SettingsFactory, tmp_path: Path) -> None:
    """Nothing more comes, and the hole is open; a late delivery fills its part; the verb lists what is left."""
    mine = await prepared(settings(ENDPOINTS + PROCESS + QUICK, environ=ENVIRON))
    async with AIOKafkaProducer(**producer_arguments(mine)) as producer:
        for partition in range(mine.kafka.partitions):
            await producer.send_and_wait(mine.kafka.topic_prefix + "sequence", b"garbage", partition=partition)
    async with processors(mine, tmp_path) as start:
        processor = await start("one")
        await put_now(mine, (1, 2, 3, 8, 9))
        assert await told_at_last(mine, 1) == [("open", 4, 7)]
        await put_now(mine, (5,))
        assert await told_at_last(mine, 2) == [("open", 4, 7), ("filled", 5, 5)]
        lines = (await listed(tmp_path)).splitlines()
        assert [line.split("\t")[:-1] for line in lines] == [
            ["shipstream", "1", "4", "4", "1", "open"],
            ["shipstream", "1", "6", "7", "2", "open"],
        ]
        found = [json.loads(line) for line in (await listed(tmp_path, "--json")).splitlines()]
        assert [(one["first"], one["count"]) for one in found] == [(4, 1), (6, 2)]
        judged = ("shipstream", "6-7", "--why", "a test of ours", "--by", "on-call", "--yes")
        await listed(tmp_path, "dismiss", "shipstream", "5-7", *judged[2:], code=1)
        assert "dismissed; group sequence writes it" in await listed(tmp_path, "dismiss", *judged)
        assert (await told_at_last(mine, 3))[2:] == [("dismissed", 6, 7)]
        (line,) = (await listed(tmp_path)).splitlines()
        assert line.split("\t")[:-1] == ["shipstream", "1", "4", "4", "1", "open"]
        verdict = await audit(mine)
        # The garbage; a dismissal is explained, and so is what it leads to.
        assert dict(verdict.found) == {FindingKind.UNEXPLAINED: mine.kafka.partitions}, verdict
        assert await listed(tmp_path, "--endpoint", "dropea") == ""
        assert await listed(tmp_path, "--endpoint", "nobody", code=2) == ""
        processor.signal(signal.SIGTERM)
        assert await processor.ended() == 0
    assert processor.log.read_text(encoding="utf-8").count("not_observations") == mine.kafka.partitions
    assert [record.value for record in await read_topic(mine, "gaps")] == await replayed(mine)


async def test_kill_9_loses_and_doubles_no_verdict(settings: SettingsFactory, tmp_path: Path) -> None:
    """Processors killed in the middle: what was reported is known to the next one, and a replay says the same."""
    mine = await prepared(settings(ENDPOINTS + MORTAL + QUICK, environ=ENVIRON))
    # Every tenth id is missing.
    came = [shipped(number, early(number), early(number)) for number in range(1, 4_000) if number % 10]
    await put(mine, came[:1_800])
    async with processors(mine, tmp_path) as start:
        for turn in range(3):
            before = len(await told(mine))
            victim = await start(f"victim-{turn}")
            await told_at_last(mine, before + 20)
            victim.signal(signal.SIGKILL)
            await victim.ended()
            await put(mine, came[1_800 + 600 * turn : 2_400 + 600 * turn])
        survivor = await start("survivor")
        opened = [("open", number, number) for number in range(10, 3_999, 10)]
        assert await told_at_last(mine, len(opened)) == opened
        survivor.signal(signal.SIGKILL)
        await survivor.ended()
        await start("last")
        late = range(10, 3_999, 20)
        await put_now(mine, late)
        filled = [("filled", number, number) for number in late]
        assert await told_at_last(mine, len(opened) + len(filled)) == opened + filled
    verdict = await audit(mine)
    assert (verdict.clean, verdict.outputs["gaps"]) == (True, len(opened) + len(filled)), verdict
    assert [record.value for record in await read_topic(mine, "gaps")] == await replayed(mine)


async def test_a_hole_seen_before_a_crash_is_reported_after_it(settings: SettingsFactory, tmp_path: Path) -> None:
    """The next process knows the hole from the changelog alone, and time passes for it though nothing more comes."""
    mine = await prepared(settings(ENDPOINTS + MORTAL + QUICK, environ=ENVIRON))
    # The one that dies would report nothing, however long it takes to die.
    patient = mine.model_copy(update={"sequence": mine.sequence.model_copy(update={"grace_seconds": 3_600})})
    async with processors(mine, tmp_path) as start:
        victim = await start_processor(patient, tmp_path, "victim")
        await victim.says("partition_opened")
        await put_now(mine, (1, 4))
        async with asyncio.timeout(PATIENCE_S):
            while not await read_topic(mine, "sequence-state"):  # noqa: ASYNC110 another process writes it
                await asyncio.sleep(0.05)
        victim.signal(signal.SIGKILL)
        await victim.ended()
        assert await told(mine) == []
        await start("successor")
        assert await told_at_last(mine, 1) == [("open", 2, 3)]


@asynccontextmanager
async def at_work(group: Group[StoreT]) -> AsyncIterator[None]:
    """The group runs in this process until the block ends."""
    task = asyncio.create_task(group.run())
    yield
    group.stopping.set()
    await task


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 another task or process sees to it
            await asyncio.sleep(0.05)


async def test_the_clock_waits_for_what_lies_unread_in_raw(settings: SettingsFactory) -> None:
    """A hole whose delivery group `deliver` has still to read is not reported, however late it is by the clock."""
    mine = await prepared(settings(ENDPOINTS + PROCESS + QUICK, environ=ENVIRON))

    def deliver() -> Group[DedupeStore]:
        return deliver_group(mine, discover(), ProcessMetrics(CollectorRegistry()), asyncio.Event())

    async def is_observed() -> bool:
        return len(await read_topic(mine, "sequence")) == 3

    asked = []

    def clock() -> datetime:
        asked.append(datetime.now(UTC))
        return asked[-1]

    async def has_punctuated() -> bool:
        return len(asked) > punctuated + 3

    # Received in time, all of them; only read late.
    came = {number: shipped(number, early(number), early(number)) for number in (1, 2, 3, 5)}
    async with at_work(deliver()):
        await put(mine, [came[number] for number in (1, 3, 5)])
        await until(is_observed)
    await put(mine, [came[2]])
    group = sequence_group(mine, ProcessMetrics(CollectorRegistry()), asyncio.Event())
    group.clock = clock
    async with at_work(group):
        punctuated = await opened(group, asked)
        await until(has_punctuated)
        assert await told(mine) == []
        async with at_work(deliver()):
            assert await told_at_last(mine, 1) == [("open", 4, 4)]
            punctuated = len(asked)
            await until(has_punctuated)
    assert await told(mine) == [("open", 4, 4)]
    assert (await audit(mine)).clean


async def test_a_clock_that_is_ahead_loses_nothing(settings: SettingsFactory) -> None:
    """A processor whose clock is 200 hours ahead reports the hole by the times of receipt, and calls nothing lost."""
    mine = await prepared(settings(ENDPOINTS + PROCESS + QUICK, environ=ENVIRON))
    asked = []

    def clock() -> datetime:
        asked.append(datetime.now(UTC) + timedelta(hours=200))
        return asked[-1]

    async def has_punctuated() -> bool:
        return len(asked) > punctuated + 3

    group = sequence_group(mine, ProcessMetrics(CollectorRegistry()), asyncio.Event())
    group.clock = clock
    deliver = deliver_group(mine, discover(), ProcessMetrics(CollectorRegistry()), asyncio.Event())
    async with at_work(deliver), at_work(group):
        await put_now(mine, (1, 3))
        assert await told_at_last(mine, 1) == [("open", 2, 2)]
        punctuated = len(asked)
        await until(has_punctuated)
    assert await told(mine) == [("open", 2, 2)]


async def opened(group: Group[SequenceStore], asked: Sequence[datetime]) -> int:
    """How often the clock had been asked when every partition was open."""

    async def is_ready() -> bool:
        return group.health().ready

    await until(is_ready)
    return len(asked)


async def test_without_topics_both_groups_end_with_one_sentence(settings: SettingsFactory, tmp_path: Path) -> None:
    """The process says what to do and ends with 1, without a traceback."""
    mine = settings(ENDPOINTS + PROCESS + QUICK, environ=ENVIRON)
    async with processors(mine, tmp_path) as start:
        processor = await start("one")
        assert await processor.ended() == 1
    log = processor.log.read_text(encoding="utf-8")
    assert f"error: there is no topic {mine.kafka.topic_prefix}raw, " in log
    assert "; create them with: dropstream topics apply" in log
    assert "Traceback" not in log


async def test_without_a_topic_that_a_new_version_writes_to_both_groups_end(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """After an upgrade whose topics nobody has made, the process says which it lacks, and commits nothing."""
    mine = await prepared(settings(ENDPOINTS + PROCESS + QUICK, environ=ENVIRON))
    await delete_topics(mine, "rules")
    await put(mine, deliveries(5))
    async with processors(mine, tmp_path) as start:
        processor = await start("one")
        assert await processor.ended() == 1
    log = processor.log.read_text(encoding="utf-8")
    assert f"error: there is no topic {mine.kafka.topic_prefix}rules; create it with: dropstream topics apply" in log
    assert await outputs_so_far(mine) == 0
