"""A transactional producer that commits positions as a member of a consumer group (KIP-447).

It makes a transaction out of as few requests as Kafka's protocol allows: the partitions and the group are added side by
side, outputs and positions are sent side by side, then it ends. aiokafka's own sender asks for one after the other,
each from a task that is woken by another; and it commits a transaction of which a batch was refused.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    DuplicateSequenceNumber,
    IllegalGenerationError,
    IncompatibleBrokerVersion,
    KafkaError,
    NoError,
    NotLeaderForPartitionError,
    ProducerFenced,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest

from schemas.kafka.answers import answer_to
from schemas.kafka.connections import connect_beside
from schemas.kafka.errors import FencedInstanceIdError
from schemas.kafka.futures import retrieve_exception
from schemas.kafka.group_member import GroupMember
from schemas.kafka.transactions.marker_watch import Commit, MarkerWatch
from schemas.kafka.transactions.settlement import Settlement
from schemas.kafka.transactions.transaction_requests import FENCED, TransactionRequests
from schemas.kafka.wire import quick_layouts as _quick_layouts  # noqa: F401 what it changes
from schemas.kafka.wire.output_batch import OutputBatch

# What the coordinator says to one that is no member any more: the transaction must not be committed.
LOST_PARTITIONS = (IllegalGenerationError, UnknownMemberIdError, FencedInstanceIdError)
_ALL_IN_SYNC_REPLICAS = -1
# How long a node's batches wait for news of who leads their partitions, beside the pause before each try.
_METADATA_S = 0.5
# After so many records, which takes milliseconds, the event loop gets its turn.
_RECORDS_PER_TURN = 1_000


class GroupProducer(AIOKafkaProducer):  # type: ignore[misc] # aiokafka ships no types
    """A transactional producer; starting it fences every older one of its transactional id, and ends their transaction.

    A transaction is `begin_transaction`, `write` and `send_positions`, side by side, and, when both are done,
    `commit_transaction`. After any failure, `settle` and close the producer, and start another of the same id: its
    start aborts. Each call asks again where Kafka is not ready, without bound: give it a time.

    Where the markers of the commit before may be missing, the transaction ends before it has written anything.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        connect_beside(self.client)
        self._retry_s: float = arguments["retry_backoff_ms"] / 1000
        self._requests = TransactionRequests(self, self._retry_s)
        self._batch_bytes_max: int = self._message_accumulator._batch_size
        self._codec: int = self._message_accumulator._compression_type
        self._partitions: set[TopicPartition] = set()
        self._groups: set[str] = set()
        # Whether the markers of the last commit are written.
        self.markers = MarkerWatch(self._requests)

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
            MarkersInDoubtError: `settle` is due.
            KafkaError: the transaction cannot go on.
        """
        if partitions:
            await self.markers.pause()
            self.markers.note_taken(await self._requests.add_partitions(partitions))
            self._partitions.update(partitions)

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
            MarkersInDoubtError: `settle` is due.
        """
        await self.markers.pause()
        self.markers.note_taken(await self._requests.add_group(member.group))
        self._groups.add(member.group)
        await self._requests.commit_positions(positions, member)

    async def commit_transaction(self) -> None:
        """Ends the transaction; when it is asked for, everything that it wrote counts.

        Raises:
            KafkaError: nobody knows whether it is committed.
        """
        if not (self._partitions or self._groups):
            return
        commit = Commit(frozenset(self._partitions), frozenset(self._groups))
        self.markers.commit = commit
        connection = await self._requests.end()
        self.markers.commit = replace(commit, is_answered=True, connection=connection)
        self._partitions.clear()
        self._groups.clear()
        self.markers.begin()

    async def settle(self) -> None:
        """Has the markers of the last commit written, as `Settlement` says; does nothing without one.

        Give it no time of yours: what it cannot do it logs.
        """
        self.markers.stop()
        await self.markers.pause()
        if self.markers.commit is not None:
            await Settlement(self, self._requests, self.markers.commit).run()
            self.markers.commit = None

    async def stop(self) -> None:
        """Closes the producer; what is open stays open."""
        self.markers.stop()
        await super().stop()

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
    refusal: Exception = ProducerFenced() if issubclass(error, FENCED) else error(topic)
    return refusal
