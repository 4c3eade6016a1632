"""Neither a scrape nor a SIGHUP of thousands of endpoints is in the way of probes and deliveries."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.ports import free_ports
from tests.support.programs import Load, Program, load, program
from tests.support.waiting import PATIENCE_S, until_it_is

_ENDPOINTS = 3_000
Result = TypeVar("Result")


def write(folder: Path, port: int, admin_port: int, *, rate: int) -> None:
    """A configuration of many endpoints, whose Kafka is not there."""
    (folder / "dropstream.toml").write_text(
        f'[kafka]\nbootstrap_servers = "127.0.0.1:1"\n'
        f'[ingest]\nhost = "127.0.0.1"\nport = {port}\nadmin_port = {admin_port}\nspool_dir = "{folder / "spool"}"\n'
        + "".join(
            f'[endpoints.shop-{number}]\nprovider = "shipstream"\nsecrets = ["env:S"]\nrate_per_second = {rate}\n'
            for number in range(_ENDPOINTS)
        )
    )


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Program, Load]]:
    """An ingress with two workers, and deliveries that come all the time."""
    port = free_ports(2)
    write(tmp_path, port, port + 1, rate=1_000_000)
    async with program(tmp_path, "ingest", "--workers", "2", admin_port=port + 1) as ingress:
        await ingress.ready()
        async with load(f"http://127.0.0.1:{port}/webhooks/shop-7") as sent:
            await sent.more(1)
            yield ingress, sent
            assert (sent.refused, sent.lost_connections) == ([], 0)


async def answered_meanwhile(running: Program, sent: Load, work: Callable[[], Awaitable[Result]]) -> list[Result]:
    """What `work` gave, again and again until a probe and a delivery were answered during one; every probe says 200."""
    results: list[Result] = []

    async def both_answered() -> bool:
        working, probes, before = asyncio.ensure_future(work()), 0, len(sent.acknowledged)
        while not working.done():
            status, _ = await running.page("/livez")
            assert status == 200
            probes += not working.done()
        results.append(await working)
        return probes > 0 and len(sent.acknowledged) > before

    await until_it_is(both_answered)
    return results


async def test_a_scrape_is_in_nobodys_way(running: tuple[Program, Load]) -> None:
    """Each page is whole, names every endpoint once a worker, and no counter goes back from one page to the next."""
    ingress, sent = running

    async def scrape() -> str:
        status, text = await ingress.page("/metrics")
        assert status == 200
        return text

    pages = await answered_meanwhile(ingress, sent, scrape)
    pages += await asyncio.gather(scrape(), scrape())
    before: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for page in pages:
        families = list(text_string_to_metric_families(page))
        assert len({family.name for family in families}) == len(families)
        now = {
            (one.name, frozenset(one.labels.items())): one.value
            for family in families
            if family.type in {"counter", "histogram"}
            for one in family.samples
        }
        assert all(value >= before[key] for key, value in now.items() if key in before)
        assert now.keys() >= before.keys()
        before = now
        late = [labels for name, labels in now if name == "dropstream_ingest_answered_late_total"]
        assert len(late) == 2 * _ENDPOINTS
        known = {(one.name, one.labels.get("worker")) for family in families for one in family.samples}
        for name in ("dropstream_build_info", "process_resident_memory_bytes", "python_gc_collections_total"):
            assert known >= {(name, worker) for worker in ("0", "1", "parent")}


async def test_a_reload_is_in_nobodys_way(running: tuple[Program, Load], tmp_path: Path) -> None:
    """While thousands of endpoints are read again; all workers take them."""
    ingress, sent = running
    reloads = 0

    async def reload() -> None:
        nonlocal reloads
        reloads += 1
        write(tmp_path, ingress.admin_port - 1, ingress.admin_port, rate=1_000_000 + reloads)
        ingress.signal(signal.SIGHUP)
        await ingress.said("configuration_reloaded", 3 * reloads)

    async with asyncio.timeout(PATIENCE_S):
        await answered_meanwhile(ingress, sent, reload)
    assert len(ingress.lines("configuration_reloaded")[-1]["changed"]) == _ENDPOINTS
