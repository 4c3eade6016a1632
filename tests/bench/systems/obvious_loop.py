"""The processor as most would write it first: one consumer, one transactional producer, one transaction a batch.

The same pure step as ours and the same clients' settings. It does less: what it remembers of retries is gone when it
ends, and under a rebalance it doubles records (`tests/integration/processors/test_published_example.py`).
"""

import sys

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.kafka.arguments import group_consumer_arguments, transactional_producer_arguments
from schemas.records import Position, RawRecord
from tests.bench.place import read_settings
from tests.bench.systems.step import Step


async def main(config: str) -> None:
    settings = read_settings(config)
    prefix, process, step = settings.kafka.topic_prefix, settings.process, Step(settings)
    group = f"{prefix}deliver"
    consumer_arguments = {**group_consumer_arguments(settings, group=group), "auto_offset_reset": "earliest"}
    producer_arguments = transactional_producer_arguments(settings, transactional_id=f"{prefix}obvious")
    async with (
        AIOKafkaConsumer(f"{prefix}raw", **consumer_arguments) as consumer,
        AIOKafkaProducer(**producer_arguments) as producer,
    ):
        while True:
            batches = await consumer.getmany(
                timeout_ms=process.commit_interval_ms, max_records=process.records_per_round_max
            )
            if not batches:
                continue
            async with producer.transaction():
                for one in (record for records in batches.values() for record in records):
                    place = Position(one.topic, one.partition, one.offset)
                    raw = RawRecord(place, one.key, one.value, tuple(one.headers), one.timestamp)
                    for record in step(raw):
                        await producer.send(
                            prefix + record.topic, record.value, key=record.key, headers=list(record.headers)
                        )
                offsets = {source: records[-1].offset + 1 for source, records in batches.items()}
                await producer.send_offsets_to_transaction(offsets, group)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
