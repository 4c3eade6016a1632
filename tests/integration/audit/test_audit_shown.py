"""What `dropstream process` exports of the audits, read from real Kafka beside the groups."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry

from ops.audit.gauges import audits_shown
from ops.audit.state import AuditState, read_state
from ops.kafka.reader import full_name, read_topic
from ops.kafka.topics import apply
from schemas.kafka.arguments import producer_arguments
from schemas.notes.audits import CHECKPOINT_KEY, RESULT_KEY
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.auditing import since_last
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, deliveries, prepared, put
from tests.support.waiting import until

pytestmark = pytest.mark.kafka


@asynccontextmanager
async def shown(settings: Settings) -> AsyncIterator[CollectorRegistry]:
    """The figures of a processor that reads the state again and again."""
    registry = CollectorRegistry()
    async with audits_shown(settings, registry, every_s=0.05):
        yield registry


async def says(registry: CollectorRegistry, word: str) -> None:
    """Returns once the verdict is `word`."""
    await until(lambda: registry.get_sample_value("dropstream_audit_verdict", {"verdict": word}) == 1)


async def write(settings: Settings, key: bytes, value: bytes | None) -> None:
    """A record of somebody else in `audit-state`."""
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        await producer.send_and_wait(full_name("audit-state", settings), value, key=key, partition=0)


async def test_the_verdict_follows_the_audits(settings: SettingsFactory, tmp_path: Path) -> None:
    """Unknown without the topic, none without an audit, clean after one; unknown for a record of somebody else."""
    mine = settings(ENDPOINTS + PROCESS, environ=ENVIRON)
    async with shown(mine) as registry:
        await says(registry, "unknown")
        await apply(mine)
        await says(registry, "none")
        assert registry.get_sample_value("dropstream_audit_finished_timestamp_seconds") is None
        await put(mine, deliveries(5))
        assert (await since_last(mine, tmp_path)).code == 0
        await says(registry, "clean")
        finished = registry.get_sample_value("dropstream_audit_finished_timestamp_seconds")
        clean = registry.get_sample_value("dropstream_audit_clean_timestamp_seconds")
        assert finished is not None
        assert clean is not None
        assert clean <= finished
        assert registry.get_sample_value("dropstream_audit_exceptions", {"kind": "lost"}) == 0
        await write(mine, RESULT_KEY, b"splendid")
        await says(registry, "unknown")
        await write(mine, RESULT_KEY, None)
        await says(registry, "none")


async def test_a_clean_audit_is_never_seen_without_its_time(settings: SettingsFactory, tmp_path: Path) -> None:
    """The checkpoint lies before the result: a reader that comes between the two does not find "clean" alone."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    assert (await since_last(mine, tmp_path)).code == 0
    keys = [record.key for record in await read_topic(mine, "audit-state")]
    assert keys == [CHECKPOINT_KEY, RESULT_KEY]


async def test_only_what_came_since_is_read(settings: SettingsFactory, tmp_path: Path) -> None:
    """What was read before stays, and a topic that was made anew is read from its beginning."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    assert (await since_last(mine, tmp_path)).code == 0
    first = await read_state(mine)
    assert first.result is not None
    assert first.checkpoint is not None
    assert first.next == 2
    assert await read_state(mine, first) == first
    assert (await since_last(mine, tmp_path)).code == 0
    second = await read_state(mine, first)
    assert second == await read_state(mine)
    assert second.next == 4
    assert await read_state(mine, AuditState(next=1_000)) == second
