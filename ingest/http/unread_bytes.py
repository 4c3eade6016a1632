"""The one account of the bytes that clients make the ingress hold before the receiver takes them over.

Bytes that the receiver has taken over are the byte budget's. The account has a bound; beyond it the connection that has
held bytes for the longest time gives way, those of nobody's URL before those of an endpoint's. Nothing here waits.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol


class UnreadKind(StrEnum):
    """What the bytes are that a connection holds."""

    HEADS = "heads"  # Heads that are not whole yet, and what is queued behind the request that is handled.
    BODIES = "bodies"  # Parts of bodies for which nobody has asked yet.
    DEFERRED = "deferred"  # Read on the fast path while a request is handled, or the answers are not read.


class UnreadHolder(Protocol):
    """A connection that holds bytes."""

    def is_known(self) -> bool:
        """Returns whether the URL of its request is one of ours; asked only where somebody must give way."""

    def give_way(self) -> None:
        """Frees the bytes at once, and ends the connection, after the answer to a request that is whole."""


class UnreadBytes:
    """Holds the account, up to `bytes_max`."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held_bytes = 0
        self._by_kind = dict.fromkeys(UnreadKind, 0)
        # The longest holder first: a holder keeps its place as long as it holds anything. Those that were found to be
        # known are apart.
        self._holders: dict[UnreadHolder, Mapping[UnreadKind, int]] = {}
        self._known: dict[UnreadHolder, Mapping[UnreadKind, int]] = {}

    def held_bytes(self, kind: UnreadKind) -> int:
        """Returns how many bytes of this kind all connections hold."""
        return self._by_kind[kind]

    def hold(self, holder: UnreadHolder, held: Mapping[UnreadKind, int]) -> None:
        """Notes all that the holder holds now.

        Whoever has held bytes for the longest time gives way until the bound is kept; this may be `holder` itself.
        """
        if not any(held.values()):
            self.let_go(holder)
            return
        holders = self._known if holder in self._known else self._holders
        self._add(holders.get(holder, {}), -1)
        holders[holder] = held
        self._add(held, 1)
        while self._held_bytes > self._bytes_max:
            oldest = self._next_to_go()
            self.let_go(oldest)
            oldest.give_way()

    def let_go(self, holder: UnreadHolder) -> None:
        """Notes that the holder holds nothing any more."""
        self._add(self._holders.pop(holder, {}), -1)
        self._add(self._known.pop(holder, {}), -1)

    def _next_to_go(self) -> UnreadHolder:
        """Returns the stranger that has held bytes for the longest time, or else who has of the known ones."""
        while self._holders:
            holder = next(iter(self._holders))
            if not holder.is_known():
                return holder
            self._known[holder] = self._holders.pop(holder)
        return next(iter(self._known))

    def _add(self, held: Mapping[UnreadKind, int], sign: int) -> None:
        for kind, count in held.items():
            self._by_kind[kind] += sign * count
            self._held_bytes += sign * count
