"""A node that takes connections and never answers: others' batches go on, and what is given up is not sent late."""

import asyncio
import socket
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, LeaderNotAvailableError, ProducerClosed
from aiokafka.protocol.metadata import MetadataRequest

from schemas.kafka.batches import Builder
from schemas.kafka.producers import close_producer
from schemas.kafka.transactions.group_producer import GroupProducer
from tests.support.waiting import PATIENCE_S, until
from tests.unit.schemas.kafka.scripted_kafka import Fault, ScriptedKafka, scripted_kafka
from tests.unit.schemas.kafka.test_batch_fates import add, batch, producer_of, write

_LARGE = b"x" * 4_000_000


@pytest.mark.parametrize("connected", [False, True])
async def test_metadata_that_never_come_hold_up_no_other_node(*, connected: bool) -> None:
    """A batch is tried again on its own node, also while the client connects to the one that hangs."""
    async with scripted_kafka(nodes=2, partitions=2) as kafka, producer_of(kafka) as producer:
        await asyncio.gather(*await write(producer, [(0, batch(b"1")), (1, batch(b"a"))]))
        if not connected:
            _connection(producer, 1).close()
        await _ask_of_frozen(kafka, producer, 1)
        kafka.plans.extend((Fault.CUT_BEFORE, Fault.CUT_BEFORE))
        (tried_again,) = await write(producer, [(0, batch(b"2"))])
        async with asyncio.timeout(PATIENCE_S):
            await tried_again
        (next_one,) = await write(producer, [(0, batch(b"3"))])
        await next_one
        assert kafka.values(0) == [b"1", b"2", b"3"]
        assert (kafka.unanswered, [*kafka.plans]) == ([1], [])


async def test_a_batch_whose_leader_nobody_tells_ends_in_its_time() -> None:
    """Not when each node has been asked, one after the other; and the sender writes again when a leader is known."""
    async with scripted_kafka(nodes=4, partitions=2) as kafka, producer_of(kafka, request_ms=1_000) as producer:
        await asyncio.gather(*await write(producer, [(0, batch(b"1"))]))
        kafka.leaders[1] = -1
        producer.client.cluster.update_metadata(kafka.metadata())
        kafka.frozen.update(range(4))
        (without,) = await write(producer, [(1, batch(b"a"))])
        with pytest.raises(LeaderNotAvailableError):
            async with asyncio.timeout(PATIENCE_S):
                await without
        assert len(kafka.unanswered) < 4
        kafka.thaw()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*await write(producer, [(0, batch(b"2"))]))
        assert (kafka.values(0), kafka.values(1)) == ([b"1", b"2"], [])


async def test_a_request_that_is_given_up_frees_its_connection() -> None:
    """What else was asked on it is asked elsewhere at once, and the batches go to the node on another connection."""
    async with scripted_kafka(nodes=2, partitions=2) as kafka, producer_of(kafka) as producer:
        await asyncio.gather(*await write(producer, [(0, batch(b"1"))]))
        given_up = _connection(producer, 0)
        kafka.frozen.add(0)
        (written,) = await write(producer, [(0, batch(b"2"))])
        await until(lambda: kafka.unanswered == [0])
        asked = asyncio.ensure_future(given_up.send(MetadataRequest(None)))
        (request,) = producer._sender._requests  # noqa: SLF001 its time is ten minutes
        kafka.frozen.clear()
        request._give_up()  # noqa: SLF001 as its timer does
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(KafkaConnectionError):
                await asked
            await written
        assert kafka.values(0) == [b"1", b"2"]
        assert _connection(producer, 0) is not given_up


@pytest.mark.parametrize("given_up", [False, True])
async def test_what_is_not_sent_yet_of_a_request_that_is_given_up_is_never_sent(*, given_up: bool) -> None:
    """Its records would be written behind newer ones when the node is back; nor does a socket stay open for it."""
    async with scripted_kafka() as kafka:
        async with producer_of(kafka, request_ms=1_000 if given_up else 600_000) as producer:
            await asyncio.gather(*await write(producer, [(0, batch(b"1"))]))
            connection = _connection(producer, 0)
            line = connection._writer.transport  # noqa: SLF001 how much the system takes of it
            line.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
            await _ask_of_frozen(kafka, producer, 0)
            (failed,) = await write(producer, [(0, _large())])
            await until(lambda: line.get_write_buffer_size() > 0)
            if given_up:
                await until(lambda: not connection.connected())
            await close_producer(producer, flush_s=0)
            assert line.get_write_buffer_size() == 0
            with pytest.raises(ProducerClosed):
                await failed
        kafka.thaw()
        await until(lambda: kafka.connections_open == 0)
        assert [len(value) for value in kafka.values(0)] == [1]


async def test_a_node_that_hangs_keeps_no_transaction_from_another_node() -> None:
    """A producer of transactions connects to the one while it waits for the other, too."""
    async with scripted_kafka(nodes=2, partitions=2) as kafka:
        kafka.frozen.add(1)
        servers = kafka.bootstrap_servers
        producer = GroupProducer(bootstrap_servers=servers, transactional_id="t", retry_backoff_ms=10)
        producer._closed = True  # noqa: SLF001 it is never started
        client = producer.client
        client.cluster.update_metadata(kafka.metadata())
        opening = asyncio.ensure_future(client.ready(1))
        await until(lambda: kafka.unanswered == [1])
        assert await client.ready(0)
        assert not opening.done()
        kafka.thaw()
        assert await opening
        await client.close()


def _large() -> Builder:
    made = Builder(5_000_000, 0)
    assert add(made, _LARGE)
    return made


def _connection(producer: Any, node: int) -> Any:
    (found,) = [one for (name, _), one in producer.client._conns.items() if name == node]  # noqa: SLF001 what it has
    return found


async def _ask_of_frozen(kafka: ScriptedKafka, producer: Any, node: int) -> None:
    """Freezes the node when it is the one that is asked for metadata, which is a matter of chance."""
    kafka.frozen.add(node)
    while not kafka.unanswered:
        producer.client.force_metadata_update()
        await until(lambda: bool(kafka.unanswered) or producer.client._md_update_fut is None)  # noqa: SLF001 whether it ended
