"""Moves what the groups remember to the partitions that a migration has added; the last step makes the layout count.

The groups are empty meanwhile. What a partition remembers of retries does not say whose keys they are; so each new
partition gets all that its parent remembers, and the window forgets on both sides what is not asked for any more. A
sequence moves with its endpoint.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer, TopicPartition

from ops.kafka.reader import full_name
from processors.deliver.dedupe import DedupeStore
from processors.deliver.keys.buckets import inherited
from processors.groups import gap_rules, new_dedupe_store
from processors.runtime.changelog import restore_store
from processors.runtime.state_store import Change, StateStore
from processors.sequence.store import SequenceStore
from schemas.kafka.partitions import partition_of
from schemas.notes.layouts import LAYOUT_KEY, LAYOUT_PARTITION, Layout, Move, write_layout
from schemas.settings import Settings

_CHANGES_PER_TRANSACTION = 2_000


async def move_states(
    settings: Settings, layout: Layout, producer: AIOKafkaProducer, tell: Callable[[str], None]
) -> Layout:
    """Moves the state of a migration whose groups are empty and whose partitions are there; the new layout.

    Called again after it was interrupted, it writes again what it had written of the retries, which changes nothing.
    """
    target = layout.target or layout.partitions
    for parent in range(layout.partitions):
        children = range(parent + layout.partitions, target, layout.partitions)
        await _copy_sightings(settings, producer, parent, children)
        tell(f"retries of partition {parent} are remembered in {', '.join(map(str, children))} too")
    sequences = await _sequence_changes(settings, layout.partitions, target)
    ends = layout.ends or {}
    move = Move(before=layout.partitions, after=target, raw=ends.get("raw", {}), sequence=ends.get("sequence", {}))
    done = Layout(partitions=target, moves=(*layout.moves, move))
    for topic, group in (("raw", "deliver"), ("sequence", "sequence")):
        new = [TopicPartition(full_name(topic, settings), one) for one in range(layout.partitions, target)]
        async with producer.transaction():  # One for each: aiokafka takes the offsets of one group alone.
            await producer.send_offsets_to_transaction(dict.fromkeys(new, 0), settings.kafka.topic_prefix + group)
    async with producer.transaction():
        for partition, (key, value) in sequences:
            await producer.send(full_name("sequence-state", settings), value, key=key, partition=partition)
        await producer.send(
            full_name("layout", settings), write_layout(done), key=LAYOUT_KEY, partition=LAYOUT_PARTITION
        )
    tell(f"{len(sequences)} records of sequences moved; keys are placed among {target} partitions now")
    return done


async def _copy_sightings(settings: Settings, producer: AIOKafkaProducer, parent: int, children: Sequence[int]) -> None:
    topic = full_name("deliver-state", settings)
    heirs = _Heirs(producer, topic, parent, children, new_dedupe_store(settings))
    await restore_store(heirs, TopicPartition(topic, parent), settings)


@dataclass(slots=True, eq=False)
class _Heirs(StateStore):
    """Takes the changelog of `parent` record by record, and writes what it says for `children`; keeps nothing."""

    producer: AIOKafkaProducer
    topic: str
    parent: int
    children: Sequence[int]
    like: DedupeStore
    _waiting: list[Change] = field(default_factory=list)
    _is_read: bool = False
    entries: int = 0
    evicted: int = 0

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Takes a bucket."""
        change = inherited(key, value, self.parent)
        if change is not None:
            self._waiting.append(change)
            self.entries += 1

    def reaches_back_to_ms(self, key: bytes, value: bytes | None, written_ms: int) -> int | None:
        """As the store of the group has it."""
        return self.like.reaches_back_to_ms(key, value, written_ms)

    def restored(self) -> None:
        """All is read; what waits is written next."""
        self._is_read = True

    async def settle(self, patience_s: float = 1.0) -> None:
        """Writes what waits, where it is enough for a transaction."""
        del patience_s
        if len(self._waiting) < _CHANGES_PER_TRANSACTION and not (self._is_read and self._waiting):
            return
        waiting, self._waiting = self._waiting, []
        async with self.producer.transaction():
            for key, value in waiting:
                for child in self.children:
                    await self.producer.send(self.topic, value, key=key, partition=child)

    def changes(self) -> Sequence[Change]:
        """None of its own."""
        return ()

    def commit(self) -> None:
        """Nothing runs here."""

    def roll_back(self) -> None:
        """Nothing runs here."""


async def _sequence_changes(settings: Settings, before: int, after: int) -> list[tuple[int, Change]]:
    """The records by which each sequence moves to the partition of its endpoint, and leaves the old one."""
    topic = full_name("sequence-state", settings)
    changes: list[tuple[int, Change]] = []
    for old in range(before):
        store = SequenceStore(gap_rules(settings))
        await restore_store(store, TopicPartition(topic, old), settings)
        for endpoint, records in store.by_endpoint().items():
            new = partition_of(endpoint.encode(), after)
            if new != old:
                changes += [(new, record) for record in records]
                changes += [(old, (key, None)) for key, _ in records]
    return changes
