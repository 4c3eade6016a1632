"""Where a consumer reads each partition from when its group gives it one; part of the example `orders.py`."""

from collections.abc import Iterable
from datetime import datetime

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

_NONE_COMMITTED = -1

# A datetime (aware), a partition with an offset, "beginning", or None: where the group stood.
Start = datetime | tuple[int, int] | str | None


class Placement(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Where each partition is read from when it is given to us.

    aiokafka logs and drops what a callback raises. So the callbacks only note, and the reader calls `place`.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, client: AIOKafkaAdminClient, *, group: str, gaps: str, start: Start
    ) -> None:
        self._consumer = consumer
        self._client = client
        self._group = group
        self._gaps = gaps
        self._start = start
        self._noted: frozenset[TopicPartition] = frozenset()
        self._placed: set[TopicPartition] = set()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Nothing to save: what was shown is committed."""
        self._noted -= frozenset(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Notes them; nothing is fetched from one before it is placed."""
        self._noted = frozenset(assigned)
        self._consumer.pause(*self._noted)
        for one in self._noted:
            self._consumer.seek(one, 0)  # Some position, or the client looks for one by itself.

    async def place(self) -> None:
        """Lets what was noted be read, from where it belongs; while Kafka cannot say where, the next call does."""
        if not (noted := self._noted):
            return
        try:
            first = await self._consumer.beginning_offsets(noted)
            # Not consumer.committed(): that says None too while the group's coordinator moves. Here none is -1.
            known = await self._client.list_consumer_group_offsets(self._group, partitions=list(noted))
            if not noted <= known.keys():
                return
            offsets = {one: await self._offset(one, first[one], known[one].offset) for one in noted}
        except KafkaError as error:
            if error.retriable:
                return
            raise
        if noted is self._noted:  # Not given anew meanwhile.
            for one, offset in offsets.items():
                if offset is not None:
                    self._consumer.seek(one, offset)
                    self._consumer.resume(one)
            self._placed |= noted
            self._noted = frozenset()

    async def _offset(self, one: TopicPartition, first: int, committed: int) -> int | None:
        """Gaps from the beginning, for what is missing is the sum of them; orders where --from says, but only once."""
        start = self._start
        if one.topic == self._gaps:
            return first
        if isinstance(start, tuple) and one.partition != start[0]:
            return None  # One partition was asked for.
        if committed != _NONE_COMMITTED and (start is None or one in self._placed):
            return committed
        if isinstance(start, datetime):
            found = await self._consumer.offsets_for_times({one: int(start.timestamp() * 1000)})
            offset: int = found[one].offset if found.get(one) else (await self._consumer.end_offsets([one]))[one]
            return offset
        return start[1] if isinstance(start, tuple) else first
