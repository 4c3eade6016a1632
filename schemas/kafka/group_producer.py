"""A transactional producer that commits positions as a member of a consumer group (KIP-447).

It makes a transaction out of as few requests as Kafka's protocol allows: the partitions and the group are added side by
side, outputs and positions are sent side by side, then it ends. aiokafka's own sender asks for one after the other,
each from a task that is woken by another; and it commits a transaction of which a batch was refused.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    DuplicateSequenceNumber,
    IllegalGenerationError,
    IncompatibleBrokerVersion,
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    NoError,
    NotCoordinatorError,
    NotLeaderForPartitionError,
    OperationNotAttempted,
    ProducerFenced,
    RequestTimedOutError,
    TransactionalIdAuthorizationFailed,
    UnknownMemberIdError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest

from schemas.kafka.answers import answer_to
from schemas.kafka.errors import FencedInstanceIdError, FencedProducerError
from schemas.kafka.futures import retrieve_exception
from schemas.kafka.group_member import GroupMember
from schemas.kafka.wire import quick_layouts as _quick_layouts  # noqa: F401 what it changes
from schemas.kafka.wire.member_commit import MemberCommitRequest
from schemas.kafka.wire.output_batch import OutputBatch

# What the coordinator says to one that is no member any more: the transaction must not be committed.
LOST_PARTITIONS = (IllegalGenerationError, UnknownMemberIdError, FencedInstanceIdError)
_COORDINATOR_GONE = (CoordinatorNotAvailableError, NotCoordinatorError, RequestTimedOutError)
_NOT_YET = (CoordinatorLoadInProgressError, UnknownTopicOrPartitionError)
_FENCED = (InvalidProducerEpoch, FencedProducerError)
_NO_LEADER_EPOCH = -1
_ALL_IN_SYNC_REPLICAS = -1
# The markers of the transaction before are still being written (KAFKA-5477), which takes milliseconds.
_MARKERS_S = 0.01
# How long a node's batches wait for news of who leads their partitions, beside the pause before each try.
_METADATA_S = 0.5
# After so many records, which takes milliseconds, the event loop gets its turn.
_RECORDS_PER_TURN = 1_000

# Each answer of a coordinator as pairs of an error code, and what it is about.
Verdicts = Iterable[tuple[int, str]]


class GroupProducer(AIOKafkaProducer):  # type: ignore[misc] # aiokafka ships no types
    """A transactional producer; starting it fences every older one of its transactional id, and ends their transaction.

    A transaction is `begin_transaction`, `write` and `send_positions`, side by side, and, when both are done,
    `commit_transaction`. After any failure, close the producer and start another of the same id: its start aborts.
    Each call asks again where Kafka is not ready, without bound: give it a time.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._retry_s: float = arguments["retry_backoff_ms"] / 1000
        self._batch_bytes_max: int = self._message_accumulator._batch_size
        self._codec: int = self._message_accumulator._compression_type
        self._begun = False

    def create_batch(self, partition: TopicPartition) -> OutputBatch:
        """An empty batch for the partition."""
        return OutputBatch(partition, self._codec)

    def append(self, batches: list[OutputBatch], key: bytes, value: bytes | None, headers: list[Any]) -> None:
        """Adds a record of now to the last of one partition's batches, and a batch where that is full."""
        now_ms, bytes_max = int(time.time() * 1000), self._batch_bytes_max
        if not batches[-1].append(key, value, headers, timestamp_ms=now_ms, bytes_max=bytes_max):
            batches.append(self.create_batch(batches[-1].partition))
            batches[-1].append(key, value, headers, timestamp_ms=now_ms, bytes_max=bytes_max)

    async def begin_transaction(self, partitions: Collection[TopicPartition]) -> None:
        """Adds the partitions that are written to.

        Raises:
            TopicAuthorizationFailedError: we may not write there.
            ProducerFenced: a newer producer has the transactional id, or the transaction timed out.
            KafkaError: the transaction cannot go on.
        """
        topics: dict[str, list[int]] = defaultdict(list)
        for topic, number in partitions:
            topics[topic].append(number)
        if not topics:
            return
        manager = self._txn_manager
        request = AddPartitionsToTxnRequest(*self._identity(), list(topics.items()))
        await self._ask(
            (CoordinationType.TRANSACTION, manager.transactional_id),
            request,
            lambda answer: [(code, topic) for topic, found in answer.errors for _, code in found],
        )
        self._begun = True

    async def write(self, batches: Iterable[Sequence[OutputBatch]]) -> None:
        """Writes each sequence of one partition's batches in its order; returns when the brokers have answered to all.

        Whether a batch was taken is written in it: look at each `error` before the transaction is committed.
        """
        queues = [deque(found) for found in batches]
        for topic in {queue[0].partition.topic for queue in queues}:
            await self.partitions_for(topic)
        count = 0
        for batch in chain.from_iterable(queues):
            self._encode(batch)
            count += len(batch)
            if count >= _RECORDS_PER_TURN:
                count = 0
                await asyncio.sleep(0)
        await self._write(queues)

    async def send_positions(self, positions: Mapping[TopicPartition, int], member: GroupMember) -> None:
        """Adds the positions of input partitions to the transaction, as `member`.

        Raises:
            IllegalGenerationError, UnknownMemberIdError: the partitions are another's. Never commit the transaction.
            FencedInstanceIdError: another process has the instance id. Never commit the transaction; end the process.
            ProducerFenced: a newer producer has the transactional id, or the transaction timed out.
        """
        manager = self._txn_manager
        await self._ask(
            (CoordinationType.TRANSACTION, manager.transactional_id),
            AddOffsetsToTxnRequest(*self._identity(), member.group),
            lambda answer: [(answer.error_code, member.group)],
        )
        self._begun = True
        topics: dict[str, list[tuple[int, int, int, str, dict[int, bytes]]]] = defaultdict(list)
        for (topic, number), offset in positions.items():
            topics[topic].append((number, offset, _NO_LEADER_EPOCH, "", {}))
        request = MemberCommitRequest(
            manager.transactional_id,
            member.group,
            manager.producer_id,
            manager.producer_epoch,
            member.generation,
            member.member_id,
            member.instance_id,
            [(topic, found, {}) for topic, found in topics.items()],
        )
        await self._ask(
            (CoordinationType.GROUP, member.group),
            request,
            lambda answer: [(code, f"{member}") for _, found, _ in answer.topics for _, code, _ in found],
        )

    async def commit_transaction(self) -> None:
        """Ends the transaction; when it is asked for, everything that it wrote counts.

        Raises:
            KafkaError: nobody knows whether it is committed.
        """
        if not self._begun:
            return
        await self._ask(
            (CoordinationType.TRANSACTION, self._txn_manager.transactional_id),
            EndTxnRequest(*self._identity(), True),
            lambda answer: [(answer.error_code, "")],
        )
        self._begun = False

    def _identity(self) -> tuple[str, int, int]:
        manager = self._txn_manager
        return manager.transactional_id, manager.producer_id, manager.producer_epoch

    async def _ask(
        self, coordinator: tuple[CoordinationType, str], request: Any, verdicts: Callable[[Any], Verdicts]
    ) -> None:
        """Asks the coordinator until it has done what `request` says."""
        kind, key = coordinator
        while True:
            try:
                node = await answer_to(self._sender._find_coordinator(kind, key))
            except KafkaConnectionError:
                await asyncio.sleep(self._retry_s)
                continue
            try:
                answer = await answer_to(self.client.send(node, request, group=ConnectionGroup.COORDINATION))
            except IncompatibleBrokerVersion:
                raise
            except KafkaError:
                self._sender._coordinator_dead(kind)
                await asyncio.sleep(self._retry_s)
                continue
            pause_s = self._pause_after(verdicts(answer), kind)
            if pause_s is None:
                return
            await asyncio.sleep(pause_s)

    def _pause_after(self, verdicts: Verdicts, kind: CoordinationType) -> float | None:
        """None where the coordinator did it; else after how many seconds it is asked again. Raises what it refuses."""
        pause_s = None
        for code, about in verdicts:
            if not code:
                continue
            error = for_code(code)
            if issubclass(error, _FENCED):
                raise ProducerFenced
            if issubclass(error, ConcurrentTransactions):
                pause_s = _MARKERS_S
            elif issubclass(error, _COORDINATOR_GONE):
                self._sender._coordinator_dead(kind)
                pause_s = self._retry_s
            elif issubclass(error, _NOT_YET):
                pause_s = self._retry_s
            elif issubclass(error, OperationNotAttempted):
                # Said of all partitions beside one that is refused; without that one, nothing is done either.
                pause_s = self._retry_s if pause_s is None else pause_s
            else:
                is_of_id = issubclass(error, TransactionalIdAuthorizationFailed)
                raise error(self._txn_manager.transactional_id if is_of_id else about)
        return pause_s

    async def _write(self, queues: Sequence[deque[OutputBatch]]) -> None:
        """Writes all batches, those of each node by themselves: one that is silent or refuses holds up no other.

        A queue is at one node at a time; what a node did not take goes to the leader that there is then.
        """
        under_way: set[asyncio.Task[Sequence[deque[OutputBatch]]]] = set()
        left = queues
        try:
            while left or under_way:
                nodes: dict[int | None, list[deque[OutputBatch]]] = defaultdict(list)
                for queue in left:
                    nodes[self.client.cluster.leader_for_partition(queue[0].partition)].append(queue)
                for node, found in nodes.items():
                    task = asyncio.create_task(self._write_at(node, found))
                    # Of several that fail, the first one's error is raised.
                    task.add_done_callback(retrieve_exception)
                    under_way.add(task)
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                left = list(chain.from_iterable([task.result() for task in done]))
        finally:
            for task in under_way:
                task.cancel()
            if under_way:
                await asyncio.wait(under_way)

    async def _write_at(self, node: int | None, queues: Sequence[deque[OutputBatch]]) -> Sequence[deque[OutputBatch]]:
        """Writes the first batch of every queue to its leader, then every second one, until some are not taken.

        Returns the queues that are not empty, when it is time to go on with them.
        """
        errors: Sequence[Any] = ()
        if node is None or node < 0:
            errors = (NotLeaderForPartitionError,)
            for queue in queues:
                queue[0].is_tried = True
        while queues and not errors:
            errors = await self._produced(node, {queue[0].partition: queue for queue in queues})
            queues = [queue for queue in queues if queue]
        if not queues:
            return queues
        if any(getattr(error, "invalid_metadata", False) for error in errors):
            update = self.client.force_metadata_update()
            await asyncio.sleep(self._retry_s)
            # A silent node may be the one that is asked: then the next try goes by what is known.
            await asyncio.wait({update}, timeout=_METADATA_S)
        else:
            await asyncio.sleep(self._retry_s)
        return queues

    async def _produced(self, node: int | None, queues: Mapping[TopicPartition, deque[OutputBatch]]) -> Sequence[Any]:
        """Sends the first batch of each queue, and takes the answered ones off.

        Returns the errors, as objects or classes, after which some are to be sent again: the numbers of the records
        keep what is sent again from being written twice.
        """
        topics: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for (topic, number), queue in queues.items():
            queue[0].is_tried = True
            topics[topic].append((number, queue[0].data))
        request = ProduceRequest(
            self._txn_manager.transactional_id, _ALL_IN_SYNC_REPLICAS, self._request_timeout_ms, list(topics.items())
        )
        try:
            answer = await answer_to(self.client.send(node, request))
        except IncompatibleBrokerVersion:
            raise
        except KafkaError as lost:
            return [lost]
        errors = []
        for topic, partitions in answer.topics:
            for number, code, offset, *_ in partitions:
                queue, error = queues[TopicPartition(topic, number)], for_code(code)
                batch = queue[0]
                if issubclass(error, (NoError, DuplicateSequenceNumber)):
                    batch.answer(offset)
                    queue.popleft()
                elif error.retriable:
                    errors.append(error)
                else:
                    batch.answer(offset, _refusal(error, topic))
                    # Those behind it would come out of turn.
                    queue.clear()
        return errors

    def _encode(self, batch: OutputBatch) -> None:
        manager = self._txn_manager
        sequence = manager.sequence_number(batch.partition)
        manager.increment_sequence_number(batch.partition, len(batch))
        batch.encode(manager.producer_id, manager.producer_epoch, sequence)


def _refusal(error: type[KafkaError], topic: str) -> Exception:
    refusal: Exception = ProducerFenced() if issubclass(error, _FENCED) else error(topic)
    return refusal
