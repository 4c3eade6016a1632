"""A record that a verb or an act of the console waits for is written in time, or the wait ends with a sentence."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaProducer

from ops.kafka.reader import read_topic
from ops.kafka.topics import apply
from ops.kafka.writing import write_record
from schemas.errors import DropstreamError
from tests.conftest import SettingsFactory

pytestmark = pytest.mark.kafka


async def test_what_no_leader_takes_is_not_waited_for_for_ever(
    settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is there on return; where aiokafka goes on waiting for a leader, the wait ends, and says of what."""
    mine = settings()
    await apply(mine)
    await write_record(mine, "acts", b"{}", key=b"anna", partition=0)
    assert [(one.key, one.value) for one in await read_topic(mine, "acts")] == [(b"anna", b"{}")]

    async def never(*_arguments: object, **_named: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(AIOKafkaProducer, "send_and_wait", never)
    began = time.monotonic()
    with pytest.raises(DropstreamError, match="does not answer in time"):
        await write_record(mine, "acts", b"{}", key=b"anna", partition=0, within_s=2.0)
    assert time.monotonic() - began >= 2.0
