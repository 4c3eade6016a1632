"""Deletes a consumer group that has no members; aiokafka's admin client has the request and no call for it."""

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import CoordinatorNotAvailableError, GroupIdNotFound, for_code
from aiokafka.protocol.admin import DeleteGroupsRequest


async def delete_group(client: AIOKafkaClient, group: str) -> None:
    """Deletes the group and its committed offsets; nothing where the cluster does not know the group.

    Raises:
        KafkaError: the group has members, or its coordinator moves, loads, is away or refuses.
    """
    if client.get_random_node() is None:
        # As in `committed_offsets`.
        raise CoordinatorNotAvailableError("the cluster names no node that serves")
    coordinator = await client.coordinator_lookup(CoordinationType.GROUP, group)
    answer = await client.send(coordinator, DeleteGroupsRequest([group]))
    for name, code in answer.results:
        error = for_code(code)
        if code and error is not GroupIdNotFound:
            raise error(f"group {name} is not deleted")
