"""The page of metrics lets its process go on, and is made once for all who ask at one time."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from ingest.answer_metrics import AnswerCounts
from ops.service.metrics_page import SharedPage, describe_process, page_of
from schemas.errors import DropstreamError


class _Maker:
    """Makes pages when it is let; `count` says how many it began."""

    def __init__(self) -> None:
        self.count = 0
        self.finished = asyncio.Event()
        self.fails = False

    async def make(self) -> bytes:
        self.count += 1
        await self.finished.wait()
        if self.fails:
            raise DropstreamError("no page")
        return b"page %d" % self.count


async def test_the_event_loop_turns_while_a_page_is_made() -> None:
    """Others have their turns, and counts may change meanwhile: the page stays whole."""
    registry = CollectorRegistry()
    counts = AnswerCounts((1.0,))
    registry.register(counts)
    for number in range(20_000):
        counts.of(f"shop-{number}").outcomes["stored"] = 1
    making = asyncio.create_task(page_of(registry, worker="3"))
    turns = 0
    while not making.done():
        await asyncio.sleep(0)
        turns += 1
        counts.of(f"newer-{turns}").outcomes["stored"] = turns
    assert turns > 2
    families = {family.name: family.samples for family in text_string_to_metric_families(making.result().decode())}
    shown = {one.labels["endpoint"]: one.value for one in families["dropstream_ingest_requests"]}
    assert {f"shop-{number}": 1.0 for number in range(20_000)}.items() <= shown.items()
    assert all(one.labels["worker"] == "3" for one in families["dropstream_ingest_requests"])


async def test_who_asks_meanwhile_gets_the_same_page() -> None:
    """Later ones a new one; one who goes away takes it from nobody."""
    maker = _Maker()
    page = SharedPage(maker.make)
    first, second = asyncio.create_task(page.text()), asyncio.create_task(page.text())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    maker.finished.set()
    assert await second == b"page 1"
    assert await page.text() == b"page 2"
    assert maker.count == 2


async def test_a_page_that_fails_fails_for_all_and_is_tried_again() -> None:
    """The fault is not kept."""
    maker = _Maker()
    maker.fails = True
    page = SharedPage(maker.make)
    maker.finished.set()
    failures = await asyncio.gather(page.text(), page.text(), return_exceptions=True)
    assert [type(one) for one in failures] == [DropstreamError, DropstreamError]
    maker.fails = False
    assert await page.text() == b"page 2"


async def test_every_admin_port_describes_its_process() -> None:
    """Version, memory, CPU, open files and garbage collections, with the worker's label."""
    registry = CollectorRegistry()
    describe_process(registry)
    text = (await page_of(registry, worker="0")).decode()
    samples = {one.name: one.labels for family in text_string_to_metric_families(text) for one in family.samples}
    assert samples["dropstream_build_info"].keys() == {"version", "worker"}
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"):
        assert samples[name] == {"worker": "0"}
    assert samples["python_gc_collections_total"].keys() == {"generation", "worker"}
