"""Writes a record that a verb or an act of the console needs to be there before it goes on."""

import asyncio

from aiokafka import AIOKafkaProducer

from ops.kafka.clients import CLOSE_TIMEOUT_S, checked_client_arguments, kafka_failures_explained, start_explained
from ops.kafka.partitions import partitions_of
from ops.kafka.reader import full_name
from schemas.kafka.arguments import producer_arguments
from schemas.kafka.cancellation import cancellation_kept, stopped_within
from schemas.settings import Settings

_WITHIN_S = 20.0


async def write_record(
    settings: Settings,
    topic: str,
    value: bytes,
    *,
    key: bytes,
    partition: int | None = None,
    within_s: float = _WITHIN_S,
) -> None:
    """Writes to the topic of this short name; the record is on all in-sync replicas on return.

    Raises:
        DropstreamError: the topic is missing, or the cluster does not take the record in time; it may be written yet.
    """
    checked_client_arguments(settings.kafka)
    name = full_name(topic, settings)
    with cancellation_kept(asyncio.current_task()), kafka_failures_explained(settings.kafka):
        # aiokafka's idempotent producer waits for ever for a partition without a leader, and for a missing topic.
        async with asyncio.timeout(within_s):
            await partitions_of(settings, [name])
            producer = AIOKafkaProducer(**producer_arguments(settings))
            try:
                await start_explained(settings.kafka, producer.start)
                await producer.send_and_wait(name, value, key=key, partition=partition)
            finally:
                await stopped_within(CLOSE_TIMEOUT_S, producer.stop())
