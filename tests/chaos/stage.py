"""What a fault of the ingress plays on: a topic of its own, the ingress as a real program, and the ways to harm it."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from ops.kafka.topics import apply
from ops.local.broker.cluster import BrokerCluster
from ops.local.broker.node import BrokerNode
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.settings import Settings
from tests.bench.gauge import peak_rss_kib
from tests.chaos.obligations import ENDPOINTS
from tests.chaos.wire import Wire
from tests.support.ports import free_ports
from tests.support.waiting import PATIENCE_S

ENVIRON = {"SECRET": "made-up-secret"}
_RESTART_S = 0.2
_WATCH_S = 0.1


@dataclass
class Stage:
    """A running ingress and its broker; a dead ingress is started again at once, as a supervisor would."""

    settings: Settings
    config: Path
    log: Path
    cluster: BrokerCluster
    wire: Wire
    away_s: float
    # Troubles for the next starts, one each; see tests.chaos.strange_ingress.
    troubles: list[str] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None
    deaths: int = 0
    # The most memory that any of the ingress's processes took (KiB).
    peak_kib: int = 0
    _stopping: bool = False

    @property
    def node(self) -> BrokerNode:
        return self.cluster.nodes[0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.ingest.port}"

    async def keep_running(self) -> None:
        """Starts the ingress, again and again."""
        while not self._stopping:
            trouble = self.troubles.pop(0) if self.troubles else None
            program = ("tests.chaos.strange_ingress", trouble) if trouble else ("ops",)
            with self.log.open("ab") as output:
                self.process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", *program, "ingest", "--config", str(self.config),
                    env={**os.environ, **ENVIRON}, stdout=output, stderr=output,
                )  # fmt: skip
            watching = asyncio.create_task(self._watch_memory(self.process))
            await self.process.wait()
            watching.cancel()
            self.deaths += 1
            if not self._stopping:
                await asyncio.sleep(_RESTART_S)

    async def _watch_memory(self, process: asyncio.subprocess.Process) -> None:
        """Notes the peak again and again, for nobody can ask a process that was killed."""
        while True:
            self.note_peak(process)
            await asyncio.sleep(_WATCH_S)

    def note_peak(self, process: asyncio.subprocess.Process) -> None:
        """Notes the most memory that the process took, if it is there."""
        with contextlib.suppress(OSError):
            self.peak_kib = max(self.peak_kib, peak_rss_kib([process.pid]))

    @property
    def alive(self) -> bool:
        """Whether an ingress runs at this moment."""
        return self.process is not None and self.process.returncode is None

    def kill_ingress(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends the signal to the ingress that runs now."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def died(self, times: int) -> None:
        """Returns when the ingress has ended so often in all."""
        await self.until(lambda: self.deaths >= times)

    def limit_files(self, bytes_max: int) -> None:
        """From now on no file of the ingress grows past this; as on a full disk, its writes fail."""
        if self.process is not None:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (bytes_max, resource.RLIM_INFINITY))

    async def facts(self) -> dict[str, float]:
        """What `/readyz` tells; empty while nobody answers."""
        address = f"http://127.0.0.1:{self.settings.ingest.admin_port}/readyz"
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with aiohttp.ClientSession() as client, client.get(address, timeout=_FACTS) as response:
                told: dict[str, float] = await response.json()
                return told
        return {}

    async def requests(self) -> Counter[tuple[str, str]]:
        """How many requests `/metrics` counts by endpoint and outcome."""
        counts: Counter[tuple[str, str]] = Counter()
        address = f"http://127.0.0.1:{self.settings.ingest.admin_port}/metrics"
        async with aiohttp.ClientSession() as client, client.get(address) as response:
            for family in text_string_to_metric_families(await response.text()):
                for sample in family.samples:
                    if sample.name == "dropstream_ingest_requests_total":
                        counts[sample.labels["endpoint"], sample.labels["outcome"]] += int(sample.value)
        return counts

    async def until(self, condition: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
        """Returns when the condition holds."""
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 nobody tells of a condition in general
                await asyncio.sleep(0.02)

    async def mended(self) -> None:
        """Everything that a fault did to the broker is undone."""
        self.wire.mend()
        self.node.thaw()
        if not self.node.launched:
            await self.cluster.restart(self.node)

    async def drained(self, *, within_s: float) -> None:
        """Returns when the ingress is connected and its spool is empty; of a disk that hangs nobody knows."""
        async with asyncio.timeout(within_s):
            while True:
                facts = await self.facts()
                if facts.get("kafka_connected") and facts.get("spool_usable") and facts.get("spool_deliveries") == 0:
                    return
                await asyncio.sleep(0.1)

    async def fresh_delivery_passes(self) -> bool:
        """Whether a new delivery is answered 200."""
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{self.url}/webhooks/e0", data=b"fresh") as response,
        ):
            return response.status == 200

    async def stopped(self) -> list[str]:
        """Stops the ingress in order; what was not as it should be, in words."""
        self._stopping = True
        faults = []
        if self.process is not None:
            self.note_peak(self.process)
            self.kill_ingress(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                if (code := await self.process.wait()) != 0:
                    faults.append(f"the ingress ended with {code}")
        said = self.log.read_text(encoding="utf-8", errors="replace")
        faults += [
            f"its log has: {word}" for word in ("Traceback", "request_failed", "connection_failed") if word in said
        ]
        return faults


_FACTS = aiohttp.ClientTimeout(total=2.0)


@asynccontextmanager
async def staged(
    name: str,
    folder: Path,
    *,
    cluster: BrokerCluster,
    wire: Wire,
    away_s: float,
    copies: int = 1,
    endpoints: int = ENDPOINTS,
) -> AsyncIterator[Stage]:
    """A stage with a running ingress; whatever runs at the end is killed.

    With more copies there are partitions enough that one node leads some whose other copies are elsewhere.
    """
    port = free_ports(2)
    config = folder / "dropstream.toml"
    tables = "".join(
        f'[endpoints.e{number}]\nprovider = "dreamship"\nsecrets = ["env:SECRET"]\n' for number in range(endpoints)
    )
    config.write_text(
        f'[kafka]\nbootstrap_servers = "127.0.0.1:{wire.port}"\ntopic_prefix = "{name.replace("_", "-")}."\n'
        f"replication_factor = {copies}\npartitions = {3 * copies}\n"
        f'[ingest]\nhost = "127.0.0.1"\nport = {port}\nadmin_port = {port + 1}\nspool_dir = "{folder / "spool"}"\n'
        f"{tables}"
    )
    context = Context(ENVIRON, discover())
    settings = read_configuration(config.read_text(), source=str(config), context=context)
    await apply(settings)
    stage = Stage(settings, config, folder / "ingress.log", cluster, wire, away_s)
    running = asyncio.create_task(stage.keep_running())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (await stage.facts()).get("kafka_connected"):  # noqa: ASYNC110 another process
                await asyncio.sleep(0.1)
        yield stage
    finally:
        running.cancel()
        stage.kill_ingress()
        if stage.process is not None:
            await stage.process.wait()
