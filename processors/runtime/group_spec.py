"""What a consumer group does, apart from how: its step, what the step remembers, and where that is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic

from aiokafka import TopicPartition

from processors.metrics import ProcessMetrics
from processors.runtime.state_store import StoreT
from processors.runtime.upstream import Upstream
from schemas.notes.rules import RulesVersion
from schemas.records import RawRecord, Record
from schemas.settings import Settings


def _nothing_due(_state: object, _now: datetime) -> Sequence[Record]:
    return ()


@dataclass(frozen=True, slots=True)
class GroupSpec(Generic[StoreT]):
    """The work of one group. `source` and `changelog` are short topic names; `name` is the group's for people.

    `new_step` gives the step of one transaction: the outputs of one input record, and changes to the state that it is
    given. What it is judged by may be another from one transaction to the next, never within one. `tick` gives the
    outputs that time alone makes due, once `upstream` has read what came before. `keeps_position` False where the
    state's own changes say how far it came. `rules` gives what the next step judges by, where topic `rules` is to say
    so, and `outputs` then are the short names of all topics that it writes to.
    """

    name: str
    source: str
    changelog: str
    new_step: Callable[[], Callable[[RawRecord, StoreT], Sequence[Record]]]
    new_state: Callable[[], StoreT]
    settings: Settings
    metrics: ProcessMetrics
    tick: Callable[[StoreT, datetime], Sequence[Record]] = _nothing_due
    upstream: Upstream | None = None
    keeps_position: bool = True
    rules: Callable[[], RulesVersion] | None = None
    outputs: Sequence[str] = ()

    @property
    def id(self) -> str:
        """The consumer group's id on the cluster."""
        return self.settings.kafka.topic_prefix + self.name

    @property
    def source_topic(self) -> str:
        """The full name of the input topic."""
        return self.settings.kafka.topic_prefix + self.source

    def changelog_of(self, source: TopicPartition) -> TopicPartition:
        """The changelog partition that belongs to an input partition: the one of its number."""
        return TopicPartition(self.settings.kafka.topic_prefix + self.changelog, source.partition)
