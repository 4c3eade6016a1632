"""Asks the coordinators for the parts of a transaction, again and again, until they have done them or refuse."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    InvalidProducerEpoch,
    KafkaError,
    NotCoordinatorError,
    OperationNotAttempted,
    ProducerFenced,
    RequestTimedOutError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.transaction import AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest

from schemas.kafka.answers import answer_to
from schemas.kafka.errors import FencedProducerError
from schemas.kafka.group_member import GroupMember
from schemas.kafka.wire.member_commit import MemberCommitRequest

# What is said to a producer that is not the newest of its transactional id.
FENCED = (InvalidProducerEpoch, FencedProducerError)
# What no second try changes where there is no answer; aiokafka's other errors of a lookup are plain KafkaErrors.
_FOR_GOOD = (GroupAuthorizationFailedError, IncompatibleBrokerVersion, TransactionalIdAuthorizationFailed)
_COORDINATOR_GONE = (CoordinatorNotAvailableError, NotCoordinatorError, RequestTimedOutError)
_NOT_YET = (CoordinatorLoadInProgressError, UnknownTopicOrPartitionError)
_NO_LEADER_EPOCH = -1
# The markers of the transaction before are still being written (KAFKA-5477), which takes milliseconds.
_MARKERS_S = 0.01
# What takes long is asked for ever more seldom: a pause is this share of what was waited, up to so many seconds.
_PAUSE_SHARE = 0.125
_PAUSE_MAX_S = 1.0


@dataclass(frozen=True, slots=True)
class _Question:
    """A request, and how its answer is read: as pairs of an error code and what it is about."""

    request: Any
    verdicts: Callable[[Any], Iterable[tuple[int, str]]]


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of requests that were sent once.

    `connection` is the one over which they were answered, None where it was lost, or there was none. After `pause_s`
    seconds they are to be sent again; None where the coordinator has done all of it.
    """

    connection: object
    pause_s: float | None

    @property
    def is_done(self) -> bool:
        """Whether the coordinator has done all that was asked for."""
        return self.pause_s is None

    def pause_after(self, waited_s: float) -> float:
        """The seconds until the next try, where one has been waiting for `waited_s`."""
        return max(self.pause_s or 0.0, min(_PAUSE_MAX_S, _PAUSE_SHARE * waited_s))


@dataclass(slots=True)
class TransactionRequests:
    """The requests of the transactions of `producer`, which is started; after `retry_s` one is asked for again.

    What is not called `try_...` is asked for without bound: give it a time. It returns the connection over which alone
    it was asked for, or None where another one was lost before the answer.
    """

    producer: AIOKafkaProducer
    retry_s: float

    async def add_partitions(self, partitions: Collection[TopicPartition]) -> object:
        """Adds the partitions to the transaction, and begins it."""
        return await self._ask(self._own, self._adding(partitions))

    async def add_group(self, group: str) -> object:
        """Adds the group's positions to the transaction, and begins it."""
        return await self._ask(self._own, self._adding_group(group))

    async def commit_positions(self, positions: Mapping[TopicPartition, int], member: GroupMember) -> None:
        """Gives the group the positions, as `member`; they count with the transaction."""
        topics: dict[str, list[tuple[int, int, int, str, dict[int, bytes]]]] = defaultdict(list)
        for (topic, number), offset in positions.items():
            topics[topic].append((number, offset, _NO_LEADER_EPOCH, "", {}))
        transactional_id, producer_id, epoch = self._identity()
        request = MemberCommitRequest(
            transactional_id,
            member.group,
            producer_id,
            epoch,
            member.generation,
            member.member_id,
            member.instance_id,
            [(topic, found, {}) for topic, found in topics.items()],
        )
        question = _Question(
            request, lambda answer: [(code, f"{member}") for _, found, _ in answer.topics for _, code, _ in found]
        )
        await self._ask((CoordinationType.GROUP, member.group), question)

    async def end(self) -> object:
        """Commits the transaction; once more, it is answered when all markers are written, or passed over."""
        return await self._ask(self._own, self._ending())

    async def try_end(self) -> Tried:
        """Asks for the end once."""
        return await self._try(self._own, self._ending())

    async def try_whole(self, partitions: Collection[TopicPartition], groups: Collection[str]) -> Tried:
        """Adds the partitions and the groups and commits, in one go: whoever takes the first of it has the rest too."""
        adding = [self._adding(partitions)] if partitions else []
        return await self._try(self._own, *adding, *map(self._adding_group, groups), self._ending())

    async def look_up_anew(self, group: str | None = None) -> None:
        """Returns when the cluster has told who coordinates the transactions, or the group, and that one is connected.

        Raises:
            KafkaError: it does not tell now, or will not.
        """
        kind, key = self._own if group is None else (CoordinationType.GROUP, group)
        sender = self.producer._sender
        sender._coordinator_dead(kind)
        await answer_to(sender._find_coordinator(kind, key))

    @property
    def _own(self) -> tuple[CoordinationType, str]:
        """The coordinator of the producer's transactions."""
        return CoordinationType.TRANSACTION, self.producer._txn_manager.transactional_id

    def _identity(self) -> tuple[str, int, int]:
        manager = self.producer._txn_manager
        return manager.transactional_id, manager.producer_id, manager.producer_epoch

    def _adding(self, partitions: Collection[TopicPartition]) -> _Question:
        topics: dict[str, list[int]] = defaultdict(list)
        for topic, number in partitions:
            topics[topic].append(number)
        return _Question(
            AddPartitionsToTxnRequest(*self._identity(), list(topics.items())),
            lambda answer: [(code, topic) for topic, found in answer.errors for _, code in found],
        )

    def _adding_group(self, group: str) -> _Question:
        request = AddOffsetsToTxnRequest(*self._identity(), group)
        return _Question(request, lambda answer: [(answer.error_code, group)])

    def _ending(self) -> _Question:
        return _Question(EndTxnRequest(*self._identity(), True), lambda answer: [(answer.error_code, "")])

    async def _ask(self, coordinator: tuple[CoordinationType, str], question: _Question) -> object:
        """Asks the coordinator until it has done it."""
        clock = asyncio.get_running_loop().time
        connections: set[object] = set()
        began = clock()
        while True:
            tried = await self._try(coordinator, question)
            connections.add(tried.connection)
            if tried.is_done:
                return connections.pop() if len(connections) == 1 else None
            await asyncio.sleep(tried.pause_after(clock() - began))

    async def _try(self, coordinator: tuple[CoordinationType, str], *questions: _Question) -> Tried:
        """Sends the questions over one connection, in this order, none of them waiting for an answer."""
        kind, key = coordinator
        client, sender = self.producer.client, self.producer._sender
        try:
            node = await answer_to(sender._find_coordinator(kind, key))
            sending = [
                answer_to(client.send(node, one.request, group=ConnectionGroup.COORDINATION)) for one in questions
            ]
            # Each is written when its task begins, and tasks begin in turn; one alone needs none.
            answers = await asyncio.gather(*sending) if len(sending) > 1 else [await sending[0]]
        except _FOR_GOOD:
            raise
        except KafkaError:
            sender._coordinator_dead(kind)
            return Tried(None, self.retry_s)
        connection = client._conns.get((node, ConnectionGroup.COORDINATION))
        verdicts = [pair for one, answer in zip(questions, answers, strict=True) for pair in one.verdicts(answer)]
        return Tried(connection, self._pause_after(verdicts, kind))

    def _pause_after(self, verdicts: Iterable[tuple[int, str]], kind: CoordinationType) -> float | None:
        """None where the coordinator did it; else after how many seconds it is asked again. Raises what it refuses."""
        pause_s = None
        for code, about in verdicts:
            if not code:
                continue
            error = for_code(code)
            if issubclass(error, FENCED):
                raise ProducerFenced
            if issubclass(error, ConcurrentTransactions):
                pause_s = _MARKERS_S
            elif issubclass(error, _COORDINATOR_GONE):
                self.producer._sender._coordinator_dead(kind)
                pause_s = self.retry_s
            elif issubclass(error, _NOT_YET):
                pause_s = self.retry_s
            elif issubclass(error, OperationNotAttempted):
                # Said of all partitions beside one that is refused; without that one, nothing is done either.
                pause_s = self.retry_s if pause_s is None else pause_s
            else:
                is_of_id = issubclass(error, TransactionalIdAuthorizationFailed)
                raise error(self.producer._txn_manager.transactional_id if is_of_id else about)
        return pause_s
