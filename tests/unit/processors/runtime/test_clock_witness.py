"""Up to which moment a processor's clock is believed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndTimestamp

from processors.runtime.clock.witness import ClockWitness
from tests.support.coordinating import topics_answer

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Cluster:
    """The topic `raw`, whose newest record has the time `newest`; both a client and a consumer."""

    def __init__(self, newest: datetime) -> None:
        self.newest = newest
        self.asked = 0

    @property
    def cluster(self) -> "Cluster":
        return self

    def brokers(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(nodeId=1)]

    async def send(self, _node: int, _request: object) -> SimpleNamespace:
        return topics_answer(raw=2)

    async def offsets_for_times(
        self, times: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        self.asked += 1
        newest_ms = round(self.newest.timestamp() * 1_000)
        return {
            one: OffsetAndTimestamp(7, newest_ms) if one.partition == 1 and newest_ms >= since_ms else None
            for one, since_ms in times.items()
        }


async def believed(
    witness: ClockWitness, cluster: Cluster, clock: datetime, at_s: float, newest: datetime | None
) -> datetime | None:
    both: Any = cluster
    return await witness.believed(both, both, clock=clock, monotonic_s=at_s, newest=newest)


async def test_a_delivery_of_the_last_hour_agrees_with_the_clock_for_good() -> None:
    """Later silence changes nothing, as long as the clock goes as fast as the monotonic one; nobody is asked again."""
    witness, cluster = ClockWitness("raw"), Cluster(NOON - timedelta(minutes=59))
    assert await believed(witness, cluster, NOON, 5.0, None) == NOON
    later = NOON + timedelta(hours=300)
    assert await believed(witness, cluster, later, 5.0 + 300 * 3_600, None) == later
    assert cluster.asked == 1


async def test_a_clock_that_nobody_agrees_with_is_not_believed() -> None:
    """Time goes on from the newest receipt, as fast as it has passed since it was known; a newer one moves it."""
    witness, cluster = ClockWitness("raw"), Cluster(NOON)
    ahead = NOON + timedelta(hours=200)
    assert await believed(witness, cluster, ahead, 5.0, None) is None
    assert await believed(witness, cluster, ahead, 6.0, NOON) == NOON
    assert await believed(witness, cluster, ahead, 36.0, NOON) == NOON + timedelta(seconds=30)
    newer = NOON + timedelta(minutes=5)
    assert await believed(witness, cluster, ahead, 36.0, newer) == newer
    assert await believed(witness, cluster, ahead, 37.0, NOON) == newer + timedelta(seconds=1)


async def test_a_clock_that_is_behind_is_not_pushed() -> None:
    """Its holes are reported late, never early."""
    witness, cluster = ClockWitness("raw"), Cluster(NOON)
    behind = NOON - timedelta(hours=3)
    assert await believed(witness, cluster, behind, 5.0, NOON) == behind


async def test_a_clock_that_jumps_needs_its_witness_anew() -> None:
    """It was right an hour ago, and is set 200 hours ahead while nothing comes."""
    witness, cluster = ClockWitness("raw"), Cluster(NOON)
    assert await believed(witness, cluster, NOON, 5.0, NOON) == NOON
    jumped = NOON + timedelta(hours=200)
    assert await believed(witness, cluster, jumped, 65.0, NOON) == NOON + timedelta(minutes=1)
    cluster.newest = jumped
    assert await believed(witness, cluster, jumped, 66.0, NOON) == jumped
