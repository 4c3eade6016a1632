"""A running ingress under test: its settings, its topic and what is in it. Every wait has a deadline."""

import asyncio
import time
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from prometheus_client import CollectorRegistry
from uuid_utils import uuid7

from ingest.app import Ingress, ingress
from ingest.receive import Stamps
from schemas.kafka.arguments import client_arguments, reader_arguments
from schemas.retry_policy import RetryPolicy
from schemas.settings import Settings
from schemas.topics import record_bytes_max
from tests.conftest import SettingsFactory
from tests.support.raw_http import RawAnswer, RawClient, post
from tests.support.waiting import PATIENCE_S, UNHURRIED_MS, until, until_it_is

# The limits of time that a test does not set itself: none of them ends anything while a test waits.
_UNHURRIED = ("header_timeout_ms", "body_timeout_ms", "answer_timeout_ms", "keep_alive_ms", "kafka_deadline_ms")

_CONFIGURATION = """
[ingest]
host = "127.0.0.1"
port = 0
{ingest}

[endpoints.acme]
provider = "shipstream"
secrets = ["env:SECRET"]

[endpoints.laned]
provider = "shipstream"
secrets = ["env:SECRET"]
lanes = 10

[endpoints.guarded]
provider = "modern_dropship"
secrets = ["env:SECRET"]
token = "env:TOKEN"

[endpoints.rotating]
provider = "modern_dropship"
secrets = ["env:SECRET"]
token = ["env:TOKEN", "env:OLD_TOKEN"]

[endpoints.off]
provider = "shipstream"
secrets = ["env:SECRET"]
enabled = false

[endpoints.near]
provider = "shipstream"
secrets = ["env:SECRET"]
allow_from = ["127.0.0.0/8"]

[endpoints.far]
provider = "shipstream"
secrets = ["env:SECRET"]
allow_from = ["203.0.113.0/24"]

[endpoints.slowed]
provider = "shipstream"
secrets = ["env:SECRET"]
rate_per_second = 0.05
burst = 2
"""


@dataclass(frozen=True, slots=True)
class Serving:
    """A running ingress, its settings and its figures."""

    ingress: Ingress
    settings: Settings
    registry: CollectorRegistry

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self.ingress.port

    async def ask(self, request: bytes) -> RawAnswer:
        """The answer to one request on a connection of its own."""
        async with RawClient(self.port) as client:
            await client.send(request)
            return await client.answer()

    async def stored(self, body: bytes, endpoint: str = "acme") -> None:
        """Returns once the body is answered 200 because Kafka has it; until then it is sent again and again.

        For a test whose deadline for Kafka is short: on a busy machine a delivery may miss it, and is tried again.
        """

        async def is_stored() -> bool:
            before = self.requests(endpoint, "stored")
            answer = await self.ask(post(f"/webhooks/{endpoint}", body))
            assert answer.status in {200, 503}
            return self.requests(endpoint, "stored") > before

        await until_it_is(is_stored)

    async def bodies(self) -> list[bytes | None]:
        """What `raw` holds of the endpoint acme, after one last delivery that shows that nothing else will come."""
        assert (await self.ask(post("/webhooks/acme", b"the last"))).status == 200
        return [record.value for record in await read_raw(self.settings, 1) if record.key == b"acme"]

    def closed(self, reason: str) -> float:
        """How many connections ended for this reason so far."""
        name = "dropstream_ingest_connections_closed_total"
        return self.registry.get_sample_value(name, {"reason": reason}) or 0.0

    @property
    def open(self) -> float:
        """How many connections are open."""
        return self.registry.get_sample_value("dropstream_ingest_connections_open") or 0.0

    def requests(self, endpoint: str, outcome: str) -> float:
        """How many requests of `endpoint` had this outcome so far."""
        labels = {"endpoint": endpoint, "outcome": outcome}
        return self.registry.get_sample_value("dropstream_ingest_requests_total", labels) or 0.0


def serving_settings(
    make: SettingsFactory, ingest: str = "", *, bootstrap_servers: str | None = None, spool: Path | None = None
) -> Settings:
    """The test's endpoints, with more lines for `[ingest]`; without a spool unless a folder is given for it.

    A limit of time that these lines do not set is longer than a test's patience.
    """
    place = f'spool_dir = "{spool}"' if spool else "spool_bytes_max = 0"
    unhurried = "".join(f"{name} = {UNHURRIED_MS}\n" for name in _UNHURRIED if name not in tomllib.loads(ingest))
    return make(
        _CONFIGURATION.format(ingest=f"{place}\n{unhurried}{ingest}"),
        environ={"SECRET": "a-secret", "TOKEN": "a-token", "OLD_TOKEN": "an-older-token"},
        bootstrap_servers=bootstrap_servers,
    )


@asynccontextmanager
async def ready(make: SettingsFactory, ingest: str = "", *, stamps: Stamps | None = None) -> AsyncIterator[Serving]:
    """A running ingress, `raw` in place, deliveries numbered."""
    settings = serving_settings(make, ingest)
    await create_raw(settings)
    numbers = count(1)
    stamps = stamps or Stamps(new_id=lambda: f"delivery-{next(numbers)}", now_us=lambda: time.time_ns() // 1_000)
    async with serving(settings, stamps=stamps) as running:
        yield running


@asynccontextmanager
async def serving(
    settings: Settings,
    *,
    stamps: Stamps | None = None,
    connected: bool = True,
    retry_policies: Mapping[str, RetryPolicy] | None = None,
) -> AsyncIterator[Serving]:
    """A running ingress; `connected` waits until it takes deliveries."""
    registry = CollectorRegistry()
    stamps = stamps or Stamps(new_id=uuid7, now_us=lambda: time.time_ns() // 1_000)
    async with ingress(settings, registry=registry, stamps=stamps, retry_policies=retry_policies) as running:
        if connected:
            await until(lambda: running.publisher.connected)
        yield Serving(running, settings, registry)


async def create_raw(settings: Settings, *, bytes_max: int | None = None, partitions: int | None = None) -> None:
    """The topic `raw`, empty; `bytes_max` and `partitions` are its own where they are not those of the settings."""
    config = {"max.message.bytes": str(bytes_max or record_bytes_max(settings))}
    async with _admin(settings) as client:
        count = partitions or settings.kafka.partitions
        await client.create_topics([NewTopic(_raw(settings), count, 1, topic_configs=config)])


def limit_topic(bootstrap_servers: str, name: str, bytes_max: int) -> None:
    """The topic's own limit, for batches as for records, from now on; `name` is its full one."""
    set_topic(bootstrap_servers, name, "max.message.bytes", str(bytes_max))


def set_topic(bootstrap_servers: str, name: str, key: str, value: str) -> None:
    """The topic's own value of a setting of Kafka's, from now on."""
    client = AdminClient({"bootstrap.servers": bootstrap_servers})
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    client.incremental_alter_configs([topic])[topic].result(10)


async def take_raw_away(settings: Settings) -> None:
    """From now on the broker knows no `raw`: what is sent there is tried again and again, and never acknowledged."""
    async with _admin(settings) as client, asyncio.timeout(PATIENCE_S):
        await client.delete_topics([_raw(settings)])
        while _raw(settings) in await client.list_topics():  # noqa: ASYNC110 a broker has no event
            await asyncio.sleep(0.01)


async def read_raw(settings: Settings, count: int) -> list[ConsumerRecord[bytes, bytes]]:
    """All of `raw`, by partition and offset, once it holds `count` records or more."""
    consumer = AIOKafkaConsumer(**reader_arguments(settings))
    await consumer.start()
    try:
        partitions = [TopicPartition(_raw(settings), number) for number in range(settings.kafka.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        records: list[ConsumerRecord[bytes, bytes]] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(records) < count:
                fetched = await consumer.getmany(timeout_ms=200)
                records += [record for batch in fetched.values() for record in batch]
    finally:
        await consumer.stop()
    return sorted(records, key=lambda record: (record.partition, record.offset))


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(**client_arguments(settings.kafka))
    await client.start()
    try:
        yield client
    finally:
        await client.close()


def _raw(settings: Settings) -> str:
    return settings.kafka.topic_prefix + "raw"
