"""The request that writes batches of ours, and what its answer says of them.

Version 7 is the newest that aiokafka knows; every Kafka from 2.1 to 4 takes it. Its layout is that of
`wire/quick_layouts.py`.
"""

from collections import defaultdict
from collections.abc import Mapping
from struct import Struct

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.protocol.produce import ProduceResponse_v7

from schemas.kafka.wire.quick_layouts import pack_header, pack_produce

API_KEY, API_VERSION = ProduceResponse_v7.API_KEY, ProduceResponse_v7.API_VERSION
Batches = Mapping[TopicPartition, MessageBatch]
Place = tuple[int, int, int]

_SIZE = Struct(">i")


def encode(batches: Batches, number: int, client_id: str, *, acks: int, timeout_ms: int) -> bytes:
    """The request that writes these batches, ready for the connection; closes the batches."""
    topics: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for place, batch in batches.items():
        topics[place.topic].append((place.partition, batch.get_data_buffer()))
    header = pack_header(API_KEY, API_VERSION, number, client_id)
    parts = pack_produce(None, acks, timeout_ms, topics=topics.items())
    size = len(header) + sum(map(len, parts))
    return b"".join((_SIZE.pack(size), header, *parts))


def all_written(answer: ProduceResponse_v7 | KafkaError, batches: Batches) -> list[tuple[MessageBatch, Place]] | None:
    """Each batch with its place in the log; None where Kafka says anything but that each was written, once."""
    if isinstance(answer, KafkaError):
        return None
    written: dict[TopicPartition, tuple[MessageBatch, Place]] = {}
    for topic, partitions in answer.topics:
        for partition, error_code, offset, time_ms, log_begins_at in partitions:
            name = TopicPartition(topic, partition)
            batch = batches.get(name)
            if error_code or batch is None or name in written:
                return None
            written[name] = batch, (offset, time_ms, log_begins_at)
    return [*written.values()] if len(written) == len(batches) else None
