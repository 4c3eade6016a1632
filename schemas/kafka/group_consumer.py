"""A consumer that asks for records only while somebody waits for them.

aiokafka asks for the next records as soon as the last ones are taken. A group that gathers records for an interval
would so have a first answer with whatever came at the beginning of the interval, and need a second one for the rest;
each costs as much as it has partitions. Held back until the interval is over, one answer has everything.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.protocol.fetch import FetchRequest

from schemas.kafka.wire import quick_layouts as _quick_layouts  # noqa: F401 what it changes


class GroupConsumer(AIOKafkaConsumer):  # type: ignore[misc] # aiokafka ships no types
    """A consumer whose fetches go out during `getmany`, and wait for the next one outside of it."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._is_wanted = False
        self._held: list[asyncio.Future[None]] = []
        self._on_their_way = 0
        self._send = self._client.send
        self._client.send = self._send_in_time

    @property
    def awaits_more(self) -> bool:
        """Whether a node has not yet answered to a fetch that is on its way."""
        return self._on_their_way > 0

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> Mapping[TopicPartition, Sequence[ConsumerRecord]]:
        """Returns what is there, or comes within the time; as aiokafka's."""
        held, self._held = self._held, []
        for waiting in held:
            if not waiting.done():
                waiting.set_result(None)
        self._is_wanted = True
        try:
            found: Mapping[TopicPartition, Sequence[ConsumerRecord]] = await super().getmany(
                *partitions, timeout_ms=timeout_ms, max_records=max_records
            )
        finally:
            self._is_wanted = False
        return found

    async def _send_in_time(self, node: int, request: Any, **arguments: Any) -> Any:
        if not isinstance(request, FetchRequest):
            return await self._send(node, request, **arguments)
        if not self._is_wanted:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._held.append(waiting)
            await waiting
        self._on_their_way += 1
        try:
            return await self._send(node, request, **arguments)
        finally:
            self._on_their_way -= 1
