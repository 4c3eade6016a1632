"""The drain waits for the real fate of what the Kafka client has, whoever gave it to the client."""

import asyncio
import contextlib
import sqlite3
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import ProducerClosed
from prometheus_client import CollectorRegistry

from ingest.budgets import ByteBudget, Reservation
from ingest.kafka.batches import Fate
from ingest.kafka.publisher import Publisher
from ingest.kafka.supervisor import ProducerSupervisor
from ingest.metrics import IngestMetrics
from ingest.spool.doubts import Doubts
from ingest.spool.drain import Drain
from ingest.spool.file import SpoolFile
from ingest.spool.queue import Spool
from ingest.spool.rows import SpooledRecord
from schemas.delivery import PendingRecord
from schemas.kafka.batches import Builder
from schemas.kafka.layout_watch import LayoutWatch
from tests.conftest import SettingsFactory
from tests.support.waiting import UNHURRIED_MS, until
from tests.unit.ingest.spool.test_file import ROOM


class _Cluster:
    """What aiokafka knows of topic `raw`: two partitions on one node."""

    def __init__(self, topic: str) -> None:
        self._partitions = {topic: dict.fromkeys((0, 1), SimpleNamespace(replicas=[1]))}


class HandClient:
    """aiokafka's producer, with a hand in place of a broker: it takes every batch, and tests say what becomes of it."""

    def __init__(self, topic: str) -> None:
        self.cluster = _Cluster(topic)
        self.client = self
        self.sent: list[tuple[int, Future[object]]] = []
        # What goes to one of these partitions is acknowledged at once.
        self.well: set[int] = set()

    def offer(self, builder: Builder, _topic: str, partition: int) -> Future[object]:
        loop = asyncio.get_running_loop()
        loop.call_soon(builder.close)
        written: Future[object] = loop.create_future()
        self.sent.append((partition, written))
        if partition in self.well:
            written.set_result(None)
        return written


class HandSupervisor(ProducerSupervisor):
    """Connected at once, to clients of a hand; one that is replaced gives up what it had."""

    clients: list[HandClient]
    reasons: list[str]

    def start(self, on_connected: Callable[[Any], None]) -> None:
        self.clients, self.reasons = [HandClient(self.topic)], []
        self._on_connected = on_connected
        on_connected(self.clients[-1])

    def replace(self, reason: str, *, flush_s: float) -> None:
        assert flush_s >= 0
        self.reasons.append(reason)
        old = self.clients[-1]
        client: Any = HandClient(self.topic)
        self.clients.append(client)
        for _, written in old.sent:
            if not written.done():
                written.set_exception(ProducerClosed())
        asyncio.get_running_loop().call_soon(self._on_connected, client)

    async def stop(self, *, within_s: float) -> None:
        """Nothing is open."""


def numbered(number: int, endpoint: str = "acme") -> PendingRecord:
    return PendingRecord(endpoint, endpoint.encode(), b"%d" % number, [("dropstream-delivery", b"%d" % number)], 0)


class Stand:
    """A spool, a drain and a publisher whose client is a hand."""

    def __init__(
        self, settings: SettingsFactory, folder: Path, file: SpoolFile | None = None, *, hung_ms: int = 1_000
    ) -> None:
        mine, metrics = (
            settings(
                f"[ingest]\nkafka_deadline_ms = 30\nproducer_hung_ms = {hung_ms}", bootstrap_servers="127.0.0.1:1"
            ),
            IngestMetrics(CollectorRegistry()),
        )
        layout = LayoutWatch(mine)
        self.supervisor = HandSupervisor(mine, layout=layout, metrics=metrics)
        self.publisher = Publisher(mine.ingest, supervisors=[self.supervisor], layout=layout, metrics=metrics)
        self.publisher.start()
        self.spool = Spool(file or SpoolFile(folder / "spool-0.sqlite", bytes_max=ROOM))
        self.doubts = Doubts()
        self.drain = Drain(self.publisher, metrics, self.doubts)

    @property
    def sent(self) -> list[tuple[int, Future[object]]]:
        """What the clients took so far: in which partition, and the future of each batch."""
        return [batch for client in self.supervisor.clients for batch in client.sent]

    async def draining(self) -> None:
        while True:
            await self.drain.drain_some([self.spool])


@pytest.fixture
async def stand(settings: SettingsFactory, tmp_path: Path) -> AsyncIterator[Stand]:
    made = Stand(settings, tmp_path)
    yield made
    await made.publisher.stop(within_s=0)
    await made.spool.close()


async def test_a_first_try_that_is_acknowledged_late_is_not_sent_again(stand: Stand) -> None:
    """Its copy in the spool waits for the fate, and is then removed."""
    record = numbered(1)
    fate = await stand.publisher.publish_and_wait(record, Reservation(ByteBudget(ROOM)))
    assert isinstance(fate, Fate)
    stand.doubts.note(record, fate)
    assert await stand.spool.written(stand.spool.enqueue(record, lambda: None))
    draining = asyncio.create_task(stand.draining())
    stand.sent[0][1].set_result(None)
    await until(lambda: not stand.spool.waiting)
    assert len(stand.sent) == 1
    draining.cancel()


async def test_what_the_drain_sent_is_in_flight_once(stand: Stand) -> None:
    """However often its deadline passes; after a late acknowledgement it leaves the spool."""
    assert await stand.spool.written(stand.spool.enqueue(numbered(1), lambda: None))
    draining = asyncio.create_task(stand.draining())
    await until(lambda: stand.doubts.fate_of(numbered(1)) is not None)
    assert (len(stand.sent), stand.spool.waiting) == (1, 1)
    stand.sent[0][1].set_result(None)
    await until(lambda: not stand.spool.waiting)
    assert len(stand.sent) == 1
    draining.cancel()


async def test_what_the_client_gave_up_is_sent_again(stand: Stand) -> None:
    """Kafka may have written it, and nobody knows."""
    assert await stand.spool.written(stand.spool.enqueue(numbered(1), lambda: None))
    draining = asyncio.create_task(stand.draining())
    await until(lambda: not stand.publisher.connected)
    stand.supervisor.clients[-1].sent[0][1].set_exception(ProducerClosed())
    await until(lambda: len(stand.sent) == 2)
    stand.sent[1][1].set_result(None)
    await until(lambda: not stand.spool.waiting)
    draining.cancel()


async def test_a_partition_that_does_not_take_holds_up_no_other(stand: Stand) -> None:
    """The drain passes over it, and comes back when it takes again; its records keep their order."""
    for number, endpoint in enumerate(("acme", "e0") * 3):
        assert await stand.spool.written(stand.spool.enqueue(numbered(number, endpoint), lambda: None))
    first = await stand.publisher.publish_and_wait(numbered(9), Reservation(ByteBudget(ROOM)))
    assert isinstance(first, Fate)
    draining = asyncio.create_task(stand.draining())
    await until(lambda: len(stand.sent) == 2)
    assert [partition for partition, _ in stand.sent] == [0, 1]
    stand.sent[1][1].set_result(None)
    await until(lambda: stand.spool.waiting == 3)
    assert await stand.spool.written(stand.spool.enqueue(numbered(7, "e0"), lambda: None))
    await until(lambda: len(stand.sent) == 3)
    stand.sent[2][1].set_result(None)
    await until(lambda: stand.spool.waiting == 3)
    stand.sent[0][1].set_result(None)
    await until(lambda: len(stand.sent) == 4)
    stand.sent[3][1].set_result(None)
    await until(lambda: not stand.spool.waiting)
    assert [partition for partition, _ in stand.sent] == [0, 1, 1, 0]
    draining.cancel()


class CountedFile(SpoolFile):
    """A file that counts the rows that it gave to be drained."""

    given = 0

    def _read_rows(self, rows: Iterable[Sequence[Any]], *, count_max: int, bytes_max: int) -> list[SpooledRecord]:
        found = super()._read_rows(rows, count_max=count_max, bytes_max=bytes_max)
        self.given += len(found)
        return found


async def test_a_partition_that_comes_and_goes_costs_its_own_records(settings: SettingsFactory, tmp_path: Path) -> None:
    """Nine times away and back: what lies in the spool for another one, which is away all the while, is read once."""
    path = tmp_path / "spool-0.sqlite"
    with contextlib.closing(SpoolFile(path, bytes_max=ROOM)) as before:
        before.append([numbered(number) for number in range(2_000)])
    file = CountedFile(path, bytes_max=ROOM)
    stand = Stand(settings, tmp_path, file, hung_ms=UNHURRIED_MS)
    away = await stand.publisher.publish_and_wait(numbered(-1), Reservation(ByteBudget(ROOM)))
    assert isinstance(away, Fate)
    file.given = 0

    def acknowledged(partition: int) -> bool:
        for number, written in stand.sent:
            if number == partition and not written.done():
                written.set_result(None)
        return True

    draining = asyncio.create_task(stand.draining())
    await until(lambda: file.given == 2_000)
    for turn in range(9):
        record = numbered(3_000 + turn, "e0")
        assert await stand.spool.written(stand.spool.enqueue(record, lambda: None))
        await until(lambda record=record: stand.doubts.fate_of(record) is not None)  # type: ignore[misc] # it is bound here
        await until(lambda: acknowledged(1) and stand.spool.waiting == 2_000)
    assert 2_018 <= file.given <= 2_050
    await until(lambda: acknowledged(0) and not stand.spool.waiting)
    draining.cancel()
    await stand.publisher.stop(within_s=0)
    await stand.spool.close()


async def test_a_producer_is_replaced_when_all_of_it_hangs(stand: Stand) -> None:
    """Not when one partition does: as long as another is acknowledged, Kafka is connected and the producer stays."""
    for number, endpoint in enumerate(("acme", "e0")):
        fate = await stand.publisher.publish_and_wait(numbered(number, endpoint), Reservation(ByteBudget(ROOM)))
        assert isinstance(fate, Fate)
        assert not stand.publisher.connected
    stand.sent[1][1].set_result(None)
    await until(lambda: stand.publisher.connected)
    assert (stand.publisher.partitions_overdue, stand.publisher.takes(b"acme")) == (1, False)
    assert stand.publisher.takes(b"e0")
    await stand.publisher.publish_and_wait(numbered(2, "e0"), Reservation(ByteBudget(ROOM)))
    assert not stand.publisher.connected
    await until(lambda: stand.supervisor.reasons == ["hung"])
    await until(lambda: stand.publisher.takes(b"acme"))


async def test_a_damaged_record_behind_the_others_holds_no_endpoint(settings: SettingsFactory, tmp_path: Path) -> None:
    """When all that can be read is drained, nothing waits any more, though the file counted the damaged record."""
    path = tmp_path / "spool-0.sqlite"
    file = SpoolFile(path, bytes_max=ROOM)
    # Behind what is looked through at the opening, where its damage would be found, and not counted.
    file.append([numbered(number) for number in range(600)])
    file.close()
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE records SET checksum = checksum + 1 WHERE id = 600")
    stand = Stand(settings, tmp_path)
    assert stand.spool.waiting == 600
    draining = asyncio.create_task(stand.draining())

    def is_drained() -> bool:
        for _, written in stand.sent:
            if not written.done():
                written.set_result(None)
        return not stand.spool.waiting

    await until(is_drained)
    assert (stand.spool.damaged, stand.spool.holds("acme")) == (1, False)
    draining.cancel()
    await stand.publisher.stop(within_s=0)
    await stand.spool.close()
