"""The same work in Quix Streams: its own exactly-once guarantee, the same pure step, a commit as often as ours."""

import sys
from collections.abc import Sequence

from quixstreams import Application, message_context
from quixstreams.models import Serializer, Topic

from schemas.records import Position, RawRecord, Record
from schemas.topics import TOPICS
from tests.bench.place import read_settings
from tests.bench.systems.step import Step

_Headers = Sequence[tuple[str, bytes]] | None


class ValueOf(Serializer):  # type: ignore[misc] # It is not there where types are checked.
    """A record's value, as it is."""

    def __call__(self, record: Record, *_: object, **__: object) -> bytes:
        return record.value


def main(config: str) -> None:
    settings = read_settings(config)
    prefix, process, step = settings.kafka.topic_prefix, settings.process, Step(settings)
    application = Application(
        settings.kafka.bootstrap_servers,
        consumer_group=f"{prefix}deliver",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=process.commit_interval_ms / 1000,
        commit_every=process.records_per_round_max,
        consumer_extra_config={"fetch.wait.max.ms": 100},
        # As every producer of ours; librdkafka's default gives a key another partition than Java does.
        producer_extra_config={"partitioner": "murmur2_random", "message.max.bytes": 8_388_608},
        auto_create_topics=False,
        use_changelog_topics=False,
    )
    raw = application.topic(f"{prefix}raw", key_deserializer="bytes", value_deserializer="bytes")
    topics: dict[str, Topic] = {
        one.name: application.topic(f"{prefix}{one.name}", key_serializer="bytes", value_serializer=ValueOf())
        for one in TOPICS
    }

    def understand(value: bytes, key: bytes, timestamp: int, headers: _Headers) -> list[Record]:
        context = message_context()
        place = Position(context.topic, context.partition, context.offset)
        return list(step(RawRecord(place, key, value, tuple(headers or ()), timestamp)))

    frame = application.dataframe(raw)
    frame = frame.apply(understand, expand=True, metadata=True)
    frame = frame.set_headers(lambda record, _key, _at, _headers: list(record.headers))
    frame.to_topic(lambda record, _key, _at, _headers: topics[record.topic], key=lambda record: record.key)
    application.run()


if __name__ == "__main__":
    main(sys.argv[1])
