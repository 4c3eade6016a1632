"""Asks a Kafka node the smallest question, and looks whether a port is free.

A TCP connection alone says little: a KRaft node listens before it may serve. Only the list of nodes in a metadata
answer says that the node is part of the cluster.
"""

import asyncio
import errno
import socket
import struct

_ASK_TIMEOUT_S = 2.0
# Metadata request, version 1, without topics: https://kafka.apache.org/protocol.html#The_Messages_Metadata
_METADATA_REQUEST = struct.pack(">hhihi", 3, 4, 1, -1, 0) + b"\x00"
_ANSWER_BYTES_MAX = 1_048_576


async def nodes_seen(port: int) -> frozenset[int]:
    """The ids of the nodes that the node on `port` of this machine knows to serve; empty while it does not answer."""
    try:
        async with asyncio.timeout(_ASK_TIMEOUT_S):
            return _read_nodes(await _ask(port))
    except (OSError, TimeoutError, asyncio.IncompleteReadError, struct.error, ValueError):
        return frozenset()


async def _ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(struct.pack(">i", len(_METADATA_REQUEST)) + _METADATA_REQUEST)
        await writer.drain()
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        if not 0 < size <= _ANSWER_BYTES_MAX:
            raise ValueError("not the answer of a Kafka node")
        return await reader.readexactly(size)
    finally:
        writer.close()


def _read_nodes(answer: bytes) -> frozenset[int]:
    """The node ids of a metadata answer: correlation id, throttle time, then id, host, port and rack of each node."""
    (count,) = struct.unpack_from(">i", answer, 8)
    position, nodes = 12, set()
    for _ in range(count):
        (node,) = struct.unpack_from(">i", answer, position)
        position = _after_text(answer, position + 4) + 4
        position = _after_text(answer, position)
        nodes.add(node)
    return frozenset(nodes)


def _after_text(answer: bytes, position: int) -> int:
    (length,) = struct.unpack_from(">h", answer, position)
    return position + 2 + max(int(length), 0)


def port_is_free(port: int) -> bool:
    """Whether a program could listen on `port` of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as Java does: a closing connection is no owner
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def find_free_ports(count: int, *, after: int) -> int:
    """The first of `count` consecutive ports, free at this moment, at or after `after` and below the ephemeral ones.

    From 32,768 on the system gives ports to outgoing connections: one of those could take a stopped node's port, or
    even connect to itself.
    """
    for first in range(after, 32_768 - count):
        if all(port_is_free(port) for port in range(first, first + count)):
            return first
    raise OSError(errno.EADDRINUSE, f"found no {count} free ports in a row from {after}")
