"""The same work in FastStream, as far as it goes: it has no transaction over outputs and offsets, so at least once.

A batch is published, all of it is awaited, then its offsets are committed. That is less work than ours does.
"""

import asyncio
import sys

import uvloop
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage

from schemas.records import Position, RawRecord
from tests.bench.place import read_settings
from tests.bench.systems.step import Step


async def main(config: str) -> None:
    settings = read_settings(config)
    prefix, process, step = settings.kafka.topic_prefix, settings.process, Step(settings)
    broker = KafkaBroker(
        settings.kafka.bootstrap_servers, enable_idempotence=True, acks="all", max_batch_size=262_144, logger=None
    )

    @broker.subscriber(  # type: ignore[untyped-decorator] # It is not there where types are checked.
        f"{prefix}raw",
        group_id=f"{prefix}deliver",
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK,
        batch=True,
        batch_timeout_ms=process.commit_interval_ms,
        max_records=process.records_per_round_max,
        fetch_max_wait_ms=100,
    )
    async def take(_bodies: list[bytes], message: KafkaMessage) -> None:
        sent = []
        for one in message.raw_message:
            place = Position(one.topic, one.partition, one.offset)
            for record in step(RawRecord(place, one.key, one.value, tuple(one.headers), one.timestamp)):
                headers = {name: value.decode() for name, value in record.headers}
                sent.append(
                    await broker.publish(
                        record.value, prefix + record.topic, key=record.key, headers=headers, no_confirm=True
                    )
                )
        await asyncio.gather(*sent)

    await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
