"""The ingress while Kafka is away: it goes on answering 200, and all of it reaches `raw`, in order, by itself."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pytest
from structlog.testing import capture_logs

from ingest.spool.file import SpoolFile
from schemas.delivery import PendingRecord
from tests.conftest import ClusterFactory, SettingsFactory
from tests.support.raw_http import post
from tests.support.serving import (
    Serving,
    create_raw,
    read_raw,
    serving,
    serving_settings,
    take_raw_away,
)
from tests.support.waiting import PATIENCE_S, UNHURRIED_MS, until
from tests.unit.ingest.spool.test_damage import PAGE, overwrite, page_of, spooled
from tests.unit.ingest.spool.test_file import ROOM, VERSION_1, pending

pytestmark = pytest.mark.kafka

NOWHERE = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def _patient_with_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that others use too may take seconds for a write; none of these tests is about that."""
    monkeypatch.setattr("ingest.spool.disk._WRITE_TIMEOUT_S", UNHURRIED_MS / 1_000)


async def deliver(running: Serving, *bodies: bytes, endpoint: str = "acme") -> list[int]:
    """The answers to these deliveries, one after the other."""
    return [(await running.ask(post(f"/webhooks/{endpoint}", body))).status for body in bodies]


def replaced(running: Serving, reason: str) -> float:
    """How many producers were given up for this reason so far."""
    name = "dropstream_ingest_producers_replaced_total"
    return running.registry.get_sample_value(name, {"reason": reason}) or 0.0


async def test_without_kafka_it_starts_and_answers_200(settings: SettingsFactory, tmp_path: Path) -> None:
    """No broker at all: 200 from the disk at once, ready, and the figures say what waits."""
    mine = serving_settings(settings, bootstrap_servers=NOWHERE, spool=tmp_path / "spool")
    async with serving(mine, connected=False) as running:
        answer = await running.ask(post("/webhooks/acme", b"body"))
        health = running.ingress.health()
        assert (answer.status, len(answer.headers["dropstream-delivery"])) == (200, 36)
        assert (health.live, health.ready) == (True, True)
        assert (health.facts["spool_deliveries"], health.facts["kafka_connected"]) == (1, False)
        assert running.requests("acme", "spooled") == 1
        assert running.registry.get_sample_value("dropstream_ingest_spool_deliveries") == 1.0
        assert running.ingress.budget.held_bytes == 0


async def test_what_waited_reaches_kafka_in_order_and_before_what_comes(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """Across a restart of the ingress too; headers and delivery ids are those of the first moment."""
    spool = tmp_path / "spool"
    away = serving_settings(settings, bootstrap_servers=NOWHERE, spool=spool)
    async with serving(away, connected=False) as running:
        first = await running.ask(post("/webhooks/acme", b"1"))
        assert await deliver(running, b"2", b"3") == [200, 200]
    mine = serving_settings(settings, spool=spool)
    async with serving(mine, connected=False) as running:
        assert running.ingress.storage.figures().deliveries == 3
        assert await deliver(running, b"4") == [200]
        await create_raw(mine)
        await until(lambda: not running.ingress.storage.figures().deliveries)
        assert await deliver(running, b"5") == [200]
        assert running.requests("acme", "stored") == 1
        records = await read_raw(mine, 5)
    assert [record.value for record in records] == [b"1", b"2", b"3", b"4", b"5"]
    assert dict(records[0].headers)["dropstream-delivery"].decode() == first.headers["dropstream-delivery"]


async def test_what_kafka_does_not_acknowledge_in_time_is_answered_from_the_disk(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """At the deadline the delivery goes to the spool; a second copy in `raw` carries the same delivery id."""
    mine = serving_settings(settings, "kafka_deadline_ms = 300", spool=tmp_path / "spool")
    await create_raw(mine)
    async with serving(mine) as running:
        await take_raw_away(mine)
        assert await deliver(running, b"late", b"later") == [200, 200]
        assert running.requests("acme", "spooled") == 2
        await create_raw(mine)
        await until(lambda: not running.ingress.storage.figures().deliveries)
        await running.stored(b"in time")
        records = await read_raw(mine, 3)
    first_seen = list(dict.fromkeys(record.value for record in records))
    assert first_seen == [b"late", b"later", b"in time"]
    ids = {(record.value, dict(record.headers)["dropstream-delivery"]) for record in records}
    assert len(ids) == 3


async def test_a_frozen_broker_costs_one_deadline_and_its_producer(
    settings: SettingsFactory, cluster: ClusterFactory, tmp_path: Path
) -> None:
    """Connections that answer nothing: one delivery waits for the deadline, and a fresh client is made."""
    broker = await cluster()
    mine = serving_settings(
        settings,
        "kafka_deadline_ms = 300\nproducer_hung_ms = 1_000",
        bootstrap_servers=broker.bootstrap_servers,
        spool=tmp_path / "spool",
    )
    await create_raw(mine)
    async with serving(mine) as running:
        assert await deliver(running, b"before") == [200]
        broker.nodes[0].freeze()
        assert await deliver(running, b"1", b"2", b"3") == [200, 200, 200]
        await until(lambda: replaced(running, "hung") > 0)
        broker.nodes[0].thaw()
        await until(lambda: not running.ingress.storage.figures().deliveries)
        assert await deliver(running, b"after") == [200]
        records = await read_raw(mine, 5)
    assert list(dict.fromkeys(record.value for record in records)) == [b"before", b"1", b"2", b"3", b"after"]


async def test_raw_away_for_long_costs_a_producer_and_no_restart(settings: SettingsFactory, tmp_path: Path) -> None:
    """What the client would keep for ever is given up, and once the topic is back deliveries go to Kafka again."""
    mine = serving_settings(settings, "kafka_deadline_ms = 1_000\nproducer_hung_ms = 1_000", spool=tmp_path / "spool")
    await create_raw(mine)
    async with serving(mine) as running, asyncio.TaskGroup() as sending:
        await running.stored(b"before")
        spooled = running.requests("acme", "spooled")
        await take_raw_away(mine)
        # The first ones go to a broker that knows no topic, the later ones wait in the client until it is known.
        for number in range(12):
            sending.create_task(deliver(running, b"%d" % number))
            await asyncio.sleep(0.05)
        await until(lambda: replaced(running, "hung") == 1)
        await until(lambda: running.ingress.budget.held_bytes == 0)
        assert await deliver(running, b"meanwhile") == [200]
        await create_raw(mine)
        await until(lambda: not running.ingress.storage.figures().deliveries)
        assert running.requests("acme", "spooled") == spooled + 13
        await running.stored(b"after")
        records = await read_raw(mine, 14)
    assert {record.value for record in records} == {b"%d" % number for number in range(12)} | {b"meanwhile", b"after"}


async def test_raw_back_with_fewer_partitions_is_used(settings: SettingsFactory, tmp_path: Path) -> None:
    """What the client waited to send to a partition that is gone is in the spool, and goes where its key is now."""
    mine = serving_settings(settings, "kafka_deadline_ms = 1_000\nproducer_hung_ms = 3_000", spool=tmp_path / "spool")
    await create_raw(mine)
    async with serving(mine) as running, asyncio.TaskGroup() as sending:
        await take_raw_away(mine)
        for number in range(20):
            sending.create_task(deliver(running, b"%d" % number, endpoint="laned"))
            await asyncio.sleep(0.05)
        await create_raw(mine, partitions=1)
        await until(lambda: running.requests("laned", "stored") + running.requests("laned", "spooled") == 20)
        await until(lambda: not running.ingress.storage.figures().deliveries and running.ingress.publisher.connected)
        assert running.ingress.budget.held_bytes == 0
        for body in (b"a", b"b", b"c"):
            await running.stored(body, "laned")
        narrow = mine.model_copy(update={"kafka": mine.kafka.model_copy(update={"partitions": 1})})
        records = await read_raw(narrow, 23)
    assert {record.value for record in records} == {b"%d" % number for number in range(20)} | {b"a", b"b", b"c"}


async def test_a_delivery_that_kafka_refuses_blocks_nobody(settings: SettingsFactory, tmp_path: Path) -> None:
    """Over the topic's limit: it stays on the disk, told and counted; those around it pass, and after a mend it too."""
    spool = tmp_path / "spool"
    mine = serving_settings(settings, spool=spool)
    await create_raw(mine, bytes_max=200_000)
    async with serving(mine) as running:
        assert await deliver(running, b"before", b"x" * 300_000, b"after") == [200, 200, 200]
        await until(lambda: running.ingress.storage.figures().refused == 1)
        await until(lambda: not running.ingress.storage.figures().deliveries)
        assert await deliver(running, b"fresh") == [200]
        # What shared a producer with it may be there twice, under one delivery id.
        passed = [record.value for record in await read_raw(mine, 3)]
        assert list(dict.fromkeys(passed)) == [b"before", b"after", b"fresh"]
    await take_raw_away(mine)
    await create_raw(mine)
    async with serving(mine) as running:
        await until(lambda: not running.ingress.storage.figures().deliveries)
        assert [record.value for record in await read_raw(mine, 1)] == [b"x" * 300_000]


async def test_neither_kafka_nor_disk_is_503_and_comes_back_by_itself(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """A full spool refuses and is not ready; when Kafka has emptied it, all is well without a restart."""
    mine = serving_settings(settings, "spool_bytes_max = 170_000", spool=tmp_path / "spool")
    async with serving(mine, connected=False) as running:
        assert await deliver(running, b"x" * 60_000, b"y" * 60_000, b"z" * 60_000) == [200, 200, 503]
        assert not running.ingress.health().ready
        await create_raw(mine)
        await until(lambda: not running.ingress.storage.figures().deliveries)
        await until(lambda: running.ingress.health().ready and running.ingress.storage.spool_usable)
        assert await deliver(running, b"fresh") == [200]
        assert len(await read_raw(mine, 3)) == 3


async def test_what_the_first_version_left_reaches_kafka(settings: SettingsFactory, tmp_path: Path) -> None:
    """An ingress that is replaced by a newer one while its spool holds deliveries loses none of them."""
    mine = serving_settings(settings, spool=tmp_path / "spool")
    (tmp_path / "spool").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "spool" / "spool-0.sqlite")) as database:
        database.executescript(VERSION_1)
    await create_raw(mine)
    async with serving(mine, connected=False) as running:
        assert running.ingress.storage.figures().deliveries == 2
        await until(lambda: not running.ingress.storage.figures().deliveries)
        assert {record.value for record in await read_raw(mine, 2)} == {b"\x00\xff", b""}


async def test_a_file_that_cannot_be_read_is_told_once_and_hides_no_other(
    settings: SettingsFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others leave beside it reaches Kafka, also later; it is counted for as long as it is there."""
    monkeypatch.setattr("ingest.storage._ADOPT_S", 0.0)
    mine = serving_settings(settings, spool=tmp_path)
    left = [tmp_path / f"spool-{number}.sqlite" for number in range(3)]
    left[0].mkdir()

    def leave(path: Path) -> None:
        file = SpoolFile(path, bytes_max=ROOM)
        file.append([pending(1)])
        file.close()

    with capture_logs() as told:
        async with serving(mine, connected=False) as running:
            leave(left[2])
            await until(lambda: running.ingress.storage.figures().deliveries == 1)
            await create_raw(mine)
            await until(lambda: not running.ingress.storage.figures().deliveries)
            leave(tmp_path / "spool-3.sqlite")
            await read_raw(mine, 2)
            assert running.ingress.health().facts["spool_unread_files"] == 1
            assert running.registry.get_sample_value("dropstream_ingest_spool_unread_files") == 1.0
            left[0].rmdir()
            await until(lambda: running.ingress.health().facts["spool_unread_files"] == 0)
    lines = [line for line in told if line["log_level"] == "error" and line["event"].startswith("spool")]
    assert lines == [
        {
            "event": "spool_file_not_read",
            "path": str(left[0]),
            "error": "unable to open database file",
            "log_level": "error",
        }
    ]


async def test_a_disk_that_hangs_costs_nothing_while_kafka_is_well(
    settings: SettingsFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 while Kafka is away, 200 from Kafka as soon as it is there; what was written late is drained by itself."""
    monkeypatch.setattr("ingest.spool.disk._WRITE_TIMEOUT_S", 0.3)
    answers = Event()
    append = SpoolFile.append

    def hang(file: SpoolFile, records: Sequence[PendingRecord]) -> int:
        assert answers.wait(PATIENCE_S)
        return append(file, records)

    monkeypatch.setattr(SpoolFile, "append", hang)
    mine = serving_settings(settings, spool=tmp_path / "spool")
    async with serving(mine, connected=False) as running:
        storage, budget = running.ingress.storage, running.ingress.budget
        assert await deliver(running, b"late", b"refused") == [503, 503]
        assert running.ingress.health().facts["spool_hung"]
        assert not running.ingress.health().ready
        assert running.registry.get_sample_value("dropstream_ingest_spool_hung") == 1.0
        # The spool's thread has one delivery and its bytes; nothing else is held.
        assert 0 < budget.held_bytes < 1_000
        await create_raw(mine)
        await until(lambda: running.ingress.publisher.connected)
        assert await deliver(running, b"1", b"2") == [200, 200]
        assert (running.requests("acme", "stored"), running.ingress.health().ready) == (2, True)
        answers.set()
        values = [record.value for record in await read_raw(mine, 3)]
        await until(lambda: storage.spool_usable and not storage.figures().deliveries)
        assert (values, budget.held_bytes) == ([b"1", b"2", b"late"], 0)


async def test_a_page_that_is_damaged_in_use_costs_its_rows_alone(settings: SettingsFactory, tmp_path: Path) -> None:
    """Every other row, of it and of other spools, reaches Kafka without a restart; it is told and counted."""
    mine = serving_settings(settings, spool=tmp_path)
    spooled(tmp_path / "spool-0.sqlite", 3)
    left = tmp_path / "spool-1.sqlite"
    spooled(left, 3_000)
    with capture_logs() as told:
        async with serving(mine, connected=False) as running:
            assert running.ingress.storage.figures().deliveries == 3_003
            overwrite(left, page_of(left, 2_000), b"\xee" * PAGE)
            await create_raw(mine)
            await until(lambda: not running.ingress.storage.figures().deliveries)
            health = running.ingress.health()
            lost = running.ingress.storage.figures().damaged
            assert (health.live, health.ready, 0 < lost <= 5, health.facts["spool_damaged"]) == (True, True, True, lost)
            assert running.registry.get_sample_value("dropstream_ingest_spool_damaged") == lost
            assert await deliver(running, b"fresh") == [200]
            assert len({record.timestamp for record in await read_raw(mine, 3_004 - lost)}) == 3_001 - lost
    assert [line["event"] for line in told if line["log_level"] == "error"] == ["spool_damaged"]


async def test_a_spool_on_a_network_disk_is_told_at_the_start(
    settings: SettingsFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, as a warning; it works as well as it can."""
    monkeypatch.setattr("ingest.spool.network_disk._MOUNTS", tmp_path / "mountinfo")
    (tmp_path / "mountinfo").write_text(f"30 27 0:40 / {tmp_path} rw - nfs filer:/export rw\n")
    mine = serving_settings(settings, bootstrap_servers=NOWHERE, spool=tmp_path / "spool")
    with capture_logs() as told:
        async with serving(mine, connected=False) as running:
            assert await deliver(running, b"body") == [200]
    assert [line for line in told if line["event"] == "spool_on_network_disk"] == [
        {
            "event": "spool_on_network_disk",
            "path": str(tmp_path / "spool"),
            "file_system": "nfs",
            "log_level": "warning",
        }
    ]


async def test_a_folder_that_cannot_be_had_is_waited_for(settings: SettingsFactory, tmp_path: Path) -> None:
    """No spool at the start: 503 without Kafka; once the folder can be made, 200."""
    (tmp_path / "spool").write_text("a file where the folder should be")
    mine = serving_settings(settings, bootstrap_servers=NOWHERE, spool=tmp_path / "spool")
    async with serving(mine, connected=False) as running:
        assert await deliver(running, b"early") == [503]
        assert not running.ingress.health().ready
        (tmp_path / "spool").unlink()
        await until(lambda: running.ingress.health().ready)
        assert await deliver(running, b"in time") == [200]


async def test_a_long_queue_leaves_room_for_live_deliveries(
    settings: SettingsFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a queue of many steps is brought to Kafka, another endpoint's deliveries overtake it."""
    monkeypatch.setattr("ingest.spool.drain._STEP_RECORDS", 20)
    spool = tmp_path / "spool"
    away = serving_settings(settings, bootstrap_servers=NOWHERE, spool=spool)
    async with serving(away, connected=False) as running:
        for _ in range(5):
            await asyncio.gather(*(deliver(running, b"x" * 1_000) for _ in range(100)))
    mine = serving_settings(settings, spool=spool)
    await create_raw(mine)
    async with serving(mine) as running:
        assert await deliver(running, b"live", endpoint="laned") == [200]
        assert running.ingress.storage.figures().deliveries > 0
        assert await deliver(running, *(b"live" for _ in range(19)), endpoint="laned") == [200] * 19
        assert running.requests("laned", "stored") == 20
        await until(lambda: not running.ingress.storage.figures().deliveries)
        assert len(await read_raw(mine, 520)) == 520
