"""Forty webhooks, six never come: from the provider's HTTP to what a consumer believes, over three deaths of a run."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import orjson
import pytest
from dropstream_events.events import read_event
from dropstream_events.states import NewestStates

from ops.audit.run import audit
from ops.kafka.reader import read_topic
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.integration.processors.test_stories import INGEST, receiving
from tests.integration.shipstream.instance import KEY, USER
from tests.integration.shipstream.server import running
from tests.support.ports import free_ports
from tests.support.processing import ENDPOINTS, ENVIRON, MORTAL, audited, is_processed, prepared, start_processor
from tests.support.reconciling import seen_in, truth_of
from tests.support.replaying import Ended, ended
from tests.support.waiting import until_it_is
from tests.support.warehouse import Warehouse, Webhook

pytestmark = pytest.mark.kafka

LOST = {5, 11, 12, 23, 31, 38}
MADE = 40


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    """An instance where forty things happened hours ago, a minute apart."""
    instance = Warehouse(at=datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5), page_max=4)
    with running(instance):
        for number in range(20):
            instance.create_order(f"R-{number}", {f"SKU-{number % 4}": 1 + number % 3})
            instance.at += timedelta(minutes=1)
        for number in range(8):
            instance.change_status(1 + number, ("processing", "complete", "holded", "canceled")[number % 4])
            instance.at += timedelta(minutes=1)
            instance.track(1 + number, f"T-{number}")
        for number in range(4):
            instance.adjust(f"SKU-{number}", 10)
            instance.at += timedelta(minutes=1)
        assert len(instance.sent) == MADE
        yield instance


async def send(url: str, webhooks: Collection[Webhook]) -> None:
    """The webhooks over HTTP, each answered 200."""
    async with aiohttp.ClientSession() as http:
        for one in webhooks:
            made = one.delivery("shipstream", received_at=one.made_at)
            headers = {name: value.decode() for name, value in made.headers}
            async with http.post(f"{url}/webhooks/shipstream", data=one.body, headers=headers) as answer:
                assert answer.status == 200


async def start(
    settings: Settings,
    folder: Path,
    warehouse: Warehouse,
    *arguments: str,
    dies_at: str = "",
    word: str = "offer",
    admin_port: int = 0,
) -> Process:
    """`dropstream` with the API of the warehouse."""
    kafka, config = settings.kafka, folder / "reconcile.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\ntopic_prefix = "{kafka.topic_prefix}"\n'
        f"replication_factor = 1\npartitions = {kafka.partitions}\n[reconcile]\nadmin_port = {admin_port}\n"
        + ENDPOINTS.replace('"shipstream"\n', f'"shipstream"\nreconcile = "{word}"\n')
        + f'[endpoints.shipstream.api]\nurl = "{warehouse.url}"\nusername = "{USER}"\nkey = "env:API_KEY"\n'
    )
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *(("tests.support.dying", dies_at) if dies_at else ("ops",))),
        *(*arguments, "--config", str(config)),
        env={**os.environ, **ENVIRON, "API_KEY": KEY},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )


def kill_at(warehouse: Warehouse, process: Process, call: int) -> None:
    """The process dies when it asks for the `call`-th time from now on."""
    calls = 0

    def count(_method: str) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(process.pid, signal.SIGKILL)

    warehouse.on_call = count


async def view(settings: Settings) -> NewestStates:
    """What a consumer believes of orders and stock."""
    states = NewestStates()
    for topic in ("orders", "inventory"):
        for record in await read_topic(settings, topic):
            states.take((record.key or b"").decode(), read_event(record.value or b""))
    return states


async def told(settings: Settings, state: str) -> list[tuple[int, int]]:
    """The gaps of a state."""
    gaps = [orjson.loads(record.value or b"") for record in await read_topic(settings, "gaps")]
    return [(gap["first"], gap["last"]) for gap in gaps if gap["state"] == state]


async def count_of_raw(settings: Settings) -> int:
    return len(await read_topic(settings, "raw"))


async def test_what_never_came_is_fetched_back(settings: SettingsFactory, tmp_path: Path, warehouse: Warehouse) -> None:
    """Gaps are lost, the run dies three times, and a consumer believes what the provider does; the audit is clean."""
    mine = await prepared(settings(INGEST + ENDPOINTS + MORTAL, environ=ENVIRON))
    processor = await start_processor(mine, tmp_path, "processor")
    try:
        async with receiving(mine) as url:
            await send(url, [one for one in warehouse.sent if one.number not in LOST])
            # A person made the webhook anew: its counter begins again, and what is missing of the old one is lost.
            warehouse.sent.clear()
            warehouse.at += timedelta(minutes=5)
            warehouse.adjust("SKU-0", 1)
            await send(url, warehouse.sent)
        await until_it_is(lambda: _is_told(mine, "lost", 5))
        assert seen_in(await view(mine)) != truth_of(warehouse)

        offered = await ended(await start(mine, tmp_path, warehouse, "gaps"))
        assert offered.out.count("\tlost\t") == 5
        rehearsed = await ended(
            await start(mine, tmp_path, warehouse, *ASKED, "--dry-run"),
        )
        assert rehearsed.code == 0, rehearsed
        assert "cannot give back\tthe webhooks themselves" in rehearsed.out
        assert warehouse.requests == []

        finished = await over_three_deaths(mine, tmp_path, warehouse)
        assert finished.code == 0, finished
        written = await count_of_raw(mine)
        assert (await audited(mine, written)).clean
        assert seen_in(await view(mine)) == truth_of(warehouse)
        assert sorted(await told(mine, "reconciled")) == [(5, 5), (11, 12), (23, 23), (31, 31), (38, 38)]

        again = await ended(
            await start(mine, tmp_path, warehouse, "reconcile", "--endpoint", "shipstream", "--from", "6h", "--yes")
        )
        assert (again.code, await count_of_raw(mine)) == (0, written), again
        listed = await ended(await start(mine, tmp_path, warehouse, "gaps"))
        assert "\tlost\t" not in listed.out
        assert await is_processed(mine, written)
        assert (await audit(mine)).clean
        assert KEY not in finished.out + finished.err + again.out + again.err

        await lose_one_more(mine, warehouse)
        port = free_ports(1)
        watching = await start(mine, tmp_path, warehouse, "reconcile", "--watch", word="automatic", admin_port=port)
        await until_it_is(lambda: _is_told(mine, "reconciled", 6))
        await until_it_is(lambda: _shows(port, *WATCHED))
        watching.send_signal(signal.SIGTERM)
        assert (await ended(watching)).code == 0
        assert (await audited(mine, await count_of_raw(mine))).clean
        assert seen_in(await view(mine)) == truth_of(warehouse)
    finally:
        processor.process.kill()
        await processor.ended()


async def lose_one_more(settings: Settings, warehouse: Warehouse) -> None:
    """Stock moves three times; the second webhook never comes, and then the counter begins anew once more."""
    for _ in range(2):
        warehouse.at += timedelta(minutes=1)
        warehouse.adjust("SKU-1", 7)
    made = [one for one in warehouse.sent if one.number == 3]
    warehouse.sent.clear()
    warehouse.at += timedelta(minutes=5)
    warehouse.adjust("SKU-2", 1)
    async with receiving(settings) as url:
        await send(url, [*made, *warehouse.sent])
    await until_it_is(lambda: _is_told(settings, "lost", 6))


ASKED = ("reconcile", "--endpoint", "shipstream", "--gap", "5-38")


async def over_three_deaths(settings: Settings, folder: Path, warehouse: Warehouse) -> Ended:
    """The run at its end: killed in its first pages, while a page is committed, and in its shipments."""
    process = await start(settings, folder, warehouse, *ASKED, "--yes")
    kill_at(warehouse, process, 14)
    first = await ended(process)
    assert first.code == -signal.SIGKILL, first
    run = first.out.rpartition("--resume ")[2].split()[0]
    warehouse.on_call = lambda _method: None
    second = await ended(
        await start(settings, folder, warehouse, "reconcile", "--resume", run, dies_at="commit_on_its_way")
    )
    assert second.code == -signal.SIGKILL, second
    process = await start(settings, folder, warehouse, "reconcile", "--resume", run)
    kill_at(warehouse, process, 12)
    third = await ended(process)
    assert third.code == -signal.SIGKILL, third
    warehouse.on_call = lambda _method: None
    return await ended(await start(settings, folder, warehouse, "reconcile", "--resume", run))


# Its own registration is not in the list of webhooks of the warehouse.
WATCHED = (
    'dropstream_reconcile_runs_total{endpoint="shipstream",result="finished"} 1.0',
    'dropstream_reconcile_failures{endpoint="shipstream"} 0.0',
    'dropstream_reconcile_lost_ids{endpoint="shipstream"} 0.0',
    'dropstream_reconcile_tail_doubtful{endpoint="shipstream"} 1.0',
)


async def _shows(port: int, *lines: str) -> bool:
    """Whether the watch is ready, and its metrics say this."""
    async with aiohttp.ClientSession() as http:
        async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
            is_ready = answer.status == 200
        async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
            return is_ready and set(lines) <= set((await answer.text()).splitlines())


async def _is_told(settings: Settings, state: str, count: int) -> bool:
    return len(await told(settings, state)) >= count
