"""The judge of every test of the system: what went into `raw` against what came out, counted from the logs alone."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from schemas.kafka import reader_arguments
from schemas.settings import Settings
from schemas.vocabulary import Domain

OUTPUTS = (*(domain.topic for domain in Domain), "rejected")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Positions in `raw` without an output; event ids or rejections written twice; keys whose events are out of order."""

    deliveries: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    disordered: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.disordered)


async def audit(settings: Settings) -> Verdict:
    """The verdict on everything in the topics of `settings`, as a reader of committed records sees it."""
    prefix = settings.kafka.topic_prefix
    raw = {
        f"{record.topic}/{record.partition}/{record.offset}" for record in await read_topic(settings, prefix + "raw")
    }
    origins: list[str] = []
    identities: Counter[str] = Counter()
    disordered: list[str] = []
    for name in OUTPUTS:
        last_of_key: dict[tuple[bytes, str], int] = {}
        for record in await read_topic(settings, prefix + name):
            origin, identity = _origin(record)
            origins.append(origin)
            identities[identity] += 1
            place, _, offset = origin.rpartition("/")
            if last_of_key.get((record.key, place), -1) > int(offset):
                disordered.append(identity)
            last_of_key[record.key, place] = int(offset)
    doubled = [identity for identity, count in identities.items() if count > 1]
    return Verdict(len(raw), tuple(sorted(raw - set(origins))), tuple(doubled), tuple(disordered))


async def read_topic(settings: Settings, topic: str) -> list[ConsumerRecord]:
    """Every committed record of `topic` up to its present end, in order within a partition."""
    consumer = AIOKafkaConsumer(**reader_arguments(settings))
    await consumer.start()
    try:
        await consumer._client.fetch_all_metadata()  # noqa: SLF001 the public way to it subscribes
        sources = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(sources)
        ends = await consumer.end_offsets(sources)
        await consumer.seek_to_beginning(*sources)
        records: list[ConsumerRecord] = []
        while any([await consumer.position(source) < ends[source] for source in sources]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += batch
        return records
    finally:
        await consumer.stop()


def events_of(records: Iterable[ConsumerRecord]) -> list[dict[str, object]]:
    """The events in `records`, parsed."""
    return [orjson.loads(record.value) for record in records]


def _origin(record: ConsumerRecord) -> tuple[str, str]:
    headers = dict(record.headers)
    if (raw := headers.get("dropstream-raw")) is not None:
        return raw.decode(), f"rejected {raw.decode()}"
    event = orjson.loads(record.value)
    return f"{event['rawtopic']}/{event['rawpartition']}/{event['rawoffset']}", event["id"]
