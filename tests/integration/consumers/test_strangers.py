"""Programs that are not ours agree: librdkafka reads every topic, Java's partitioner and ours choose alike.

The CloudEvents SDK and a JSON Schema validator take every event that is really on Kafka.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from jsonschema import Draft202012Validator

from ops.docs.json_schema import event_schema, schemas
from schemas.settings import Settings
from schemas.vocabulary import Domain
from tests.conftest import SettingsFactory
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, audited, deliveries, prepared, processors, put
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kafka

_COUNT = 120
# Kafka's Utils.murmur2 with toPositive, from its own unit test: key -> hash.
_JAVA_MURMUR2 = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}


@dataclass(frozen=True, slots=True)
class Found:
    """A record as librdkafka read it."""

    partition: int
    key: bytes
    value: bytes
    headers: dict[str, bytes]


def murmur2(data: bytes) -> int:
    """The hash of Kafka's Java client, written from its definition and checked against its published values."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    value = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        part = int.from_bytes(data[start : start + 4], "little") * multiplier & mask
        part = (part ^ part >> 24) * multiplier & mask
        value = value * multiplier & mask ^ part
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * multiplier & mask
    value = (value ^ value >> 13) * multiplier & mask
    return value ^ value >> 15


def read_with_librdkafka(settings: Settings, topic: str) -> list[Found]:
    """Every committed record of a topic, read by librdkafka."""
    servers = settings.kafka.bootstrap_servers
    name = settings.kafka.topic_prefix + topic
    topics = AdminClient({"bootstrap.servers": servers}).list_topics(name, timeout=PATIENCE_S).topics
    partitions = topics[name].partitions
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"{name}-stranger",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.assign([TopicPartition(name, number, 0) for number in partitions])
    found: list[Found] = []
    ended = 0
    while ended < len(partitions):
        message = consumer.poll(PATIENCE_S)
        assert message is not None, "librdkafka got nothing"
        if message.error():
            ended += 1
        else:
            pairs = list(message.headers() or ())
            headers = {str(name): value for name, value in pairs if isinstance(value, bytes)}
            found.append(Found(message.partition() or 0, message.key() or b"", message.value() or b"", headers))
    consumer.close()
    return found


@pytest.mark.parametrize(("key", "value"), _JAVA_MURMUR2.items())
def test_our_murmur2_is_java_s(key: bytes, value: int) -> None:
    """The reference used below gives the values of Kafka's own tests."""
    assert murmur2(key) == value & 0xFFFFFFFF


async def test_strangers_read_everything(settings: SettingsFactory, tmp_path: Path) -> None:
    """Every event that we wrote is found by librdkafka where Java would put it, and is what its schema says."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await put(mine, deliveries(_COUNT))
    async with processors(mine, tmp_path) as start:
        await start("one")
        assert (await audited(mine, _COUNT)).clean
    assert len(read_with_librdkafka(mine, "raw")) == _COUNT
    for domain in (Domain.ORDER, Domain.INVENTORY, Domain.INCIDENT):
        messages = read_with_librdkafka(mine, domain.topic)
        assert messages, domain
        for message in messages:
            check_event(message, domain)
    observations = read_with_librdkafka(mine, "sequence")
    assert observations
    validator = Draft202012Validator(schemas()["observation.v1.json"])
    for message in observations:
        validator.validate(json.loads(message.value))


def check_event(found: Found, domain: Domain) -> None:
    """One record as a stranger sees it: partition, headers, CloudEvent, schema."""
    assert found.partition == (murmur2(found.key) & 0x7FFFFFFF) % 3
    assert found.headers["content-type"] == b"application/cloudevents+json; charset=UTF-8"
    event = from_kafka(KafkaMessage(headers=found.headers, key=found.key, value=found.value), JSONFormat())
    assert found.headers["type"].decode() == event.get_type()
    names = (event.get_extension("provider"), event.get_extension("endpoint"), event.get_subject() or "")
    assert found.key.decode() == ":".join(names)
    Draft202012Validator(event_schema(domain)).validate(json.loads(found.value))
