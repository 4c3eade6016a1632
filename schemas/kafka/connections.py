"""A client's connections to the nodes: opened beside each other, and cut without sending what is left.

aiokafka opens one connection after the other, so that a node that takes connections and never answers keeps a client
from all other nodes for the time of a request. It closes a connection when the node has taken all that was written to
it: a node that hangs keeps the socket and these bytes, and takes them as valid requests when it goes on.
"""

import asyncio
from collections import defaultdict
from contextlib import nullcontext
from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import CloseReason


def connect_beside(client: AIOKafkaClient) -> None:
    """Has the client wait for a connection that is being opened only where it needs this one."""
    locks: dict[tuple[object, ConnectionGroup], asyncio.Lock] = defaultdict(asyncio.Lock)
    connection_of = client._get_conn

    async def find_or_open(
        node: object, *, group: ConnectionGroup = ConnectionGroup.DEFAULT, no_hint: bool = False
    ) -> Any:
        async with locks[node, group]:
            return await connection_of(node, group=group, no_hint=no_hint)

    client._get_conn = find_or_open
    client._get_conn_lock_value = nullcontext()


def cut(connection: Any, reason: CloseReason) -> None:
    """Ends the connection at once; all that waits for an answer on it fails with a KafkaConnectionError."""
    if connection._writer is not None:
        connection._writer.transport.abort()
    connection.close(reason=reason)


def cut_all(client: AIOKafkaClient) -> None:
    """Cuts every connection of a client that is about to be closed."""
    for connection in [*client._conns.values()]:
        cut(connection, CloseReason.SHUTDOWN)
