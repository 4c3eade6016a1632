"""What `freeze.py` froze, read again, and put into a Kafka of today at the same offsets."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from schemas.kafka.arguments import producer_arguments, transactional_producer_arguments
from schemas.settings import Settings

_HERE = Path(__file__).parent
VERSIONS = sorted(folder.name for folder in _HERE.iterdir() if (folder / "records.jsonl").exists())


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as that version wrote it, in partition 0; `topic` is the short name, `timestamp` ms since 1970."""

    topic: str
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def stored(version: str, topic: str) -> list[StoredRecord]:
    """The records of one topic, in their order."""
    lines = (_HERE / version / "records.jsonl").read_text(encoding="utf-8").splitlines()
    return [_read(one) for one in map(json.loads, lines) if one["topic"] == topic]


def spool_of(version: str) -> Path:
    """The file of a spool that was not drained; copy it before it is opened."""
    return _HERE / version / "spool.sqlite"


async def put_back(settings: Settings, version: str, *topics: str) -> None:
    """Writes the records of these topics, each at the offset that it had: what was stored names offsets.

    An offset that has no record was that of a transaction's end, and becomes one again.
    """
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        for topic in topics:
            records = stored(version, topic)
            if [one.offset for one in records] == list(range(len(records))):
                for one in records:
                    await _send(producer, settings, one)
                await producer.flush()
            else:
                await _put_with_ends(settings, records)


async def _put_with_ends(settings: Settings, records: Sequence[StoredRecord]) -> None:
    name = f"{settings.kafka.topic_prefix}frozen-{records[0].topic}"
    async with AIOKafkaProducer(**transactional_producer_arguments(settings, transactional_id=name)) as producer:
        for run in _runs(records):
            async with producer.transaction():
                for one in run:
                    metadata = await _send(producer, settings, one)
                    assert metadata.offset == one.offset


async def _send(producer: AIOKafkaProducer, settings: Settings, one: StoredRecord) -> Any:
    partition = TopicPartition(settings.kafka.topic_prefix + one.topic, 0)
    return await producer.send_and_wait(
        partition.topic,
        value=one.value,
        key=one.key,
        headers=list(one.headers),
        timestamp_ms=one.timestamp,
        partition=partition.partition,
    )


def _runs(records: Sequence[StoredRecord]) -> Iterator[Sequence[StoredRecord]]:
    """The records of each transaction."""
    begin = 0
    for index in range(1, len(records) + 1):
        if index == len(records) or records[index].offset != records[index - 1].offset + 1:
            yield records[begin:index]
            begin = index


def _read(line: dict[str, Any]) -> StoredRecord:
    headers = [(name, base64.b64decode(value)) for name, value in line["headers"]]
    key, value = (None if one is None else base64.b64decode(one) for one in (line["key"], line["value"]))
    return StoredRecord(line["topic"], line["offset"], line["timestamp"], key, value, headers)
