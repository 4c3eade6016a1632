"""What the processors wrote, read as an outsider reads it: librdkafka, committed records only."""

import time
from collections.abc import Iterator, Sequence

from confluent_kafka import Consumer, Message, TopicPartition

from schemas.settings import Settings
from schemas.topics import TOPICS

_OUTPUTS = tuple(one.name for one in TOPICS if one.name not in {"raw", "gaps"} and one.retention_ms is not None)
_QUIET_S = 1.0


def open_reader(settings: Settings, topics: Sequence[str], *, from_end: bool) -> Consumer:
    """A reader of all partitions of these topics."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": "bench",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,
            "auto.offset.reset": "earliest",
        }
    )
    places = []
    for topic in topics:
        for partition in range(settings.kafka.partitions):
            place = TopicPartition(settings.kafka.topic_prefix + topic, partition, 0)
            if from_end:
                place.offset = consumer.get_watermark_offsets(place, timeout=10)[1]
            places.append(place)
    consumer.assign(places)
    return consumer


def count_outputs(settings: Settings) -> int:
    """How many records the output topics hold, gap reports and changelogs not counted."""
    consumer = open_reader(settings, _OUTPUTS, from_end=False)
    try:
        return sum(1 for _ in _until_quiet(consumer))
    finally:
        consumer.close()


def count_raw(settings: Settings) -> int:
    """How many records `raw` holds, by its offsets; nothing there is written in transactions or deleted yet."""
    consumer = open_reader(settings, (), from_end=True)
    try:
        places = (TopicPartition(f"{settings.kafka.topic_prefix}raw", one) for one in range(settings.kafka.partitions))
        return sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
    finally:
        consumer.close()


def _until_quiet(consumer: Consumer) -> Iterator[Message]:
    heard_at = time.monotonic()
    while time.monotonic() - heard_at < _QUIET_S:
        for message in consumer.consume(5_000, timeout=0.2):
            if message.error() is None:
                heard_at = time.monotonic()
                yield message
