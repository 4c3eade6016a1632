"""One input partition while this process owns it: the records in hand, the store, and how it gets on.

It decides nothing by itself: `processors.runtime.rounds` puts partitions into transactions, and
`processors.runtime.trials` those that failed.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Generic

from aiokafka import ConsumerRecord, TopicPartition

from processors.runtime.byte_account import bytes_of
from processors.runtime.state_store import StoreT

_BACKOFF_FIRST_S = 0.2
_BACKOFF_MAX_S = 5.0
# So many quick transactions in a row, and a partition that failed is trusted again.
_PROVED = 3


class PartitionState(StrEnum):
    """What is done with a partition: its store is read, it is in the rounds, or it failed and is tried by itself."""

    OPENING = "opening"
    OPEN = "open"
    ON_TRIAL = "on_trial"


@dataclass(slots=True)
class Trouble:
    """What is wrong with a partition, and how it is tried again.

    `since` is the time of the first failure, None while all is well; all times are of the event loop's clock.
    `records_max` bounds a transaction while the record is looked for that Kafka refuses; `refused` has, by offset, the
    records that were found, with Kafka's reason. `of_opening` is true where nothing but opening it failed.
    """

    since: float | None = None
    reason: str = ""
    of_opening: bool = False
    failures: int = 0
    retry_at: float = 0.0
    tried_at: float = 0.0
    proved: int = 0
    records_max: int | None = None
    refused: dict[int, str] = field(default_factory=dict)

    def add(self, reason: str, now: float, *, of_opening: bool = False) -> float:
        """Notes one failure more; returns after how many seconds the partition is tried again."""
        self.of_opening = of_opening and (self.since is None or self.of_opening)
        self.since = now if self.since is None else self.since
        self.reason, self.proved = reason, 0
        backoff_s: float = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(self.failures, 10))
        self.failures += 1
        self.retry_at = now + backoff_s
        return backoff_s

    def suspect(self, reason: str, now: float) -> None:
        """Notes that the partition is to be tried by itself, at once."""
        self.since = now if self.since is None else self.since
        self.reason, self.proved, self.tried_at = reason, 0, now

    def prove(self, *, is_quick: bool) -> bool:
        """Notes a transaction that was committed; whether so many were quick that the partition proved well."""
        self.proved = self.proved + 1 if is_quick else 0
        self.failures, self.retry_at = 0, 0.0
        return self.proved >= _PROVED

    def end(self) -> None:
        """All is well again."""
        self.since, self.reason, self.of_opening = None, "", False
        self.failures, self.retry_at, self.proved = 0, 0.0, 0


@dataclass(slots=True, eq=False)
class Partition(Generic[StoreT]):
    """A partition of the input; `position` is the offset behind the last record whose results are committed."""

    source: TopicPartition
    store: StoreT
    position: int = 0
    state: PartitionState = PartitionState.OPENING
    trouble: Trouble = field(default_factory=Trouble)
    # In a transaction now; that takes the first `taken` of the records, which stay here until they are committed.
    is_busy: bool = False
    taken: int = 0
    # Its last turn ended before its records did: what waits here is a backlog, and must hold up no other partition.
    is_behind: bool = False
    # Its first record cannot be judged yet: until then, by the event loop's clock, no transaction takes any.
    waits_until: float = 0.0
    is_paused: bool = False
    records: deque[ConsumerRecord] = field(default_factory=deque)
    bytes_count: int = 0

    @property
    def name(self) -> str:
        """For logs: topic and number."""
        return f"{self.source.topic}/{self.source.partition}"

    @property
    def waits(self) -> bool:
        """Whether records lie here that a transaction can take and none has, and that are no backlog."""
        return len(self.records) > self.taken and not self.is_behind and not self.waits_until

    @property
    def gets_on(self) -> bool:
        """Whether what lies here is on its way: it did not fail, and does not wait to be judged."""
        return self.state is PartitionState.OPEN and not self.waits_until

    def may_go_on(self, now: float) -> bool:
        """Whether its first record can be tried, by the event loop's clock."""
        return self.waits_until <= now

    def add(self, records: Sequence[ConsumerRecord]) -> int:
        """Takes fetched records in; returns their bytes."""
        count = bytes_of(records)
        self.records.extend(records)
        self.bytes_count += count
        return count

    def first(self, records_max: int) -> Sequence[ConsumerRecord]:
        """The records that come next, at most so many."""
        return list(islice(self.records, min(records_max, self.trouble.records_max or records_max)))

    def settle(self, position: int) -> int:
        """Everything before `position` is committed: its records leave; returns their bytes."""
        left = [self.records.popleft() for _ in range(self.taken)]
        count = bytes_of(left)
        self.bytes_count -= count
        self.position, self.taken = position, 0
        return count

    def clear(self) -> int:
        """All records leave, for they are to be fetched again, here or elsewhere; returns their bytes."""
        self.records.clear()
        self.taken, count, self.bytes_count = 0, self.bytes_count, 0
        self.is_behind = False
        return count
