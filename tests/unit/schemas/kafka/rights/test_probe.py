"""Which rights count as missing, by what a cluster says of topics; the answers are as Kafka and its likenesses give."""

from types import SimpleNamespace
from typing import Any

import pytest

from schemas.kafka.rights.probe import missing_rights
from schemas.kafka.rights.table import Operation, Resource, Right

WANTED = (
    Right(Resource.TOPIC, "p.raw", Operation.READ),
    Right(Resource.TOPIC, "p.raw", Operation.WRITE),
)
TOPIC_AUTHORIZATION_FAILED = 29
# Read is bit 3, Write 4, Describe 8, DescribeConfigs 10.
READ, DESCRIBE, DESCRIBE_CONFIGS = 1 << 3, 1 << 8, 1 << 10


class Cluster:
    """A client whose cluster describes topic `p.raw` with this error and these bits."""

    def __init__(self, code: int, operations: int) -> None:
        self.answer = SimpleNamespace(topics=[(code, "p.raw", False, [], operations)])

        self.cluster = self

    def brokers(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(nodeId=1)]

    async def send(self, _node: int, _request: object) -> SimpleNamespace:
        return self.answer


@pytest.mark.parametrize(
    ("code", "operations", "missing"),
    [
        (0, READ | DESCRIBE, [Operation.WRITE]),
        (0, DESCRIBE | DESCRIBE_CONFIGS, [Operation.READ, Operation.WRITE]),
        (TOPIC_AUTHORIZATION_FAILED, -(2**31), [Operation.READ, Operation.WRITE]),
        # "Not said", in Kafka's way; and what a proxy says that fills in nothing: Kafka's own bits have Describe.
        (0, -(2**31), []),
        (0, 0, []),
    ],
)
async def test_only_what_is_refused_in_so_many_words_is_missing(
    code: int, operations: int, missing: list[Operation]
) -> None:
    """A cluster that does not say what one may do keeps no program from its start."""
    client: Any = Cluster(code, operations)
    assert [one.operation for one in await missing_rights(client, WANTED)] == missing
