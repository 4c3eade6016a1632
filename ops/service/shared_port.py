"""A port that several processes listen on together, held for all of them by their parent."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from schemas.errors import DropstreamError


@contextmanager
def shared_port(host: str, port: int) -> Iterator[int]:
    """Holds the port inside, for workers to listen on with SO_REUSEPORT: nobody else had it; 0 becomes a free port.

    The parent holds it without listening, so it gets no connection, and a worker that starts again finds it free.

    Raises:
        DropstreamError: the port is taken, or this system cannot share it.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise DropstreamError("this system cannot share a port between processes; leave --workers away")
    with ExitStack() as held:
        try:
            found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, kind, protocol, _, address in found:
                # Bound without it first: SO_REUSEPORT would silently share the port with another ingress of this user.
                with socket.socket(family, kind, protocol) as alone:
                    _bind(alone, (address[0], port, *address[2:]))
                shared = held.enter_context(socket.socket(family, kind, protocol))
                shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                _bind(shared, (address[0], port, *address[2:]))
                port = shared.getsockname()[1]
        except OSError as error:
            raise DropstreamError(
                f"ingest.port: cannot listen on {host}:{port}: {error.strerror or error}\n"
                "Set ingest.host and ingest.port to an address of this machine that is free."
            ) from error
        yield port


def _bind(one: socket.socket, address: tuple[object, ...]) -> None:
    # Connections of an ingress that ended a moment ago do not count.
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if one.family == socket.AF_INET6:
        # As asyncio does it: `::` and `0.0.0.0` may stand beside each other.
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind(address)
