"""Workers whose machine gives no process now: the parent says so, and tries again."""

import asyncio
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from ops.service.workers.pool import Workers
from ops.service.workers.worker import Worker
from tests.support.waiting import until


async def test_a_worker_that_cannot_be_started_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try is logged with its fault, restarts are counted, and a stop ends it at once."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python-here"))
    monkeypatch.setattr("ops.service.workers.pool._PAUSE_FIRST_S", 0.01)
    registry = CollectorRegistry()
    workers = Workers([Worker(tmp_path / "0")], ["ingest"], grace_s=1.0, registry=registry)
    stopping = asyncio.Event()
    with capture_logs() as told:
        running = asyncio.create_task(workers.run(stopping))
        await until(lambda: [line["event"] for line in told].count("worker_not_started") >= 3)
        stopping.set()
        await running
    faults = [line["error"] for line in told if line["event"] == "worker_not_started"]
    assert all("no-python-here" in fault for fault in faults)
    deaths = [(line["exit_code"], line["deaths"]) for line in told if line["event"] == "worker_died"]
    assert deaths[:2] == [(1, 1), (1, 2)]
    assert (registry.get_sample_value("dropstream_worker_restarts_total", {"worker": "0"}) or 0) >= 2
