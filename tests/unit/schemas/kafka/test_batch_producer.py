"""Our producer of batches: when a request is written, and what ends with it; `test_batch_fates` has its fates."""

import asyncio

import pytest
from aiokafka.errors import IllegalOperation, KafkaError, ProducerClosed

from schemas.kafka.batch_producer import BatchProducer
from schemas.kafka.batches import Builder
from schemas.kafka.producers import close_producer, fail_all
from tests.support.waiting import PATIENCE_S, until
from tests.unit.schemas.kafka.scripted_kafka import TOPIC, Say, scripted_kafka
from tests.unit.schemas.kafka.test_batch_fates import add, batch, producer_of, write


async def test_a_request_is_written_at_the_end_of_the_turn_in_which_it_is_due() -> None:
    """It has a batch of each partition that its node leads, and all records that came in this turn."""
    async with scripted_kafka(nodes=2, partitions=4) as kafka, producer_of(kafka) as producer:
        builders = {number: batch(b"first") for number in range(4)}
        await asyncio.gather(*await write(producer, [*builders.items()]))  # Connects.
        kafka.requests.clear()
        again = {number: batch(b"second") for number in range(4)}
        written = await write(producer, [*again.items()])
        assert add(again[3], b"third")
        await asyncio.sleep(0)
        assert not add(again[3], b"too late")
        await asyncio.gather(*written)
        assert sorted(kafka.requests, key=lambda one: one[0]) == [(0, {0: 1, 2: 1}), (1, {1: 1, 3: 2})]
        assert [kafka.values(number) for number in (0, 3)] == [[b"first", b"second"], [b"first", b"second", b"third"]]


async def test_one_batch_of_a_partition_is_on_its_way_and_one_waits() -> None:
    """The one that waits stays open, and is written in the turn in which the answer of the one before it comes."""
    async with scripted_kafka() as kafka, producer_of(kafka) as producer:
        await asyncio.gather(*await write(producer, [(0, batch(b"1"))]))
        kafka.held.add(0)
        (first,) = await write(producer, [(0, batch(b"2"))])
        await until(lambda: len(kafka.requests) == 2)
        waiting = batch(b"3")
        (second,) = await write(producer, [(0, waiting)])
        (other,) = await write(producer, [(1, batch(b"a"))])
        assert producer.offer(batch(b"too many"), TOPIC, 0) is None
        await asyncio.sleep(0.05)
        assert add(waiting, b"4")
        kafka.let_go()
        await asyncio.gather(first, second, other)
        assert kafka.values(0) == [b"1", b"2", b"3", b"4"]
        assert kafka.requests == [(0, {0: 1}), (0, {0: 1}), (0, {0: 2, 1: 1})]
        assert kafka.most_at_once == 1


async def test_a_node_that_hangs_holds_up_its_own_partitions_alone() -> None:
    """Other nodes' batches are written meanwhile; as those of a partition without a leader hold up nobody."""
    async with scripted_kafka(nodes=3, partitions=3) as kafka, producer_of(kafka) as producer:
        await asyncio.gather(*await write(producer, [(number, batch(b"0")) for number in range(3)]))
        kafka.held.add(0)
        kafka.leaders[1] = -1
        kafka.plans.append(Say(6))
        (moved,) = await write(producer, [(1, batch(b"1"))])
        await until(lambda: not kafka.plans)
        (hung,) = await write(producer, [(0, batch(b"1"))])
        for number in range(1, 20):
            await asyncio.gather(*await write(producer, [(2, batch(b"%d" % number))]))
        assert not hung.done()
        assert not moved.done()
        kafka.leaders[1] = 1
        kafka.let_go()
        await asyncio.gather(hung, moved)
        assert kafka.values(1) == [b"0", b"1"]


async def test_a_batch_that_is_tried_again_holds_up_its_own_partition_alone() -> None:
    """The node's other partitions do not wait until its time has come, and its own partition's batches do."""
    async with scripted_kafka() as kafka, producer_of(kafka, backoff_ms=600_000) as producer:
        await asyncio.gather(*await write(producer, [(number, batch(b"0")) for number in range(3)]))
        kafka.plans.append(Say(19, partition=0))
        tried_again, written = await write(producer, [(0, batch(b"1")), (1, batch(b"1"))])
        async with asyncio.timeout(PATIENCE_S):
            await written
        (behind,) = await write(producer, [(0, batch(b"2"))])
        for number in range(2, 10):
            others = await write(producer, [(place, batch(b"%d" % number)) for place in (1, 2)])
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*others)
        assert kafka.values(0) == [b"0"]
        await close_producer(producer, flush_s=0)
        assert [type(one.exception()) for one in (tried_again, behind)] == [ProducerClosed] * 2


async def test_what_waits_for_a_node_is_written_to_the_next_leader_as_soon_as_it_is_known() -> None:
    """Also where the metadata was asked for by another, and nothing else comes or ends."""
    async with scripted_kafka(nodes=2, partitions=4) as kafka, producer_of(kafka) as producer:
        await asyncio.gather(*await write(producer, [(number, batch(b"0")) for number in range(4)]))
        kafka.held.add(0)
        (hung,) = await write(producer, [(0, batch(b"1"))])
        await until(lambda: len(kafka.requests) == 3)
        (moved,) = await write(producer, [(2, batch(b"1"))])
        await asyncio.sleep(0.05)
        kafka.leaders[2] = 1
        producer.client.cluster.update_metadata(kafka.metadata())  # No node is asked: the one that hangs may be it.
        async with asyncio.timeout(PATIENCE_S):
            await moved
        assert (kafka.values(2), hung.done()) == ([b"0", b"1"], False)
        kafka.let_go()
        await hung


@pytest.mark.parametrize("backoff_ms", [1, 500])
async def test_what_is_on_its_way_when_the_producer_is_given_up_fails_in_silence(backoff_ms: int) -> None:
    """One on its way, one that is tried again, now or later, and one that waits; nothing is taken or left behind."""
    async with scripted_kafka(nodes=2, partitions=4) as kafka:
        async with producer_of(kafka, backoff_ms=backoff_ms) as producer:
            await asyncio.gather(*await write(producer, [(number, batch(b"0")) for number in range(4)]))
            kafka.held.add(0)
            kafka.leaders[1] = -1
            written = await write(producer, [(0, batch(b"1")), (1, batch(b"1"))])
            await until(lambda: len(kafka.requests) == 4)
            await asyncio.sleep(0.05)
            written += await write(producer, [(2, batch(b"1")), (0, batch(b"2"))])
            await close_producer(producer, flush_s=0)
            assert [type(one.exception()) for one in written] == [ProducerClosed] * 4
            assert producer.offer(batch(b"3"), TOPIC, 3) is None
            with pytest.raises(ProducerClosed):
                await producer.send_batch(batch(b"3"), TOPIC, partition=3)
        kafka.let_go()


async def test_a_batch_that_has_failed_is_not_written() -> None:
    """Also not one that is to be tried again, before the sender is told of the end."""
    async with scripted_kafka() as kafka, producer_of(kafka) as producer:
        await asyncio.gather(*await write(producer, [(0, batch(b"1"))]))
        kafka.leaders[0] = -1
        (failed,) = await write(producer, [(0, batch(b"2"))])
        await until(lambda: len(kafka.requests) == 2)
        await asyncio.sleep(0.05)
        fail_all(producer._message_accumulator, ProducerClosed())  # noqa: SLF001 as `close_producer` begins
        kafka.leaders[0] = 0
        with pytest.raises(ProducerClosed):
            await failed
        await asyncio.sleep(0.05)
        assert kafka.values(0) == [b"1"]


async def test_a_batch_that_has_failed_is_not_written_when_its_node_can_be_reached_at_last() -> None:
    """It would be written under the id of a producer that is given up, behind those of the next producer."""
    async with scripted_kafka() as kafka, producer_of(kafka) as producer:
        await asyncio.gather(*await write(producer, [(0, batch(b"1"))]))
        kafka.greets.clear()
        for connection in [*producer.client._conns.values()]:  # noqa: SLF001 a connection that Kafka cuts
            connection.close()
        (failed,) = await write(producer, [(0, batch(b"2"))])
        await asyncio.sleep(0.05)
        await close_producer(producer, flush_s=0)
        kafka.greets.set()
        with pytest.raises(ProducerClosed):
            await failed
        await asyncio.sleep(0.05)
        assert kafka.values(0) == [b"1"]


async def test_the_end_of_the_sender_waits_for_what_is_on_its_way_and_fails_the_rest() -> None:
    """Both can be there when a producer has flushed: they were taken meanwhile."""
    async with scripted_kafka() as kafka, producer_of(kafka) as producer:
        await asyncio.gather(*await write(producer, [(0, batch(b"1"))]))
        kafka.held.add(0)
        (on_its_way,) = await write(producer, [(0, batch(b"2"))])
        await until(lambda: len(kafka.requests) == 2)
        (waiting,) = await write(producer, [(0, batch(b"3"))])
        closing = asyncio.create_task(producer._sender.close())  # noqa: SLF001 as `stop` does behind its flush
        await asyncio.sleep(0.05)
        assert not closing.done()
        kafka.let_go()
        await closing
        await on_its_way
        with pytest.raises(ProducerClosed):
            async with asyncio.timeout(PATIENCE_S):
                await waiting
        assert producer.offer(batch(b"4"), TOPIC, 0) is None
        assert kafka.values(0) == [b"1", b"2"]


async def test_a_fault_of_the_program_ends_the_sender_and_every_batch() -> None:
    """As with aiokafka: none waits for ever, and the producer takes nothing more."""

    class _Faulty(Builder):
        """A batch that cannot be encoded."""

        def _build(self) -> bytes:
            raise ZeroDivisionError

    async with scripted_kafka(nodes=2) as kafka, producer_of(kafka) as producer:
        await asyncio.gather(*await write(producer, [(0, batch(b"1")), (1, batch(b"a"))]))
        kafka.held.add(1)
        written = await write(producer, [(1, batch(b"b"))])
        await until(lambda: len(kafka.requests) == 3)
        faulty = _Faulty(10_000, 0)
        add(faulty, b"2")
        written += await write(producer, [(1, batch(b"waits")), (0, faulty), (2, batch(b"of the same request"))])
        for one in written:
            with pytest.raises(KafkaError, match="ZeroDivisionError"):
                await one
        kafka.let_go()
        assert producer.offer(batch(b"3"), TOPIC, 0) is None
        with pytest.raises(KafkaError, match="ZeroDivisionError"):
            await producer.send_batch(batch(b"3"), TOPIC, partition=0)
        assert (kafka.values(0), len(written)) == ([b"1"], 4)


async def test_records_alone_transactions_and_lingering_are_refused() -> None:
    """Nothing would write them, or in time."""
    async with scripted_kafka() as kafka, producer_of(kafka) as producer:
        with pytest.raises(IllegalOperation):
            await producer.send(TOPIC, b"1")
        with pytest.raises(IllegalOperation):
            BatchProducer(transactional_id="t")
        with pytest.raises(IllegalOperation):
            BatchProducer(linger_ms=5)
        assert producer.offer(batch(b"1"), TOPIC, 3) is None
        assert producer.offer(batch(b"1"), "unknown", 0) is None
