"""A cluster that is slow is not taken for one that is away."""

import asyncio

import pytest

from ops.kafka.clients import admin
from schemas.settings import Settings
from tests.chaos.wire import Wire
from tests.conftest import KafkaUnderTest, SettingsFactory
from tests.support.ports import free_ports

pytestmark = pytest.mark.kafka

_SLOW_S = 7.0


async def test_a_visit_waits_for_a_slow_answer(kafka: KafkaUnderTest, settings: SettingsFactory) -> None:
    """A cluster whose first answer comes after seven seconds is visited."""
    async with Wire(free_ports(1), int(kafka.bootstrap_servers.rpartition(":")[2])) as wire:
        wire.cut()
        visiting = asyncio.ensure_future(_nodes(settings(bootstrap_servers=f"127.0.0.1:{wire.port}")))
        done, _ = await asyncio.wait([visiting], timeout=_SLOW_S)
        wire.mend()
        assert not done, visiting.exception()
        assert await visiting == 1


async def _nodes(settings: Settings) -> int:
    async with admin(settings) as client:
        return len((await client.describe_cluster())["brokers"])
