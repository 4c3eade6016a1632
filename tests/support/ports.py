"""Ports for programs under test: found free, and given to no other test of this machine as long as this process lives.

A process of tests takes a range of ports for itself: it binds the first port of the range, without listening on it. The
system gives that port back when the process ends, however it ends.
"""

import errno
import functools
import socket
from dataclasses import dataclass

from ops.local.broker.probe import port_is_free

# Above the ports that `make run` wants, below those that the system gives to outgoing connections.
_FIRST, _END = 12_000, 32_700
_RANGE = 100


@dataclass(slots=True)
class PortRange:
    """The ports from `first` to `end` (exclusive) of one process; `next_port` is the next to be looked at."""

    guard: socket.socket
    first: int
    end: int
    next_port: int

    def find(self, count: int) -> int:
        """The first of `count` consecutive free ports, behind those that were given last; begins anew at the end.

        Raises:
            OSError: the range has no `count` free ports in a row.
        """
        for turn in (range(self.next_port, self.end - count + 1), range(self.first, self.end - count + 1)):
            for found in turn:
                if all(port_is_free(port) for port in range(found, found + count)):
                    self.next_port = found + count
                    return found
        raise OSError(errno.EADDRINUSE, f"no {count} free ports in a row from {self.first} to {self.end}")


def open_port_range() -> PortRange:
    """A range that no other process has.

    Raises:
        OSError: other processes have all of them.
    """
    for first in range(_FIRST, _END - _RANGE, _RANGE):
        guard = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            guard.bind(("127.0.0.1", first))
        except OSError:
            guard.close()
            continue
        return PortRange(guard, first + 1, first + _RANGE, first + 1)
    raise OSError(errno.EADDRINUSE, f"every range of ports from {_FIRST} to {_END} is taken")


@functools.cache
def _own_range() -> PortRange:
    return open_port_range()


def free_ports(count: int) -> int:
    """The first of `count` consecutive free ports, of the range that this process has."""
    return _own_range().find(count)
