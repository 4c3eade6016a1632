"""Has the group before ours read what lay in its topic? What seems missing here may lie unread there.

It looks at the topic's ends, waits until the group has committed as much, and says when it looked. So it finds an
answer under load too, where new records lie unread at every moment. If it stands still, so does the clock.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient

from schemas.kafka.committed_offsets import committed_offsets

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
        """The latest moment of which the call before knew that all that lay in the topic then was read; None for none.

        Of the call before: what the group has written meanwhile is on its way to `consumer`. `now` is noted as the
        next such moment, if it is not still waiting for one.

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
        known = (await client.fetch_all_metadata()).partitions_for_topic(self.topic) or ()
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(
            [TopicPartition(self.topic, one) for one in known]
        )
        return ends

    async def _has_read(
        self, consumer: AIOKafkaConsumer, client: AIOKafkaClient, ends: Mapping[TopicPartition, int]
    ) -> bool:
        committed = await committed_offsets(client, self.group, list(ends))
        left = [one for one, end in ends.items() if (committed[one] or 0) < end]
        # What was deleted before it was read will never be committed.
        begun = await consumer.beginning_offsets(left) if left else {}
        return all(begun[one] >= ends[one] for one in left)
