"""Keeps the console's memory fresh: follows the topics, asks the groups and the admin ports, each by itself.

A source that fails is shown as away, with since when, and is asked again; the others go on.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import orjson

from ops.addresses import reached_at
from ops.console.groups import GroupState, read_group_state
from ops.console.memory import FOLLOWED, Memory
from ops.console.scraped_metrics import ScrapedMetrics, read_metrics
from ops.console.sources import Sources
from ops.kafka.offsets import GROUP_SOURCES
from ops.kafka.reader import Newest, full_name, open_reader
from ops.reconcile.store import RecentRuns
from ops.service.unready import unready_reasons
from schemas.errors import DropstreamError
from schemas.settings import Settings

_AGAIN_S = 3.0
_GROUPS_EVERY_S = 3.0
_PORTS_EVERY_S = 2.0
_PORT_TIMEOUT_S = 2.0
_PAGE_BYTES_MAX = 8_388_608
_TOPICS = "Kafka topics"
# As of the processors (`processors.runtime.connection`), so that both tell of an absence at once.
_SILENT_S_MAX = 7.0
# So many records are added before the page gets its turn.
_TURN = 200


def now_ms() -> int:
    """The present time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Watch:
    """The knowledge of the console, which `run` keeps fresh."""

    settings: Settings
    memory: Memory
    sources: Sources = field(default_factory=Sources)
    groups: dict[str, GroupState] = field(default_factory=dict)
    metrics: ScrapedMetrics = field(default_factory=ScrapedMetrics)
    # Whether every processor told of them at the last look; where one did not, there may be more.
    suspected_known: bool = False
    reconciliations: RecentRuns = field(default_factory=RecentRuns)
    # Set before `run` is cancelled, for a Kafka client can swallow a cancellation while it connects.
    stopping: bool = False
    _topics_read: bool = False
    _topics_answered_ms: int | None = None
    _gaps_read: bool = False

    @property
    def caught_up(self) -> bool:
        """Whether everything that was in the topics has been read; before that, a missing record means nothing."""
        return self._topics_read and self._gaps_read

    async def run(self) -> None:
        """Watches until cancelled."""
        async with asyncio.TaskGroup() as together:
            together.create_task(self._repeat(_TOPICS, self._follow_topics))
            together.create_task(self._repeat(_TOPICS, self._follow_gaps))
            together.create_task(self._repeat(_TOPICS, self._follow_reconciliations))
            together.create_task(self._repeat("Kafka", self._ask_groups))
            together.create_task(self._ask_ports())

    async def _repeat(self, source: str, watch: Callable[[], Awaitable[None]]) -> None:
        while not self.stopping:
            try:
                await watch()
            except DropstreamError as error:
                self.sources.set(source, "away", now_ms=self._answered_ms(source), detail=str(error).splitlines()[0])
            await asyncio.sleep(_AGAIN_S)

    def _answered_ms(self, source: str) -> int:
        """When the source last answered, as far as that is known; else now."""
        known = self._topics_answered_ms if source == _TOPICS else None
        return now_ms() if known is None else known

    async def _follow_topics(self) -> None:
        names = {full_name(topic, self.settings): topic for topic in FOLLOWED}
        start = Newest(self.settings.console.records_per_partition)
        async with open_reader(self.settings, list(names), start) as reader:
            self.sources.set(_TOPICS, "well", now_ms=now_ms())
            # The records that were counted before are read again.
            self.memory.forget()
            self._topics_read = False
            while not self.stopping:
                for number, record in enumerate(await reader.fetch(silent_s_max=_SILENT_S_MAX)):
                    self.memory.add(names[record.position.topic], record, now_ms=now_ms())
                    if number % _TURN == 0:
                        await asyncio.sleep(0)
                self._topics_answered_ms = now_ms() - int(1_000 * reader.silent_s)
                self._topics_read = self._topics_read or await reader.is_at_end()

    async def _follow_gaps(self) -> None:
        async with open_reader(self.settings, [full_name("gaps", self.settings)], "beginning") as reader:
            self.memory.forget_gaps()
            self._gaps_read = False
            while not self.stopping:
                for record in await reader.fetch(silent_s_max=_SILENT_S_MAX):
                    self.memory.add_gap(record)
                self._gaps_read = self._gaps_read or await reader.is_at_end()

    async def _follow_reconciliations(self) -> None:
        async with open_reader(self.settings, [full_name("reconcile-state", self.settings)], "beginning") as reader:
            self.reconciliations = RecentRuns()
            while not self.stopping:
                for record in await reader.fetch(silent_s_max=_SILENT_S_MAX):
                    self.reconciliations.add(record)

    async def _ask_groups(self) -> None:
        while not self.stopping:
            for name in GROUP_SOURCES:
                state = await read_group_state(self.settings, name, self.memory, now_ms=now_ms())
                if state is not None:
                    self.groups[name] = state
            self.sources.set("Kafka", "well", now_ms=now_ms(), detail=self.settings.kafka.bootstrap_servers)
            await asyncio.sleep(_GROUPS_EVERY_S)

    async def _ask_ports(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_PORT_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while not self.stopping:
                ingresses = [await self._ask_port(session, "ingress", one) for one in ingest_addresses(self.settings)]
                processors = [
                    await self._ask_port(session, "processors", one) for one in process_addresses(self.settings)
                ]
                self.metrics = read_metrics(text for text in (*ingresses, *processors) if text is not None)
                self.suspected_known = all(text is not None for text in processors)
                await asyncio.sleep(_PORTS_EVERY_S)

    async def _ask_port(self, session: aiohttp.ClientSession, part: str, address: str) -> str | None:
        """The text of the metrics; None where the admin port does not answer."""
        name = f"{part} at {address}"
        try:
            facts = orjson.loads(await _page(session, f"http://{address}/readyz"))
            text = (await _page(session, f"http://{address}/metrics")).decode("utf-8", "replace")
            read_metrics([text])
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            detail = "nothing answers" if isinstance(error, aiohttp.ClientConnectorError) else "no usable answer"
            self.sources.set(name, "away", now_ms=now_ms(), detail=detail)
            return None
        if isinstance(facts, dict) and facts.get("ready") is True:
            self.sources.set(name, "well", now_ms=now_ms())
        else:
            self.sources.set(name, "away", now_ms=now_ms(), detail="; ".join(["not ready", *unready_reasons(facts)]))
        return text


def ingest_addresses(settings: Settings) -> list[str]:
    """The admin ports of the ingresses: those configured for the console, else that of these settings."""
    ingest = settings.ingest
    return settings.console.ingest_admin or [reached_at(ingest.admin_host, ingest.admin_port)]


def process_addresses(settings: Settings) -> list[str]:
    """The admin ports of the processors: those configured for the console, else that of these settings."""
    process = settings.process
    return settings.console.process_admin or [reached_at(process.admin_host, process.admin_port)]


async def _page(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as response:
        text = b""
        async for part in response.content.iter_any():
            text += part
            if len(text) > _PAGE_BYTES_MAX:
                raise ValueError(f"more than {_PAGE_BYTES_MAX} bytes")
        return text
