"""The oldest Kafka that is said to work does: from HTTP to events to the audit."""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ops.local.broker.cluster import open_cluster
from ops.local.broker.install import Unavailable, find_kafka
from ops.local.broker.local import CACHE_FOLDER
from ops.local.broker.runtime import JavaRuntime, Runtime
from tests.conftest import SettingsFactory
from tests.support.ports import free_ports
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, audited, deliveries, prepared, processors
from tests.support.programs import program, send_all

# docs/operate.md, "Which Kafka".
OLDEST = "3.9.1"


@pytest.fixture
async def oldest(kafka_runtime: Runtime, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a broker of the oldest version."""
    with ThreadPoolExecutor(1) as beside:
        finding = find_kafka(CACHE_FOLDER, environ=os.environ, progress=lambda _step: None, version=OLDEST)
        found = await asyncio.get_running_loop().run_in_executor(beside, asyncio.run, finding)
    if isinstance(found, Unavailable) or not isinstance(kafka_runtime, JavaRuntime):
        pytest.skip("another version of Kafka needs Java with Maven")
    broker = await open_cluster(
        tmp_path / "broker", nodes=1, port=free_ports(2), runtime=found, progress=lambda _step: None
    )
    try:
        yield broker.bootstrap_servers
    finally:
        await broker.kill()


async def test_the_oldest_kafka_keeps_every_promise_of_the_main_path(
    oldest: str, settings: SettingsFactory, tmp_path: Path
) -> None:
    """What comes by HTTP becomes events by both groups, exactly once, as the audit says."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, bootstrap_servers=oldest))
    batch = deliveries(40)
    port = free_ports(2)
    (tmp_path / "dropstream.toml").write_text(
        f'[kafka]\nbootstrap_servers = "{oldest}"\ntopic_prefix = "{mine.kafka.topic_prefix}"\n'
        f"partitions = 3\nreplication_factor = 1\n"
        f'[ingest]\nhost = "127.0.0.1"\nport = {port}\nadmin_port = {port + 1}\n{ENDPOINTS}'
    )
    async with program(tmp_path, "ingest", admin_port=port + 1) as ingest:
        await ingest.ready()
        await send_all(f"http://127.0.0.1:{port}", batch)
        folder = tmp_path / "processors"
        folder.mkdir()
        # Inside, for what the ingress took into its spool comes a moment later.
        async with processors(mine, folder) as start:
            await start("processor")
            verdict = await audited(mine, len(batch))
    assert (verdict.status, verdict.deliveries) == ("clean", 40), verdict
