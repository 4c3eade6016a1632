"""The batches of partitions and the producer that writes them, before nodes that do all sorts of things, by chance."""

import asyncio
from random import Random

import pytest

from ingest.budgets import ByteBudget, Reservation
from ingest.kafka.batches import DeliveryReport, PartitionBatches, Report
from schemas.delivery import PendingRecord
from schemas.kafka.batch_producer import BatchProducer
from schemas.kafka.producers import close_producer, open_producer
from tests.support.waiting import until
from tests.unit.schemas.kafka.scripted_kafka import TOPIC, Fault, Say, scripted_kafka

_NODES, _PARTITIONS, _STEPS = 3, 6, 60
_UNHURRIED_S = 600.0
_FAULTS: list[Fault | Say] = [
    Fault.CUT_BEFORE,
    Fault.CUT_AFTER,
    Fault.WRONG_NUMBER,
    *(Say(code) for code in (3, 5, 6, 7, 19, 56)),
    *(Say(code, written=True) for code in (7, 20, 46)),
    *(Say(19, partition=number) for number in range(_PARTITIONS)),
]


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_nodes_do_each_record_is_written_once_and_in_order(seed: int) -> None:
    """Cut connections, refusals for a time, wrong answers and leaders that move; one batch at once of a partition."""
    random, budget, reports = Random(seed), ByteBudget(1_000_000), list[Report]()  # noqa: S311 no secret
    given: dict[int, list[bytes]] = {number: [] for number in range(_PARTITIONS)}
    async with scripted_kafka(nodes=_NODES, partitions=_PARTITIONS) as kafka:
        arguments = {"bootstrap_servers": kafka.bootstrap_servers, "retry_backoff_ms": 1}
        producer = await open_producer(arguments, topic=TOPIC, within_s=60, make=BatchProducer)
        partitions = [
            PartitionBatches(
                producer,
                TOPIC,
                number,
                deadline_s=_UNHURRIED_S,
                compression=0,
                on_overdue=lambda _: None,
                on_settled=lambda *_: None,
            )
            for number in range(_PARTITIONS)
        ]
        for step in range(_STEPS):
            if random.random() < 0.3:
                kafka.plans.append(random.choice(_FAULTS))
            if random.random() < 0.1:
                kafka.leaders[random.randrange(_PARTITIONS)] = random.randrange(-1, _NODES)
            for number in random.sample(range(_PARTITIONS), random.randrange(1, _PARTITIONS)):
                value = b"%d %d" % (step, number)
                given[number].append(value)
                reservation = Reservation(budget)
                reservation.grow(10)
                partitions[number].append(PendingRecord("acme", b"acme", value, [], 1), reservation, reports.append)
            await asyncio.sleep(random.choice([0, 0, 0.001, 0.003]))
        kafka.leaders = {number: number % _NODES for number in range(_PARTITIONS)}
        await until(lambda: not any(one.busy for one in partitions))
        await close_producer(producer, flush_s=0)
    assert {number: kafka.values(number) for number in given} == given
    assert set(reports) == {DeliveryReport.WRITTEN}
    assert (len(reports), budget.held_bytes, kafka.most_at_once) == (sum(map(len, given.values())), 0, 1)
