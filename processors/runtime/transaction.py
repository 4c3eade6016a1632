"""One transaction of one producer: the records in hand of some partitions become outputs, together or not at all.

`Transaction.run` is the whole of it, from top to bottom: one step for each record, begin, write, positions, commit.
Only then the stores take over what the steps changed. After an error no store has changed, and the producer is to be
replaced: that aborts what is open.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from processors.runtime.byte_account import ByteAccount
from processors.runtime.changelog import input_offset_change, rules_change
from processors.runtime.group_spec import GroupSpec, GroupStep, NotYetError, TracedStep
from processors.runtime.partition import Partition
from processors.runtime.state_store import LocalStoreError, StoreT
from processors.runtime.transaction_writer import TransactionWriter
from schemas.kafka.errors import REFUSED_FOR_GOOD
from schemas.kafka.futures import both
from schemas.kafka.group_member import GroupMember
from schemas.kafka.producers import reason_of
from schemas.kafka.transactions.group_producer import LOST_PARTITIONS, GroupProducer
from schemas.kafka.transactions.marker_watch import MarkersInDoubtError
from schemas.notes.rules import RulesVersion, rules_records
from schemas.records import RawRecord, Record, next_offset, raw_record
from schemas.trace import sampled_traceparent

# How long the steps of one transaction take: at least, where there is so much to do, and at most, where nobody waits.
_STEPS_S = 0.04
_STEPS_MAX_S = 0.3
# Steps are computation: after so long the heartbeat, the other transactions and the admin port get their turn.
_TURN_S = 0.005
# How soon a record is tried again that could not be judged yet.
_NOT_YET_S = 0.25


@dataclass(frozen=True, slots=True)
class Committed(Generic[StoreT]):
    """What a transaction committed for one partition: its outputs, and how many records it took."""

    partition: Partition[StoreT]
    outputs: Sequence[Record]
    taken: int
    traced: Sequence[TracedStep] = ()


class TransactionFailedError(Exception):
    """Nothing of the transaction is committed as far as `fate_known`; else only opening its partitions anew tells.

    `suspects` are the partitions whose records Kafka did not take; `taken` says how many records of the input there
    were.
    """

    def __init__(
        self, error: BaseException, *, fate_known: bool, suspects: frozenset[TopicPartition], taken: int
    ) -> None:
        super().__init__(repr(error))
        self.error, self.fate_known, self.suspects, self.taken = error, fate_known, suspects, taken

    @property
    def refused(self) -> bool:
        """Whether a broker refuses a record, and will again."""
        return isinstance(self.error, REFUSED_FOR_GOOD)

    @property
    def is_doubt(self) -> bool:
        """Whether it wrote nothing, because the markers of the commit before may be missing."""
        return isinstance(self.error, MarkersInDoubtError)


@dataclass(slots=True)
class Bounds:
    """The bounds of one transaction.

    `records_max` of each partition; `kafka_s` is the time for Kafka's part of it, and `written_s` that until the
    records are at the brokers. Where `someone_waits`, the steps end sooner.
    """

    records_max: int
    kafka_s: float
    written_s: float
    someone_waits: Callable[[], bool] = lambda: False
    account: ByteAccount = field(default_factory=ByteAccount)


@dataclass(slots=True)
class _Turn(Generic[StoreT]):
    """What one partition gave to the transaction; `position` is the offset behind its last record."""

    partition: Partition[StoreT]
    position: int
    outputs: list[Record] = field(default_factory=list)
    rules_digest: str | None = None
    traced: list[TracedStep] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Transaction(Generic[StoreT]):
    """A transaction over `partitions`, which are in no other one.

    Without `member` it commits no positions: then the producer's transactional id must be of the partition alone, for
    nothing else fences another process. `until` (aware) is the moment up to which time alone may make outputs due.
    """

    spec: GroupSpec[StoreT]
    producer: GroupProducer
    member: GroupMember | None
    partitions: Sequence[Partition[StoreT]]
    bounds: Bounds
    until: datetime | None = None
    _turns: list[_Turn[StoreT]] = field(default_factory=list)
    _commit_sent: bool = False
    _bytes_count: int = 0
    # Whose store is asked or changed now.
    _at: Partition[StoreT] | None = None

    async def run(self) -> Sequence[Committed[StoreT]]:
        """Commits; returns what was committed for each partition, which is nothing where nothing was due.

        Raises:
            TransactionFailedError: it is not committed, as far as anybody knows. Replace the producer.
        """
        writer = TransactionWriter(self.producer, self.spec.settings.kafka.topic_prefix)
        try:
            async with asyncio.timeout(self.bounds.kafka_s):
                rules = await self._current_rules(writer)
            await self._work(
                self.spec.new_step(), rules, writer
            )  # Of one moment with the rules: nothing waits between.
            if self._turns:
                async with asyncio.timeout(self.bounds.kafka_s):
                    await self._write(writer)
            return [self._settle(turn, writer) for turn in self._turns]
        except BaseException as error:
            taken = sum(partition.taken for partition in self.partitions)
            self._roll_back()
            reason = reason_of(error, self.producer)
            if not isinstance(reason, (KafkaError, TimeoutError, LocalStoreError)):
                raise
            known = not self._commit_sent
            # Where the partitions are another's, what is not written yet is not to blame.
            nobody_is_to_blame = not known or isinstance(reason, LOST_PARTITIONS)
            suspects = frozenset() if nobody_is_to_blame else writer.unwritten()
            if isinstance(reason, LocalStoreError) and self._at is not None:
                suspects = frozenset({self._at.source})
            raise TransactionFailedError(reason, fate_known=known, suspects=suspects, taken=taken) from error
        finally:
            self.bounds.account.outputs -= self._bytes_count

    async def _work(self, step: GroupStep[StoreT], rules: RulesVersion | None, writer: TransactionWriter) -> None:
        """The steps, partition by partition, each for its share of the time."""
        budget = _StepBudget(self.bounds)
        digest = rules.digest if rules is not None else ""
        for number, partition in enumerate(self.partitions):
            self._at = partition
            if self._bytes_count > self.bounds.account.outputs_max:
                return  # The next transaction takes the others first.
            await partition.store.settle()
            budget.begin_share(len(self.partitions) - number)
            turn = await self._turn_of(partition, step, budget)
            changes = [*partition.store.changes()]
            if not (partition.taken or turn.outputs or changes):
                partition.store.roll_back()
                continue
            if partition.taken and self.spec.logs_input_offset:
                changes.append(input_offset_change(turn.position))
            source = partition.source
            writer.add(source, turn.outputs)
            if partition.taken and rules is not None and digest != partition.store.rules_digest:
                writer.add(
                    source, rules_records(rules, self.spec.source, source.partition, partition.records[0].offset)
                )
                changes.append(rules_change(digest))
                turn.rules_digest = digest
            writer.add_changes(source, self.spec.changelog_of(source), changes)
            self._turns.append(turn)

    async def _turn_of(
        self, partition: Partition[StoreT], step: GroupStep[StoreT], budget: "_StepBudget"
    ) -> _Turn[StoreT]:
        """The outputs of one partition: of its next records, or of time alone where it has none."""
        turn = _Turn(partition, partition.position)
        records = partition.first(self.bounds.records_max)
        partition.waits_until = 0.0
        for record in records:
            try:
                made = self._made_of(raw_record(record), step, turn)
            except NotYetError:
                partition.waits_until = asyncio.get_running_loop().time() + _NOT_YET_S
                break
            turn.outputs += made
            turn.position = next_offset(record)
            partition.taken += 1
            self._count(made)
            if budget.is_spent(self._bytes_count):
                break
            if budget.turn_is_over:
                await budget.give_turn()
        if not records and self.until is not None:
            turn.outputs += self.spec.punctuate(partition.store, self.until)
            self._count(turn.outputs)
        was_cut = partition.taken < len(records) or len(records) >= self.bounds.records_max
        partition.is_behind = was_cut and len(partition.records) > partition.taken and not partition.waits_until
        return turn

    def _made_of(self, raw: RawRecord, step: GroupStep[StoreT], turn: _Turn[StoreT]) -> Sequence[Record]:
        if self.spec.tracing is None or not (traceparent := sampled_traceparent(raw.headers)):
            return self._stepped(raw, step, turn.partition)
        began_ns = time.time_ns()
        made = self._stepped(raw, step, turn.partition)
        turn.traced.append(TracedStep(traceparent, raw.position, began_ns, time.time_ns(), made))
        return made

    def _stepped(self, raw: RawRecord, step: GroupStep[StoreT], partition: Partition[StoreT]) -> Sequence[Record]:
        refused = partition.trouble.refused.get(raw.position.offset)
        if refused is not None and self.spec.refused is not None:
            return self.spec.refused(raw, refused)
        return step(raw, partition.store)

    def _count(self, outputs: Sequence[Record]) -> None:
        bytes_count = sum([output.bytes_count for output in outputs])
        self._bytes_count += bytes_count
        self.bounds.account.outputs += bytes_count

    async def _write(self, writer: TransactionWriter) -> None:
        async with asyncio.timeout(self.bounds.written_s):
            # Both begin in one turn of the event loop, so their first requests leave in one piece.
            await both(self._send_positions(), self._send_outputs(writer))
        # Nothing counts before the commit, and the commit waits for both.
        self._commit_sent = True
        await self.producer.commit_transaction()

    async def _send_outputs(self, writer: TransactionWriter) -> None:
        await writer.begin()
        await writer.write()

    async def _send_positions(self) -> None:
        """Sends the position of each partition that is written for, moved or not.

        What commits no position is not fenced by the group.
        """
        if self.member is not None:
            positions = {turn.partition.source: turn.position for turn in self._turns}
            await self.producer.send_positions(positions, self.member)

    def _settle(self, turn: _Turn[StoreT], writer: TransactionWriter) -> Committed[StoreT]:
        """Makes what is committed count: in the store, in the position, in what is in hand."""
        self._at = partition = turn.partition
        store = partition.store
        changelog = self.spec.changelog_of(partition.source)
        taken = partition.taken
        store.changelog_offset = max(store.changelog_offset, writer.offset_behind(changelog))
        if taken:
            store.input_offset = turn.position
        if turn.rules_digest is not None:
            store.rules_digest = turn.rules_digest
        store.commit()
        self.bounds.account.fetched -= partition.settle(turn.position)
        return Committed(partition, turn.outputs, taken, turn.traced)

    def _roll_back(self) -> None:
        """Forgets what the steps changed, in every store: the records are still in hand, and the changelog is right."""
        for partition in self.partitions:
            partition.store.roll_back()
            partition.taken = 0

    async def _current_rules(self, writer: TransactionWriter) -> RulesVersion | None:
        """The rules that the records are judged by; None where topic `rules` does not say them."""
        if self.spec.rules is None:
            return None
        counts = {topic: await writer.partition_count(topic) for topic in self.spec.outputs}
        return replace(self.spec.rules(), partitions=counts)  # After the last wait, see `run`.


@dataclass(slots=True)
class _StepBudget:
    """The bounds of the steps of one transaction, in time and bytes of outputs, shared among its partitions."""

    bounds: Bounds
    turn_is_over: bool = False
    _began_at: float = field(default_factory=time.monotonic)
    _turn_began_at: float = field(default_factory=time.monotonic)
    _share_ends_at: float = 0.0
    _bytes_max: int = 0
    _bytes_before: int = 0

    def begin_share(self, left: int) -> None:
        """A partition begins, one of `left` that share what is left of the time."""
        now = time.monotonic()
        most_s = _STEPS_S if self.bounds.someone_waits() else _STEPS_MAX_S
        self._share_ends_at = now + max(0.0, self._began_at + most_s - now) / left

    def is_spent(self, bytes_count: int) -> bool:
        """Whether the partition's share of the time is over, or the transaction has so many bytes of outputs."""
        now = time.monotonic()
        self.turn_is_over = now - self._turn_began_at > _TURN_S
        return bytes_count > self.bounds.account.outputs_max or now > self._share_ends_at

    async def give_turn(self) -> None:
        """Lets the event loop go round once; whoever waits by now shortens the share."""
        await asyncio.sleep(0)
        self._turn_began_at = now = time.monotonic()
        if self.bounds.someone_waits():
            self._share_ends_at = min(self._share_ends_at, max(now, self._began_at + _STEPS_S))
