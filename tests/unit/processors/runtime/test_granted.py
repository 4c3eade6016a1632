"""What keeps a group from its start: a right that is refused, and not one of which nobody can say."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import InvalidProducerIdMapping, NodeNotReadyError, UnknownError
from aiokafka.protocol.transaction import EndTxnRequest

from processors.runtime.granted import granted_topics
from schemas.errors import DropstreamError
from schemas.kafka.rights.requests import MetadataRequest_v8
from tests.unit.processors.runtime.test_transaction import spec_of

EVERYTHING, DESCRIBE = 0xFFFF, 1 << 8


class Cluster:
    """A consumer and its client; of nine nodes one serves, and the coordinator of no group is known."""

    def __init__(self, operations: int) -> None:
        self._client = self.cluster = self
        self.operations = operations

    def brokers(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(nodeId=number) for number in range(9)]

    async def send(self, node: int, request: Any) -> SimpleNamespace:
        if node != 5:
            raise NodeNotReadyError
        if isinstance(request, EndTxnRequest):
            return SimpleNamespace(error_code=InvalidProducerIdMapping.errno)
        names = request.build(MetadataRequest_v8).topics
        return SimpleNamespace(topics=[(0, one, False, [()], self.operations) for one in names])

    async def coordinator_lookup(self, *_group: object) -> int:
        raise UnknownError


async def test_a_coordinator_that_does_not_answer_holds_up_no_start() -> None:
    """The topics are there, and nodes that are away are passed over; what is not known is not refused."""
    cluster: Any = Cluster(EVERYTHING)
    assert await granted_topics(cluster, spec_of()) == {"dropstream.raw": 1, "dropstream.deliver-state": 1}


async def test_a_right_that_is_refused_ends_the_start() -> None:
    """Whatever else is not known, it is named."""
    cluster: Any = Cluster(DESCRIBE)
    with pytest.raises(DropstreamError, match=r"does not grant User:ANONYMOUS: Write on topic dropstream\.catalog"):
        await granted_topics(cluster, spec_of())
