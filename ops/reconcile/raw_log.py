"""The partitions of `raw` that one endpoint's records lie in: read up to the present, and written behind it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaProducer

from ops.kafka.clients import CLOSE_TIMEOUT_S, checked_client_arguments, kafka_failures_explained
from ops.kafka.layouts import current_layout
from ops.kafka.partitions import partitions_of
from ops.kafka.ranges import offsets_at
from ops.kafka.reader import AtOffsets, TopicReader, full_name, open_reader
from schemas.delivery import endpoint_keys
from schemas.errors import DropstreamError
from schemas.kafka.arguments import producer_arguments
from schemas.kafka.partitions import partition_of
from schemas.kafka.producers import close_producer, open_producer
from schemas.records import RawRecord
from schemas.settings import Settings
from schemas.times import timestamp_ms

_OPEN_S = 30.0
_END = 2**62


@dataclass(slots=True)
class KafkaRawLog:
    """The log of one endpoint; made by `open_raw_log`."""

    topic: str
    partitions: int
    reader: TopicReader
    producer: AIOKafkaProducer
    write_timeout_s: float

    async def more(self) -> Iterable[RawRecord]:
        """Every record since the last call that is there now, those of this run included."""
        await self.reader.extend()
        found: list[RawRecord] = []
        while not await self.reader.is_at_end():
            found += await self.reader.fetch()
        return found

    async def append(self, records: Sequence[RawRecord]) -> None:
        """Writes the records in their order; they are on all in-sync replicas on return."""
        async with asyncio.timeout(self.write_timeout_s):
            reports = [
                await self.producer.send(
                    self.topic,
                    one.value,
                    key=one.key,
                    partition=partition_of(one.key or b"", self.partitions),
                    headers=[(name, value or b"") for name, value in one.headers],
                    timestamp_ms=one.timestamp_ms,
                )
                for one in records
            ]
            await asyncio.gather(*reports)


@asynccontextmanager
async def open_raw_log(settings: Settings, endpoint: str, since: datetime) -> AsyncIterator[KafkaRawLog]:
    """The log of the endpoint, to be read from what was received at `since` on.

    Raises:
        DropstreamError: the cluster or the topic is away, or fails.
    """
    topic = full_name("raw", settings)
    layout = await current_layout(settings)
    if layout is not None and layout.target is not None:
        raise DropstreamError(
            "the partitions are being migrated; reconcile once dropstream topics plan shows no migration"
        )
    count = layout.partitions if layout else len(await partitions_of(settings, [topic]))
    # Before a migration, records of a key lay among fewer partitions.
    counts = {count, *(move.before for move in (layout.moves if layout else ()))}
    keys = endpoint_keys(endpoint, settings.endpoints[endpoint].lanes)
    own = {partition_of(key, one) for key in keys for one in counts}
    begins = await offsets_at(settings, topic, dict.fromkeys(own, timestamp_ms(since)))
    checked_client_arguments(settings.kafka)
    with kafka_failures_explained(settings.kafka):
        # A partition without a record since then is read from its present end.
        start = AtOffsets({one: begins.get(one, _END) for one in own})
        async with open_reader(settings, [topic], start) as reader:
            producer = await open_producer(producer_arguments(settings), topic=topic, within_s=_OPEN_S)
            try:
                yield KafkaRawLog(topic, count, reader, producer, _OPEN_S)
            finally:
                await close_producer(producer, flush_s=CLOSE_TIMEOUT_S)
