"""Up to when the group upstream has read its topic: an id that seems missing here may lie unread there.

`Upstream` looks at the ends of the topic, waits until the group has committed as much, and gives the time of the look.
So there is an answer under load too, where new records lie unread at every moment. If the group upstream stands still,
so does this time.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient

from schemas.kafka.committed_offsets import committed_offsets
from schemas.kafka.descriptions import partitions_of_topic

_TIMEOUT_S = 5.0


@dataclass(slots=True)
class Upstream:
    """Group `group` over `topic`, both by their names on the cluster."""

    group: str
    topic: str
    _looked_at: datetime | None = None
    _ends: Mapping[TopicPartition, int] | None = None
    _read_until: datetime | None = None

    async def read_until(self, consumer: AIOKafkaConsumer, client: AIOKafkaClient, now: datetime) -> datetime | None:
        """The latest look at the topic whose records were all read by the call before this; None before the first.

        By the call before, for what the group wrote since then is still on its way to `consumer`. The next look is at
        `now`, unless the records of the last one are still unread.

        Raises:
            KafkaError, TimeoutError: the cluster does not say; ask again.
        """
        known = self._read_until
        async with asyncio.timeout(_TIMEOUT_S):
            if self._looked_at is None or self._ends is None:
                self._ends = await self._find_ends(consumer, client)
                self._looked_at = now
            if await self._has_read(consumer, client, self._ends):
                self._read_until, self._looked_at = self._looked_at, None
        return known

    async def _find_ends(self, consumer: AIOKafkaConsumer, client: AIOKafkaClient) -> Mapping[TopicPartition, int]:
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(await partitions_of_topic(client, self.topic))
        return ends

    async def _has_read(
        self, consumer: AIOKafkaConsumer, client: AIOKafkaClient, ends: Mapping[TopicPartition, int]
    ) -> bool:
        committed = await committed_offsets(client, self.group, list(ends))
        left = [one for one, end in ends.items() if (committed[one] or 0) < end]
        # What was deleted before it was read will never be committed.
        begun = await consumer.beginning_offsets(left) if left else {}
        return all(begun[one] >= ends[one] for one in left)
