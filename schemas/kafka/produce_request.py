"""A produce request and its answer, version 7, as bytes: https://kafka.apache.org/protocol.html#The_Messages_Produce

aiokafka reads and writes each number by an object of its own, which takes several times as long. Version 7 is the
newest that it knows; every Kafka from 2.1 to 4 takes it.
"""

from collections import defaultdict
from collections.abc import Mapping
from io import BytesIO
from struct import Struct

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import MessageBatch

API_KEY, API_VERSION = 0, 7
Batches = Mapping[TopicPartition, MessageBatch]
Place = tuple[int, int, int]

# The header with its length before it; the body up to the topics; a partition with the length of its records; and what
# is said of it.
_HEAD = Struct(">ihhih")
_BEGIN = Struct(">hhii")
_SHORT = Struct(">h")
_INT = Struct(">i")
_PARTITION = Struct(">ii")
_SAID = Struct(">ihqqq")
_NO_TRANSACTION = -1


def encode(batches: Batches, number: int, client_id: str, *, acks: int, timeout_ms: int) -> bytes:
    """The request that writes these batches, ready for the connection; closes the batches."""
    topics: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for place, batch in batches.items():
        topics[place.topic].append((place.partition, batch.get_data_buffer()))
    client = client_id.encode()
    parts = [client, _BEGIN.pack(_NO_TRANSACTION, acks, timeout_ms, len(topics))]
    for topic, partitions in topics.items():
        name = topic.encode()
        parts += (_SHORT.pack(len(name)), name, _INT.pack(len(partitions)))
        for partition, records in partitions:
            parts += (_PARTITION.pack(partition, len(records)), records)
    size = _HEAD.size - _INT.size + sum(map(len, parts))
    return b"".join((_HEAD.pack(size, API_KEY, API_VERSION, number, len(client)), *parts))


def read_number(buffer: BytesIO) -> int:
    """The number of the request that is answered, with which the answer begins."""
    number: int
    (number,) = _INT.unpack(buffer.read(_INT.size))
    return number


class Produced:
    """What a node says of each batch of a request: its error code, and where in the log it stands.

    As aiokafka's `ProduceResponse_v7`, read at once: `topics` are the name and partitions of each, a partition is its
    number, error code, offset, timestamp and the beginning of its log.
    """

    __slots__ = ("topics",)
    API_VERSION = API_VERSION

    def __init__(self, topics: list[tuple[str, list[tuple[int, int, int, int, int]]]]) -> None:
        self.topics = topics

    @classmethod
    def decode(cls, buffer: BytesIO) -> "Produced":
        """The answer of which the header is read.

        Raises:
            struct.error: the answer is cut off.
        """
        view, at, topics = buffer.getbuffer(), buffer.tell() + _INT.size, []
        for _ in range(*_INT.unpack_from(view, at - _INT.size)):
            (length,) = _SHORT.unpack_from(view, at)
            at += _SHORT.size + length
            name = bytes(view[at - length : at]).decode()
            (count,) = _INT.unpack_from(view, at)
            at += _INT.size
            topics.append((name, [_SAID.unpack_from(view, at + place * _SAID.size) for place in range(count)]))
            at += count * _SAID.size
        return cls(topics)


def all_written(answer: Produced | KafkaError, batches: Batches) -> list[tuple[MessageBatch, Place]] | None:
    """Each batch with its place in the log; None where Kafka says anything but that each was written, once."""
    if isinstance(answer, KafkaError):
        return None
    written: dict[TopicPartition, tuple[MessageBatch, Place]] = {}
    for topic, partitions in answer.topics:
        for partition, error_code, *place in partitions:
            name = TopicPartition(topic, partition)
            batch = batches.get(name)
            if error_code or batch is None or name in written:
                return None
            written[name] = batch, tuple(place)
    return [*written.values()] if len(written) == len(batches) else None
