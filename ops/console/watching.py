"""Keeps the console's memory fresh: follows the topics, asks the groups and the admin ports, each by itself.

One that fails is away, is said so with since when, and is asked again; the others go on.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import orjson

from ops.addresses import reached_at
from ops.console.figures import Figures, read_figures
from ops.console.groups import SOURCES, GroupStanding, group_standing
from ops.console.memory import FOLLOWED, Memory
from ops.console.sources import Sources
from ops.kafka.reader import Newest, full_name, open_reader
from schemas.errors import DropstreamError
from schemas.settings import Settings

_AGAIN_S = 3.0
_GROUPS_EVERY_S = 3.0
_PORTS_EVERY_S = 2.0
_PORT_TIMEOUT_S = 2.0
_PAGE_BYTES_MAX = 8_388_608
# How long records may be taken before the page gets its turn.
_TURN = 200


def now_ms() -> int:
    """This moment."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Watch:
    """What is known now, kept fresh by `run`."""

    settings: Settings
    memory: Memory
    sources: Sources = field(default_factory=Sources)
    groups: dict[str, GroupStanding] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)
    # Set before `run` is cancelled, for a Kafka client can swallow a cancellation while it connects.
    stopping: bool = False
    _topics_read: bool = False
    _gaps_read: bool = False

    @property
    def caught_up(self) -> bool:
        """Whether all that was in the topics has been read; before, what is missing says nothing."""
        return self._topics_read and self._gaps_read

    async def run(self) -> None:
        """Watches until cancelled."""
        async with asyncio.TaskGroup() as together:
            together.create_task(self._again("Kafka topics", self._follow_topics))
            together.create_task(self._again("Kafka topics", self._follow_gaps))
            together.create_task(self._again("Kafka", self._ask_groups))
            together.create_task(self._ask_ports())

    async def _again(self, source: str, watch: Callable[[], Awaitable[None]]) -> None:
        while not self.stopping:
            try:
                await watch()
            except DropstreamError as error:
                self.sources.say(source, "away", now_ms=now_ms(), detail=str(error).splitlines()[0])
            await asyncio.sleep(_AGAIN_S)

    async def _follow_topics(self) -> None:
        names = {full_name(topic, self.settings): topic for topic in FOLLOWED}
        start = Newest(self.settings.console.records_per_partition)
        async with open_reader(self.settings, list(names), start) as reader:
            self.sources.say("Kafka topics", "well", now_ms=now_ms())
            # What was counted before is read again.
            self.memory.forget()
            self._topics_read = False
            while not self.stopping:
                for number, record in enumerate(await reader.fetch()):
                    self.memory.take(names[record.position.topic], record, now_ms=now_ms())
                    if number % _TURN == 0:
                        await asyncio.sleep(0)
                self._topics_read = self._topics_read or await reader.is_at_end()

    async def _follow_gaps(self) -> None:
        async with open_reader(self.settings, [full_name("gaps", self.settings)], "beginning") as reader:
            self.memory.forget_gaps()
            self._gaps_read = False
            while not self.stopping:
                for record in await reader.fetch():
                    self.memory.take_gap(record)
                self._gaps_read = self._gaps_read or await reader.is_at_end()

    async def _ask_groups(self) -> None:
        while not self.stopping:
            for name in SOURCES:
                if (standing := await group_standing(self.settings, name, self.memory)) is not None:
                    self.groups[name] = standing
            self.sources.say("Kafka", "well", now_ms=now_ms(), detail=self.settings.kafka.bootstrap_servers)
            await asyncio.sleep(_GROUPS_EVERY_S)

    async def _ask_ports(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_PORT_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while not self.stopping:
                texts = [await self._ask_port(session, "ingress", one) for one in ingest_addresses(self.settings)] + [
                    await self._ask_port(session, "processors", one) for one in process_addresses(self.settings)
                ]
                self.figures = read_figures(text for text in texts if text is not None)
                await asyncio.sleep(_PORTS_EVERY_S)

    async def _ask_port(self, session: aiohttp.ClientSession, part: str, address: str) -> str | None:
        """The text of its metrics; None where it is away."""
        name = f"{part} at {address}"
        try:
            facts = orjson.loads(await _page(session, f"http://{address}/readyz"))
            text = (await _page(session, f"http://{address}/metrics")).decode("utf-8", "replace")
            read_figures([text])
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            detail = "nothing answers" if isinstance(error, aiohttp.ClientConnectorError) else "no usable answer"
            self.sources.say(name, "away", now_ms=now_ms(), detail=detail)
            return None
        if isinstance(facts, dict) and facts.get("ready") is True:
            self.sources.say(name, "well", now_ms=now_ms())
        else:
            self.sources.say(name, "away", now_ms=now_ms(), detail="not ready")
        return text


def ingest_addresses(settings: Settings) -> list[str]:
    """Where the ingresses' admin ports are: as told, else the one that these settings start."""
    ingest = settings.ingest
    return settings.console.ingest_admin or [reached_at(ingest.admin_host, ingest.admin_port)]


def process_addresses(settings: Settings) -> list[str]:
    """Where the processors' admin ports are: as told, else the one that these settings start."""
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
