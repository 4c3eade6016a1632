"""A producer given up with batches in every state: each fails, and the event loop has nothing to say of it."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import ProducerClosed
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator
from aiokafka.structs import TopicPartition

from schemas.kafka.producers import fail_all


class _Cluster:
    """One leader for everything."""

    def leader_for_partition(self, _partition: TopicPartition) -> int:
        return 0


@pytest.mark.parametrize("state", ["waiting", "on its way", "tried again"])
async def test_each_batch_fails_in_silence(state: str) -> None:
    """One that Kafka did not take at first waits again, where aiokafka does not look for it."""
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    accumulator = MessageAccumulator(_Cluster(), 1_000, 0, 10.0)
    builder = BatchBuilder(1_000, 0)
    builder.append(timestamp=1, key=b"acme", value=b"{}", headers=[])
    written = await accumulator.add_batch(builder, TopicPartition("raw", 0), 1.0)
    if state != "waiting":
        popped, _ = accumulator.drain_by_nodes(ignore_nodes=())
        if state == "tried again":
            (batch,) = popped[0].values()
            accumulator.reenqueue(batch)
    fail_all(accumulator, ProducerClosed())
    with pytest.raises(ProducerClosed):
        await written
    await asyncio.sleep(0)
    assert said == []
