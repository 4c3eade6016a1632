"""Which partitions are fetched from, where others do not get on."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from processors.runtime import intake as runtime
from processors.runtime.assignment import Assignment
from processors.runtime.byte_account import ByteAccount
from processors.runtime.connection import Connection
from processors.runtime.intake import Intake
from processors.runtime.partition import PartitionState
from schemas.configuration import Context, read_configuration
from tests.support.waiting import until
from tests.unit.processors.runtime.test_transaction import FIRST, MEMBER, SECOND, partition_at, records, spec_of


class Consumer:
    """A consumer that fetches `found` once, and notes from where it would; `turns` counts how often it was asked."""

    def __init__(self) -> None:
        self.turns = 0
        self.found: Mapping[TopicPartition, list[ConsumerRecord]] = {}
        self.resumed: set[TopicPartition] = set()

    async def getmany(self, **_bounds: int) -> Mapping[TopicPartition, list[ConsumerRecord]]:
        self.turns += 1
        await asyncio.sleep(0)
        found, self.found = self.found, {}
        return found

    def pause(self, source: TopicPartition) -> None:
        self.resumed.discard(source)

    def resume(self, source: TopicPartition) -> None:
        self.resumed.add(source)


async def release() -> None:
    """Nothing runs here."""


@pytest.mark.parametrize(
    ("state", "waits_until", "resumed"),
    [(PartitionState.ON_TRIAL, 0.0, {SECOND}), (PartitionState.OPEN, 9e9, {SECOND}), (PartitionState.OPEN, 0.0, set())],
)
async def test_what_does_not_get_on_starves_no_other_partition(
    state: PartitionState, waits_until: float, resumed: set[TopicPartition]
) -> None:
    """One that failed, or waits for its endpoint, may fill all room; room that is worked on is waited for."""
    account = ByteAccount(33_554_432)
    full, empty = partition_at(FIRST, 7, *range(7, 7_000)), partition_at(SECOND, 3)
    full.state, full.waits_until, empty.state = state, waits_until, PartitionState.OPEN
    full.is_paused = empty.is_paused = True
    account.fetched = full.bytes_count
    assert account.is_full
    consumer, stopping, connection = Consumer(), asyncio.Event(), Connection("deliver")
    given: Any = consumer
    partitions = {FIRST: full, SECOND: empty}
    assignment = Assignment(spec_of(account=account), given, release, member=MEMBER, _partitions=partitions)
    intake = asyncio.ensure_future(Intake(assignment, stopping, connection).run())
    await until(lambda: consumer.turns > 2)
    assert consumer.resumed == resumed
    stopping.set()
    await intake


async def test_the_cluster_is_looked_at_during_a_long_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched until the interval is over, so its silence is noticed by these looks alone."""
    monkeypatch.setattr(runtime, "_TURN_S", 0.01)
    consumer, stopping, looks = Consumer(), asyncio.Event(), []
    consumer.found = {FIRST: records(FIRST, 7)}
    given: Any = consumer
    connection: Any = SimpleNamespace(observe=lambda: looks.append(consumer.turns))
    text = "[endpoints]\n[process]\ncommit_interval_ms = 5000\n"
    spec = replace(spec_of(), settings=read_configuration(text, source="test", context=Context({}, ())))
    one = partition_at(FIRST, 7)
    one.state = PartitionState.OPEN
    assignment = Assignment(spec, given, release, member=MEMBER, _partitions={FIRST: one})
    running = asyncio.ensure_future(Intake(assignment, stopping, connection).run())
    await until(lambda: len(looks) > 10)
    stopping.set()
    await running
    assert looks.count(1) > 5
