"""An ingress without deliveries in front of a Kafka that goes: it notices by itself."""

import pytest

from tests.conftest import ClusterFactory, SettingsFactory
from tests.support.serving import create_raw, serving, serving_settings
from tests.support.waiting import until

pytestmark = pytest.mark.kafka


async def test_an_idle_ingress_notices_that_kafka_is_silent(settings: SettingsFactory, cluster: ClusterFactory) -> None:
    """Without a spool it is not ready while nobody answers; it says so by itself, and that Kafka answers again."""
    broker = await cluster()
    mine = serving_settings(settings, bootstrap_servers=broker.bootstrap_servers)
    await create_raw(mine)
    async with serving(mine) as running:
        health = running.ingress.health
        assert (health().facts["kafka_connected"], health().ready) == (True, True)
        broker.nodes[0].freeze()
        await until(lambda: not health().facts["kafka_connected"])
        assert not health().ready
        broker.nodes[0].thaw()
        await until(lambda: bool(health().facts["kafka_connected"]) and health().ready)
        await running.stored(b"afterwards")
