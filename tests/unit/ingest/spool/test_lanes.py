"""An endpoint with lanes: what one lane must wait for, the others do not."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from ingest.answers import Outcome
from ingest.budgets import ByteBudget, Reservation
from ingest.kafka.publisher import Publisher
from ingest.metrics import IngestMetrics
from ingest.spool.file import Content, SpoolFile
from ingest.storage import Storage
from schemas.delivery import PendingRecord
from schemas.kafka.layout_watch import LayoutWatch
from tests.conftest import SettingsFactory
from tests.support.waiting import until
from tests.unit.ingest.spool.test_drain import HandClient, HandSupervisor
from tests.unit.ingest.spool.test_file import ROOM

_SETTINGS = '[ingest]\nkafka_deadline_ms = 300\nproducer_hung_ms = 60_000\nspool_dir = "{}"'


def laned(lane: int, number: int) -> PendingRecord:
    headers = [("dropstream-delivery", b"%d" % number)]
    return PendingRecord("acme", b"acme#%d" % lane, b"%d" % number, headers, 1_774_747_800_000 + number)


def test_a_file_counts_by_lane(tmp_path: Path) -> None:
    """Opened again, a file knows which lanes it holds, and which are gone."""
    with SpoolFileOf(tmp_path) as file:
        file.append([laned(0, 1), laned(1, 2), laned(0, 3)])
    with SpoolFileOf(tmp_path) as file:
        assert file.content.waiting == Counter({"acme#0": 2, "acme#1": 1})
        file.remove([one for one in file.oldest(count_max=9, bytes_max=ROOM) if one.record.key == b"acme#0"])
    with SpoolFileOf(tmp_path) as file:
        assert file.content == Content(Counter({"acme#1": 1}), 1_774_747_800_002)


class SpoolFileOf:
    """The one file of a folder, open inside the block."""

    def __init__(self, folder: Path) -> None:
        self._file = SpoolFile(folder / "spool-0.sqlite", bytes_max=ROOM)

    def __enter__(self) -> SpoolFile:
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()


class LanedStand:
    """A storage before a hand in place of Kafka; of its two partitions lane 0 is in the first, lane 6 in the second."""

    def __init__(self, settings: SettingsFactory, folder: Path) -> None:
        mine = settings(_SETTINGS.format(folder), bootstrap_servers="127.0.0.1:1")
        metrics = IngestMetrics(CollectorRegistry())
        layout = LayoutWatch(mine)
        self.supervisor = HandSupervisor(mine, layout=layout, metrics=metrics)
        publisher = Publisher(mine.ingest, supervisors=[self.supervisor], layout=layout, metrics=metrics)
        self.storage = Storage(mine.ingest, publisher=publisher, metrics=metrics)
        self.outcomes: dict[bytes, Outcome] = {}

    @property
    def client(self) -> HandClient:
        return self.supervisor.clients[0]

    def store(self, record: PendingRecord) -> None:
        def note(outcome: Outcome) -> None:
            self.outcomes[record.value] = outcome

        self.storage.store(record, Reservation(ByteBudget(ROOM)), note)


@pytest.fixture
async def laned_stand(settings: SettingsFactory, tmp_path: Path) -> AsyncIterator[LanedStand]:
    made = LanedStand(settings, tmp_path / "spool")
    await made.storage.start()
    yield made
    await made.storage.stop(within_s=0)


async def test_a_lane_that_waits_holds_up_no_other(laned_stand: LanedStand) -> None:
    """Deliveries of the lane whose partition takes nothing are spooled, in order; the other lane's go to Kafka."""
    laned_stand.client.well.add(1)
    laned_stand.store(laned(0, 1))
    await until(lambda: laned_stand.outcomes == {b"1": Outcome.SPOOLED})
    laned_stand.store(laned(0, 2))
    laned_stand.store(laned(6, 3))
    await until(lambda: len(laned_stand.outcomes) == 3)
    assert laned_stand.outcomes == {b"1": Outcome.SPOOLED, b"2": Outcome.SPOOLED, b"3": Outcome.STORED}
