"""`topics plan` and `apply` against a real cluster."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from ops.kafka.clients import admin
from ops.kafka.topics import Comparison, apply, read_comparisons
from schemas.errors import DropstreamError
from schemas.settings import Settings
from schemas.topics import TOPICS
from tests.conftest import SettingsFactory
from tests.support.processing import ENDPOINTS, ENVIRON
from tests.support.replaying import program


async def create(settings: Settings, name: str, partitions: int, config: Mapping[str, str]) -> None:
    async with admin(settings) as client:
        await client.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(config))])


async def config_of(settings: Settings, name: str) -> dict[str, str]:
    """What is set on the topic itself."""
    async with admin(settings) as client:
        (answer,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    entries = answer.to_object()["resources"][0]["config_entries"]
    return {one["config_names"]: one["config_value"] for one in entries if one["config_source"] == 1}


def verdicts(comparisons: tuple[Comparison, ...]) -> set[str]:
    return {one.verdict for one in comparisons}


async def test_apply_makes_every_topic_and_then_nothing(settings: SettingsFactory) -> None:
    """After one apply the cluster agrees with the plan; a second one changes nothing."""
    mine = settings()
    assert verdicts(await read_comparisons(mine)) == {"missing"}
    first = await apply(mine)
    assert len(first.created) == len(TOPICS)
    assert verdicts(first.now) == {"agrees"}
    second = await apply(mine)
    assert (second.created, second.altered) == ((), ())
    assert verdicts(await read_comparisons(mine)) == {"agrees"}


async def test_too_few_brokers_are_told_with_the_setting(settings: SettingsFactory) -> None:
    """On a broker of one node, with the default of three replicas, the fault names the setting and its value."""
    with pytest.raises(DropstreamError) as refused:
        await apply(settings(replication_factor=3))
    assert str(refused.value) == (
        f"{len(TOPICS)} topics are to have 3 replicas, and Kafka has 1 broker now; set kafka.replication_factor = 1\n"
        "Or for this call: DROPSTREAM_KAFKA__REPLICATION_FACTOR=1 dropstream topics apply"
    )


async def test_a_plan_with_missing_topics_fails(settings: SettingsFactory, tmp_path: Path) -> None:
    """A script that asks whether the topics are there is told by the exit code."""
    mine = settings(ENDPOINTS, environ=ENVIRON)
    run = program(mine, tmp_path).run
    planned = await run("topics", "plan")
    assert (planned.code, planned.err) == (
        1,
        f"error: {len(TOPICS)} topics are missing; create with: dropstream topics apply\n",
    )
    await apply(mine)
    assert (await run("topics", "plan")).code == 0


async def test_a_setting_that_differs_is_altered_and_others_stay(settings: SettingsFactory, prefix: str) -> None:
    """Ours is put right; what somebody else set on the topic is kept."""
    mine = settings()
    await create(mine, f"{prefix}raw", 3, {"retention.ms": "60000", "segment.bytes": "2097152"})
    applied = await apply(mine)
    assert applied.altered == (f"{prefix}raw",)
    assert verdicts(applied.now) == {"agrees"}
    config = await config_of(mine, f"{prefix}raw")
    assert config["retention.ms"] == "2592000000"
    assert config["cleanup.policy"] == "delete"
    assert config["segment.bytes"] == "2097152"


async def test_partitions_are_never_added(settings: SettingsFactory, prefix: str) -> None:
    """Another number of partitions is reported and left: growing would move keys."""
    mine = settings()
    await create(mine, f"{prefix}orders", 1, {})
    applied = await apply(mine)
    (left,) = [one for one in applied.now if one.verdict == "differs"]
    assert left.plan.name == f"{prefix}orders"
    assert left.sentence == "partitions 1, planned 3"


async def test_the_compression_of_a_topic_is_shown_and_left(settings: SettingsFactory, prefix: str) -> None:
    """A topic whose broker compresses is no difference; its codec is told, and whether it can be read here."""
    mine = settings()
    await create(mine, f"{prefix}raw", 3, {"compression.type": "zstd"})
    found = {one.plan.name: (one.verdict, one.compression, one.is_readable) for one in (await apply(mine)).now}
    assert found[f"{prefix}raw"] == ("agrees", "zstd", True)
    assert found[f"{prefix}orders"] == ("agrees", "producer", True)


async def test_two_who_apply_at_once_both_succeed(settings: SettingsFactory) -> None:
    """Somebody else's topic, made a moment ago, is no error."""
    mine = settings()
    for applied in await asyncio.gather(apply(mine), apply(mine)):
        assert verdicts(applied.now) == {"agrees"}
