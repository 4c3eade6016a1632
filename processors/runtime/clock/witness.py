"""Up to which moment this machine's clock is believed: time alone makes holes lost for good, and a clock may be ahead.

The witness is the input of the group upstream: its records have the times at which other machines received them. A
record of the last hour agrees with the clock, and from then on the clock is believed as long as it keeps pace with the
monotonic one. Without such a record nobody can tell a silence from a clock that is ahead; then time goes on from the
newest receipt that is known, as fast as it has passed since this process knows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.structs import OffsetAndTimestamp

from schemas.kafka.descriptions import partitions_of_topic
from schemas.late_log import LateLog
from schemas.times import timestamp_ms

_log = LateLog()

# Of two clocks that are further apart than this, one is wrong.
_APART_MAX = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A moment that was certain when the monotonic clock showed `monotonic_s`."""

    moment: datetime
    monotonic_s: float

    def at(self, monotonic_s: float) -> datetime:
        """The moment that follows from it."""
        return self.moment + timedelta(seconds=monotonic_s - self.monotonic_s)


@dataclass(slots=True)
class ClockWitness:
    """The records of `topic`, by its name on the cluster, as witnesses of one process's clock."""

    topic: str
    _agreed: _Anchor | None = None
    _newest: _Anchor | None = None
    _told: bool = False

    async def believed(
        self,
        consumer: AIOKafkaConsumer,
        client: AIOKafkaClient,
        *,
        clock: datetime,
        monotonic_s: float,
        newest: datetime | None,
    ) -> datetime | None:
        """The clock where a witness agrees; else the latest moment that is certain, None where there is none.

        `newest` is the newest receipt that the group knows itself. All times are aware.

        Raises:
            KafkaError, TimeoutError: the cluster does not say; ask again.
        """
        if newest is not None and (self._newest is None or newest > self._newest.at(monotonic_s)):
            self._newest = _Anchor(newest, monotonic_s)
        if self._keeps_pace(clock, monotonic_s):
            return clock
        if await self._is_witnessed(consumer, client, clock):
            self._agreed, self._told = _Anchor(clock, monotonic_s), False
            return clock
        self._agreed = None
        if not self._told:
            self._told = True
            _log.warning(
                "clock_without_witness",
                clock=clock.isoformat(),
                newest_receipt=newest.isoformat() if newest else None,
                reason="no delivery of the last hour agrees with this machine's clock, so nothing is lost by it alone",
            )
        return None if self._newest is None else min(clock, self._newest.at(monotonic_s))

    def _keeps_pace(self, clock: datetime, monotonic_s: float) -> bool:
        return self._agreed is not None and abs(clock - self._agreed.at(monotonic_s)) <= _APART_MAX

    async def _is_witnessed(self, consumer: AIOKafkaConsumer, client: AIOKafkaClient, clock: datetime) -> bool:
        since_ms = timestamp_ms(clock - _APART_MAX)
        partitions = await partitions_of_topic(client, self.topic)
        found: Mapping[TopicPartition, OffsetAndTimestamp | None] = await consumer.offsets_for_times(
            dict.fromkeys(partitions, since_ms)
        )
        return any(one is not None for one in found.values())
