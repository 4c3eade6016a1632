"""Follows topic `layout` and the numbers of partitions: what a program must know before it places or processes a key.

The topic is read to its end again and again, for a program that has not heard of a migration must not go on as if there
were none; and a topic that a foreign hand grew shows in the cluster's metadata alone. Topics are asked for by name: the
list of all topics every second takes a tenth of a processor where there are a thousand.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from schemas.kafka.arguments import reader_arguments
from schemas.kafka.cancellation import stopped_within
from schemas.kafka.group_member import client_of
from schemas.kafka.rights.named_metadata import topics_there
from schemas.late_log import LateLog
from schemas.notes.layouts import LAYOUT_KEY, LAYOUT_PARTITION, PLACED_TOPICS, Layout, read_layout
from schemas.settings import Settings

_log = LateLog()

_TURN_S = 1.0
_REFUSED_S = 5.0
_STOP_S = 2.0
_REQUEST_S = 10.0
COUNTED_TOPICS = tuple(name for pair in PLACED_TOPICS.items() for name in pair)


@dataclass(slots=True)
class LayoutWatch:
    """The layout as the cluster says it; `layout` is None where nobody has written one.

    `counts` are the numbers of partitions of the `counted` topics, by short name: of the placed ones and their
    changelogs, or of none; those that are missing, or may not be seen, are left out. `is_known` from the first
    complete answer on; `answered_at` is when the cluster last answered anything, by the event loop's clock, and it is
    asked every second.
    """

    settings: Settings
    counted: Collection[str] = COUNTED_TOPICS
    layout: Layout | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    is_known: bool = False
    answered_at: float = 0.0
    _next: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LayoutWatch"]:
        """Follows the layout inside the block."""
        task = asyncio.create_task(self.run(), name="follow the layout")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def run(self) -> None:
        """Follows the layout until it is cancelled, however often the cluster goes."""
        while True:
            consumer = AIOKafkaConsumer(**reader_arguments(self.settings))
            try:
                await consumer.start()
                while True:
                    await self.look(consumer)
                    await asyncio.sleep(_TURN_S)
            except TopicAuthorizationFailedError as error:
                # Nothing is placed meanwhile, and nothing else says why.
                _log.warning("layout_refused", error=repr(error))
                await asyncio.sleep(_REFUSED_S)
            except (KafkaError, TimeoutError, OSError) as error:
                _log.debug("layout_unknown", error=repr(error))
            finally:
                await stopped_within(_STOP_S, consumer.stop())
            await asyncio.sleep(_TURN_S)

    async def look(self, consumer: AIOKafkaConsumer) -> None:
        """Reads the numbers of partitions, and the topic to its end.

        Raises:
            KafkaError, TimeoutError: the cluster does not say.
        """
        prefix = self.settings.kafka.topic_prefix
        async with asyncio.timeout(_REQUEST_S):
            client = client_of(consumer)
            # Where the topic may not be seen, nobody may say that there is no layout.
            is_there = await topics_there(client, [f"{prefix}layout"])
            # Said by whatever node: that the topic itself cannot be read is no silence of the cluster.
            self.answered_at = asyncio.get_running_loop().time()
            if is_there:
                await self._read(consumer, TopicPartition(f"{prefix}layout", LAYOUT_PARTITION))
            self.counts = await self._count(client)
        self.is_known = True
        self.answered_at = asyncio.get_running_loop().time()
        self._changed.set()

    async def _count(self, client: AIOKafkaClient) -> Mapping[str, int]:
        names = {self.settings.kafka.topic_prefix + name: name for name in self.counted}
        try:
            found = await topics_there(client, names)
        except TopicAuthorizationFailedError as hidden:
            found = await topics_there(client, names.keys() - set(hidden.args))
        return {names[full]: count for full, count in found.items()}

    async def known(self) -> None:
        """Returns once the cluster has said it."""
        while not self.is_known:
            self._changed.clear()
            await self._changed.wait()

    async def _read(self, consumer: AIOKafkaConsumer, source: TopicPartition) -> None:
        end = (await consumer.end_offsets([source]))[source]
        if end == self._next:
            return
        if source not in consumer.assignment():
            consumer.assign([source])
        first = (await consumer.beginning_offsets([source]))[source]
        consumer.seek(source, first if self._next > end else max(first, self._next))
        while await consumer.position(source) < end:
            for record in (await consumer.getmany(timeout_ms=200)).get(source, ()):
                if record.key == LAYOUT_KEY:
                    self.layout = read_layout(record.value) or self.layout
        if self.layout is not None and self.layout.unknown_format:
            _log.error("layout_newer", format=self.layout.unknown_format, topic=source.topic)
        self._next = end
