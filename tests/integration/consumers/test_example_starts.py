"""The example consumers where they cannot begin, or not at once: in a file of its own, for its tests wait."""

import asyncio
from collections.abc import Sequence

import pytest

from ops.docs.examples import examples
from tests.chaos.wire import Wire
from tests.conftest import KafkaUnderTest, SettingsFactory
from tests.support.consuming import Program, consumer, orders_of, write
from tests.support.ports import free_ports
from tests.support.processing import prepared

pytestmark = pytest.mark.kafka

_ORDER = b"dropea:dropea:77"
# Java's own start is in it.
_SLOW_S = 15.0


async def test_a_consumer_that_cannot_begin_says_why(
    programs: list[Program], kafka: KafkaUnderTest, settings: SettingsFactory
) -> None:
    """Wrong prefix, partition, offset or place: one line, and the exit code says whose fault it is."""
    mine = await prepared(settings())
    prefix = mine.kafka.topic_prefix
    cases = [
        (("--prefix", "nobody."), 1, "has no topic nobody.gaps and nobody.orders; is --prefix right?"),
        (("--prefix", prefix, "--from", "7:0"), 1, "has no partition 7"),
        (("--prefix", prefix, "--from", "0:99"), 1, "there is nothing at"),
        (("--prefix", prefix, "--from", "yesterday"), 2, "is none of: beginning, a time such as"),
        (("--kafka", "127.0.0.1:1"), 1, "cannot reach Kafka at 127.0.0.1:1"),
    ]

    async def fails(program: Program, group: int, arguments: Sequence[str], code: int, sentence: str) -> None:
        # A group of its own: each language shares the partitions in its own way.
        own = ("--group", f"{prefix}{group}", *arguments)
        async with consumer(program, kafka.bootstrap_servers, *own) as running:
            assert await running.ended() == code, (program, arguments)
            assert sentence in running.errors[-1], (program, arguments)
            assert running.lines == []
            assert "Traceback" not in "\n".join(running.errors)

    # At once, for a client of Java looks for a cluster for a minute.
    await asyncio.gather(*(fails(program, group, *case) for group, program in enumerate(programs) for case in cases))


async def test_a_slow_cluster_is_waited_for(
    programs: list[Program], kafka: KafkaUnderTest, settings: SettingsFactory
) -> None:
    """A consumer whose first question to Kafka is answered after more than ten seconds shows what there is."""
    mine = await prepared(settings())
    await write(mine, key=_ORDER, value=examples()["orders"][0].value)
    target = int(kafka.bootstrap_servers.rpartition(":")[2])

    async def waits(program: Program, group: int) -> None:
        arguments = ("--prefix", mine.kafka.topic_prefix, "--group", f"{mine.kafka.topic_prefix}slow-{group}")
        async with Wire(free_ports(1), target) as wire:
            wire.cut()
            async with consumer(program, f"127.0.0.1:{wire.port}", *arguments) as running:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(_SLOW_S):
                        await running.process.wait()
                wire.mend()
                await running.prints(lambda lines: len(orders_of(lines)) == 1)
                assert await running.stop() == program.stopped_code, program

    await asyncio.gather(*(waits(program, group) for group, program in enumerate(programs)))
