"""The console offers to fetch what was lost, shows how far that is, and what came of it; in a real browser."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from playwright.sync_api import expect

from ops.kafka.reader import read_topic
from ops.kafka.topics import apply
from schemas.kafka.arguments import producer_arguments
from schemas.notes.gaps import Gap, GapState, gap_record
from schemas.settings import Settings
from schemas.times import rfc3339
from tests.conftest import KafkaUnderTest, SettingsFactory
from tests.integration.shipstream.instance import KEY, USER
from tests.integration.shipstream.server import running
from tests.support.browsing import chromium, lonely_console, reader
from tests.support.processing import ENDPOINTS, ENVIRON
from tests.support.waiting import PATIENCE_S
from tests.support.warehouse import Warehouse

pytestmark = pytest.mark.kafka

SEEN_AT = datetime.now(UTC) - timedelta(hours=112)


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    """An instance with three orders of the days since."""
    instance = Warehouse(at=datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5))
    with running(instance):
        for number in range(3):
            instance.create_order(f"R-{number}", {"SKU-1": 1})
            instance.at += timedelta(minutes=1)
        yield instance


async def lose(settings: Settings) -> None:
    """Two ids of the endpoint were called lost."""
    await apply(settings)
    gap = Gap(
        endpoint="shipstream",
        first=5,
        last=6,
        state=GapState.LOST,
        suspected_at=rfc3339(SEEN_AT),
        changed_at=rfc3339(datetime.now(UTC)),
        epoch=1,
        raw=f"{settings.kafka.topic_prefix}raw/0/7",
    )
    record = gap_record(gap)
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        topic = settings.kafka.topic_prefix + "gaps"
        await producer.send_and_wait(topic, record.value, key=record.key)


def test_a_lost_gap_is_fetched_back_from_the_page(
    kafka: KafkaUnderTest, settings: SettingsFactory, tmp_path: Path, warehouse: Warehouse
) -> None:
    """The page says what the provider cannot give back, then how far it is, and at last that the gap is reconciled."""
    chromium()
    mine = settings(ENDPOINTS, environ=ENVIRON)
    asyncio.run(lose(mine))
    endpoints = (
        ENDPOINTS + f'[endpoints.shipstream.api]\nurl = "{warehouse.url}"\nusername = "{USER}"\nkey = "env:API_KEY"\n'
    )
    environ = {
        **ENVIRON,
        "API_KEY": KEY,
        "DROPSTREAM_KAFKA__TOPIC_PREFIX": mine.kafka.topic_prefix,
        "DROPSTREAM_KAFKA__REPLICATION_FACTOR": "1",
        "DROPSTREAM_KAFKA__PARTITIONS": str(mine.kafka.partitions),
    }
    go_on = threading.Event()

    def hold(method: str) -> None:
        if "inventory" in method:
            go_on.wait(PATIENCE_S)

    warehouse.on_call = hold
    with lonely_console(kafka.bootstrap_servers, tmp_path, endpoints, environ) as url, reader() as browser:
        page = browser.open(url)
        lost = page.locator("#gap-rows tr", has_text="lost")
        expect(lost).to_contain_text("5 \u2013 6")
        lost.get_by_role("button", name="Fetch").click()
        dialog = page.locator("#dialog")
        dialog.get_by_role("button", name="Look what it would do").click()
        expect(dialog).to_contain_text("the webhooks themselves")
        assert warehouse.requests == []
        dialog.get_by_role("button", name="Fetch").click()
        run = page.locator("#reconciliations li")
        expect(run).to_contain_text("being reconciled")
        expect(page.locator("#acts-shown li")).to_contain_text("fetched: 3")
        go_on.set()
        expect(page.locator("#acts-shown li .badge")).to_have_text("done", timeout=1_000 * PATIENCE_S)
        expect(page.locator("#acts-shown li")).to_contain_text("orders: 3")
        expect(run).to_contain_text("5-6 reconciled")
        expect(lost).to_have_count(0)
        assert browser.complaints == []
    written = asyncio.run(read_topic(mine, "raw"))
    assert len(written) >= 3
    assert KEY not in (tmp_path / "console.log").read_text(encoding="utf-8")
