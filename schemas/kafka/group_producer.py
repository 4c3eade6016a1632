"""A transactional producer that commits positions as a member of a consumer group (KIP-447).

aiokafka 0.14 sends version 0 of TxnOffsetCommit, which names no member: the coordinator cannot refuse a process that
has lost its partitions (aio-libs/aiokafka issue 844). Version 3 names generation, member and instance. Its fields:
https://github.com/apache/kafka/blob/4.1/clients/src/main/resources/common/message/TxnOffsetCommitRequest.json
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    IllegalGenerationError,
    IllegalOperation,
    InvalidProducerEpoch,
    NotCoordinatorError,
    ProducerFenced,
    RebalanceInProgressError,
    RequestTimedOutError,
    UnknownMemberIdError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.producer.sender import Sender, TxnOffsetCommitHandler
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from schemas.kafka.errors import FencedInstanceIdError, FencedProducerError
from schemas.kafka.group_member import GroupMember
from schemas.kafka.wire import quick_layouts as _quick_layouts  # noqa: F401 what it changes

# What the coordinator says to one that is no member any more: the transaction must not be committed.
LOST_PARTITIONS = (IllegalGenerationError, UnknownMemberIdError, FencedInstanceIdError)
_REFUSED = (*LOST_PARTITIONS, GroupAuthorizationFailedError, RebalanceInProgressError)
_COORDINATOR_GONE = (CoordinatorNotAvailableError, NotCoordinatorError, RequestTimedOutError)
_NOT_YET = (CoordinatorLoadInProgressError, ConcurrentTransactions, UnknownTopicOrPartitionError)
_FENCED = (InvalidProducerEpoch, FencedProducerError)
_NO_LEADER_EPOCH = -1


class TxnOffsetCommitResponse_v3(Response):  # type: ignore[misc] # aiokafka ships no types  # noqa: N801 its way
    """Each partition with the coordinator's verdict on its position."""

    API_KEY = 28
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("partitions", CompactArray(("partition", Int32), ("error_code", Int16), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class TxnOffsetCommitRequest_v3(RequestStruct):  # type: ignore[misc] # as above  # noqa: N801 as above
    """The positions of a transaction, and the member that commits them."""

    FLEXIBLE_VERSION = True
    API_KEY = 28
    API_VERSION = 3
    RESPONSE_TYPE = TxnOffsetCommitResponse_v3
    SCHEMA = Schema(
        ("transactional_id", CompactString("utf-8")),
        ("group_id", CompactString("utf-8")),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation_id", Int32),
        ("member_id", CompactString("utf-8")),
        ("group_instance_id", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class MemberCommitRequest(Request[TxnOffsetCommitRequest_v3]):  # type: ignore[misc] # as above
    """TxnOffsetCommit in version 3 and no other: a broker without it is an error, for version 0 would not be fenced."""

    API_KEY = 28

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def build(self, request_struct_class: type[TxnOffsetCommitRequest_v3]) -> TxnOffsetCommitRequest_v3:
        """The request as it is sent."""
        return request_struct_class(*self._fields, {})


class _MemberCommitHandler(TxnOffsetCommitHandler):  # type: ignore[misc] # as above
    """Sends the positions as a member, and acts on the answer as Java's TransactionManager does.

    A refusal fails the caller's future and leaves the transaction as it is. aiokafka's own way, `error_transaction`,
    forgets which partitions the transaction has: its abort then sends nothing, and the next commit commits what was
    refused.
    """

    def __init__(self, sender: Sender, offsets: Mapping[TopicPartition, Any], member: GroupMember) -> None:
        super().__init__(sender, offsets, member.group)
        self._member = member

    def create_request(self) -> MemberCommitRequest:
        manager, member = self._sender._txn_manager, self._member
        topics: dict[str, list[tuple[int, int, int, str, dict[int, bytes]]]] = defaultdict(list)
        for source, offset in self._offsets.items():
            topics[source.topic].append((source.partition, offset.offset, _NO_LEADER_EPOCH, offset.metadata, {}))
        return MemberCommitRequest(
            manager.transactional_id,
            member.group,
            manager.producer_id,
            manager.producer_epoch,
            member.generation,
            member.member_id,
            member.instance_id,
            [(topic, partitions, {}) for topic, partitions in topics.items()],
        )

    def handle_response(self, response: TxnOffsetCommitResponse_v3) -> float | None:
        manager, backoff_s = self._sender._txn_manager, None
        for topic, partitions, _ in response.topics:
            for partition, code, _ in partitions:
                source, error = TopicPartition(topic, partition), for_code(code)
                if not code:
                    manager.offset_committed(source, self._offsets[source].offset, self._member.group)
                elif issubclass(error, _REFUSED):
                    _, _, future = manager._pending_txn_offsets.popleft()
                    future.set_exception(error(f"position of {source} as {self._member}"))
                    return None
                elif issubclass(error, _FENCED):
                    raise ProducerFenced
                elif issubclass(error, _COORDINATOR_GONE):
                    self._sender._coordinator_dead(CoordinationType.GROUP)
                    backoff_s = self._default_backoff
                elif issubclass(error, _NOT_YET):
                    backoff_s = self._default_backoff
                else:
                    raise error
        return backoff_s


class _MemberSender(Sender):  # type: ignore[misc] # as above
    """aiokafka's sender, but for who commits the positions."""

    member: GroupMember | None = None

    async def _do_txn_offset_commit(self, offsets: Mapping[TopicPartition, Any], group: str) -> None:
        if self.member is None:
            raise IllegalOperation("positions are committed as a member of the group: use `send_positions`")
        node = await self._find_coordinator(CoordinationType.GROUP, group)
        await _MemberCommitHandler(self, offsets, self.member).do(node)


class GroupProducer(AIOKafkaProducer):  # type: ignore[misc] # as above
    """A transactional producer; starting it fences every older one of its transactional id, and ends their transaction.

    After anything whose fate is unknown, and after a refusal, close it and start another of the same id: its start
    aborts. aiokafka's `abort_transaction` is no way on from an error, see `_MemberCommitHandler`.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        old: Sender = self._sender
        self._sender: _MemberSender = _MemberSender(
            old.client,
            acks=old._acks,
            txn_manager=old._txn_manager,
            message_accumulator=old._message_accumulator,
            retry_backoff_ms=arguments["retry_backoff_ms"],
            request_timeout_ms=old._request_timeout_ms,
        )

    async def send_positions(self, positions: Mapping[TopicPartition, int], member: GroupMember) -> None:
        """Adds the positions of input partitions to the transaction, as `member`.

        Raises:
            IllegalGenerationError, UnknownMemberIdError: the partitions are another's. Never commit the transaction.
            FencedInstanceIdError: another process has the instance id. Never commit the transaction; end the process.
            ProducerFenced: a newer producer has the transactional id, or the transaction timed out.
        """
        self._sender.member = member
        await self.send_offsets_to_transaction(positions, member.group)
