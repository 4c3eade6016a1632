"""TxnOffsetCommit in version 3: the positions of a transaction, in the name of a member of the group (KIP-447).

aiokafka 0.14 sends version 0, which names no member: the coordinator cannot refuse a process that has lost its
partitions (aio-libs/aiokafka issue 844). The fields of version 3:
https://github.com/apache/kafka/blob/4.1/clients/src/main/resources/common/message/TxnOffsetCommitRequest.json
"""

from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields


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
