"""What becomes of a producer whose last commit is in doubt, when its slot starts another one or ends."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from processors.runtime import producer_slot
from processors.runtime.producer_slot import ProducerSlot
from tests.support.waiting import until
from tests.unit.processors.runtime.test_transaction import spec_of


class Producer:
    """A producer that settles when `can_settle` is set."""

    def __init__(self, *, in_doubt: bool) -> None:
        self.calls: list[str] = []
        self.can_settle = asyncio.Event()
        self.markers = SimpleNamespace(commit=object() if in_doubt else None, is_in_doubt=in_doubt)
        self._sender = SimpleNamespace(sender_task=None)

    async def settle(self) -> None:
        self.calls.append("settle")
        await self.can_settle.wait()
        self.calls.append("settled")

    async def stop(self) -> None:
        self.calls.append("stop")


def slot_of(producer: Producer) -> ProducerSlot:
    made: Any = producer
    spec = spec_of()
    return ProducerSlot("deliver-0", spec.topics, spec.settings, producer=made)


async def test_a_slot_that_ends_settles_what_is_in_doubt() -> None:
    """Nobody does it after the process."""
    producer = Producer(in_doubt=True)
    producer.can_settle.set()
    await slot_of(producer).stop()
    assert producer.calls == ["settle", "settled", "stop"]
    certain = Producer(in_doubt=False)
    await slot_of(certain).stop()
    assert certain.calls == ["stop"]


async def test_a_slot_ends_in_time_and_says_what_is_left_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster may be away."""
    monkeypatch.setattr(producer_slot, "_SETTLED_AT_THE_END_S", 0.01)
    producer = Producer(in_doubt=True)
    slot = slot_of(producer)
    slot.drop()
    with structlog.testing.capture_logs() as logged:
        await slot.stop()
    assert producer.calls == ["settle", "stop"]
    assert [(line["event"], line["producer"]) for line in logged] == [("commit_not_settled", "deliver-0")]


async def test_a_start_that_is_cut_off_leaves_the_commit_to_the_next_one() -> None:
    """An abort in between would take along what was committed."""
    producer = Producer(in_doubt=True)
    slot = slot_of(producer)
    slot.drop()
    for turn in (1, 2):
        starting = asyncio.ensure_future(slot.start())
        await until(lambda turn=turn: producer.calls == ["settle"] * turn)  # type: ignore[misc] # mypy knows no default
        starting.cancel()
        await asyncio.wait({starting})
    producer.can_settle.set()
    await slot.stop()
    assert producer.calls == ["settle", "settle", "settle", "settled", "stop"]
