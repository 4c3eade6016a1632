"""An audit of a partition that gives nothing although its cluster answers: an answer, and never a wait without end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from ops.audit.reading import stream
from ops.audit.run import audit
from ops.kafka import reader
from ops.kafka.reader import full_name
from schemas.kafka.arguments import transactional_producer_arguments
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.processing import ENDPOINTS, ENVIRON, prepared
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kafka


@asynccontextmanager
async def open_transaction(settings: Settings, topic: str) -> AsyncIterator[None]:
    """A transaction of somebody else that has written to partition 0 of `topic` and does not end."""
    arguments = transactional_producer_arguments(settings, transactional_id="somebody")
    async with AIOKafkaProducer(**arguments | {"transaction_timeout_ms": 300_000}) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(full_name(topic, settings), b"{}", key=b"somebody", partition=0)
        yield
        await producer.abort_transaction()


@pytest.mark.parametrize("topic", ["rules", "orders", "gaps", "replay-state"])
async def test_an_open_transaction_makes_the_verdict_unknown(
    settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    """The verdict names partition, offset and what may hold it; once the transaction has ended, the audit is clean."""
    monkeypatch.setattr(reader, "_TRANSACTION_OVER_S", 1.0)
    monkeypatch.setattr(stream, "_SILENT_AFTER_S", 1.0)
    mine = await prepared(settings(ENDPOINTS + "[process]\ntransaction_timeout_ms = 1000\n", environ=ENVIRON))
    async with open_transaction(mine, topic), asyncio.timeout(PATIENCE_S):
        verdict = await audit(mine)
    assert verdict.status == "unknown"
    (sentence,) = verdict.unknown
    assert sentence.startswith(f"partition 0 of {full_name(topic, mine)} gives nothing at offset 0 for ")
    assert "a transaction is open there" in sentence
    assert (await audit(mine)).clean
