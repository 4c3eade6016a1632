"""What sets one consumer group apart from another: its topics, its step, the store of that step, its rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Protocol

from aiokafka import TopicPartition

from processors.runtime.byte_account import ByteAccount
from processors.runtime.clock.upstream import Upstream
from processors.runtime.clock.witness import ClockWitness
from processors.runtime.metrics import GroupMetrics
from processors.runtime.state_store import StoreT
from schemas.notes.rules import RulesVersion
from schemas.records import Position, RawRecord, Record
from schemas.settings import Settings


class NotYetError(Exception):
    """A step cannot judge a record yet; its partition stands for a moment, the record and all behind it in hand."""


@dataclass(frozen=True, slots=True)
class TracedStep:
    """One committed record whose trace is recorded; the step began and ended at these nanoseconds since 1970."""

    traceparent: str
    position: Position
    began_ns: int
    ended_ns: int
    outputs: Sequence[Record]


class StepTracing(Protocol):
    """Records the traces of the deliveries that a group has processed."""

    def trace(self, group: str, steps: Sequence[TracedStep]) -> None:
        """Takes the steps of one committed transaction; returns at once, and never fails."""


GroupStep = Callable[[RawRecord, StoreT], Sequence[Record]]


@dataclass(frozen=True, slots=True)
class GroupSpec(Generic[StoreT]):
    """One consumer group; `name` is without prefix, `source` and `changelog` are short topic names.

    `new_step` gives the step of one transaction: it returns the outputs of one input record, and changes the store that
    it is given. The rules of a step may differ from one transaction to the next, never within one. `punctuate` gives
    the outputs that time alone makes due, once `upstream` has read what came before, up to the moment that `witness`
    believes; `newest_receipt` is that of a store. `logs_input_offset` is False where
    the store's own changes say how far it came. `rules` gives the rules of the next step, where topic `rules` is to say
    them; `outputs` are then the short names of all topics that the step writes to. `refused` gives the outputs of a
    record whose own ones Kafka refuses, as it says in so many words; without it the partition stands. `account` is that
    of the process. `count_outputs` is called with the outputs of each committed transaction. `tracing` is None where
    nobody records traces.
    """

    name: str
    source: str
    changelog: str
    new_step: Callable[[], GroupStep[StoreT]]
    new_store: Callable[[], StoreT]
    settings: Settings
    metrics: GroupMetrics
    punctuate: Callable[[StoreT, datetime], Sequence[Record]] = lambda _store, _now: ()
    upstream: Upstream | None = None
    witness: ClockWitness | None = None
    newest_receipt: Callable[[StoreT], datetime | None] = lambda _store: None
    logs_input_offset: bool = True
    rules: Callable[[], RulesVersion] | None = None
    outputs: Sequence[str] = ()
    refused: Callable[[RawRecord, str], Sequence[Record]] | None = None
    account: ByteAccount = field(default_factory=ByteAccount)
    count_outputs: Callable[[Sequence[Record]], None] = lambda _outputs: None
    tracing: StepTracing | None = None

    @property
    def id(self) -> str:
        """The consumer group's id on the cluster."""
        return self.settings.kafka.topic_prefix + self.name

    @property
    def source_topic(self) -> str:
        """The full name of the input topic."""
        return self.settings.kafka.topic_prefix + self.source

    @property
    def topics(self) -> Sequence[str]:
        """The full names of all topics that the group reads and writes."""
        rules = ("rules",) if self.rules is not None else ()
        return [self.settings.kafka.topic_prefix + one for one in (self.source, self.changelog, *self.outputs, *rules)]

    def changelog_of(self, source: TopicPartition) -> TopicPartition:
        """The changelog partition that belongs to an input partition: the one of its number."""
        return TopicPartition(self.settings.kafka.topic_prefix + self.changelog, source.partition)
