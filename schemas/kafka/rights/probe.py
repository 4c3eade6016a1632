"""Which of a program's rights the cluster does not grant: asked for, not tried, so nothing is written by asking.

Kafka says in metadata and in descriptions of groups what the asker may do (KIP-430). For transactional ids it says
nothing; there the end of a transaction that nobody began is asked for, which is refused either for the right or for
the transaction. A cluster without an authorizer grants everything. What is not known counts as granted: only what Kafka
refuses in so many words is missing.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    for_code,
)
from aiokafka.protocol.transaction import EndTxnRequest

from schemas.kafka.committed_offsets import ask_patiently
from schemas.kafka.rights.named_metadata import NamedTopic, ask_any_node, named_topics
from schemas.kafka.rights.requests import DescribeGroupRequest
from schemas.kafka.rights.table import Operation, Resource, Right

# Kafka's numbers of operations: clients/src/main/java/org/apache/kafka/common/acl/AclOperation.java
_NUMBERS = {
    Operation.READ: 3,
    Operation.WRITE: 4,
    Operation.CREATE: 5,
    Operation.ALTER: 7,
    Operation.DESCRIBE: 8,
    Operation.DESCRIBE_CONFIGS: 10,
    Operation.ALTER_CONFIGS: 11,
}
_WITHIN_S = 15.0
# An id under the prefix of the right that no program has, and a producer that no cluster has given out.
_NOBODY = "nobody"
_NO_PRODUCER, _NO_EPOCH = -1, -1


async def missing_rights(
    client: AIOKafkaClient, rights: Collection[Right], *, ids: Collection[str] = ()
) -> tuple[Right, ...]:
    """Those of `rights` that the cluster refuses, in the order of names; `client` has bootstrapped.

    What topics may be created is known of topics that are there alone; a prefix of topics is not asked for. A prefix of
    transactional ids is tried with the one of `ids` that begins so, else with a name that nobody has.

    Raises:
        KafkaError, TimeoutError: the cluster cannot be asked now.
    """
    of: dict[Resource, list[Right]] = defaultdict(list)
    for right in rights:
        if not (right.resource is Resource.TOPIC and right.is_prefix):
            of[right.resource].append(right)
    async with asyncio.timeout(_WITHIN_S):
        missing = [
            *await _of_topics(client, of[Resource.TOPIC]),
            *[one for one in of[Resource.GROUP] if await _is_refused_group(client, one)],
            *[one for one in of[Resource.TRANSACTIONAL_ID] if await _is_refused_transaction(client, one, ids)],
        ]
    return tuple(sorted(missing))


async def _of_topics(client: AIOKafkaClient, rights: Collection[Right]) -> list[Right]:
    try:
        found = await named_topics(client, {one.name for one in rights})
    except (IncompatibleBrokerVersion, NotImplementedError):
        return []
    return [one for one in rights if _is_refused_topic(found[one.name], one.operation)]


def _is_refused_topic(found: NamedTopic, operation: Operation) -> bool:
    if found.error is not None:
        return found.error is TopicAuthorizationFailedError
    return _lacks(found.operations, operation)


async def _is_refused_group(client: AIOKafkaClient, right: Right) -> bool:
    try:
        # A cluster that is young has no coordinator yet.
        coordinator = await ask_patiently(lambda: client.coordinator_lookup(CoordinationType.GROUP, right.name))
        answer = await client.send(coordinator, DescribeGroupRequest(right.name))
    except GroupAuthorizationFailedError:
        return True
    except (IncompatibleBrokerVersion, NotImplementedError):
        return False
    ((code, *_, operations),) = answer.groups
    if code:
        return for_code(code) is GroupAuthorizationFailedError
    return _lacks(operations, right.operation)


async def _is_refused_transaction(client: AIOKafkaClient, right: Right, ids: Collection[str]) -> bool:
    known = (one for one in ids if one.startswith(right.name))
    name = next(known, f"{right.name}{_NOBODY}") if right.is_prefix else right.name
    # The right is looked at before anything else is, by any node.
    answer = await ask_any_node(client, EndTxnRequest(name, _NO_PRODUCER, _NO_EPOCH, False))
    return for_code(answer.error_code) is TransactionalIdAuthorizationFailed


def _lacks(operations: int, operation: Operation) -> bool:
    """Whether the bits say that the operation is refused.

    Kafka describes nothing to who may not describe it. So bits without Describe come from what only resembles Kafka,
    such as a proxy that leaves them 0, and say nothing.
    """
    is_said = operations >= 0 and operations >> _NUMBERS[Operation.DESCRIBE] & 1
    return bool(is_said) and not operations >> _NUMBERS[operation] & 1
