"""Remembers which records of a spool were passed over, so that they are found again without reading the spool anew.

A spool may have millions of them, so an id takes a byte or two of memory: its distance from the one before it.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping

# Seven bits of a number are in each byte, the lowest first; the highest bit says that another byte follows.
_LOW, _MORE = 0x7F, 0x80


class AscendingIds:
    """A queue of ascending ids: new ones come behind, the oldest is taken from the front, and can be put back."""

    __slots__ = ("_distances", "_front", "_last", "_taken")

    def __init__(self) -> None:
        self._front: deque[int] = deque()
        self._distances = bytearray()
        # The last id that was added, and the last one that was taken out of the distances.
        self._last = 0
        self._taken = 0

    def __bool__(self) -> bool:
        return bool(self._front or self._distances)

    def add(self, number: int) -> None:
        """Puts an id behind the others, all of which are lower."""
        distance = number - self._last
        self._last = number
        while distance > _LOW:
            self._distances.append(distance & _LOW | _MORE)
            distance >>= 7
        self._distances.append(distance)

    def first(self) -> int:
        """Returns the oldest id; there must be one."""
        if not self._front:
            self._front.append(self._decode())
        return self._front[0]

    def take(self) -> int:
        """Takes the oldest id away, and returns it; there must be one."""
        return self._front.popleft() if self._front else self._decode()

    def put_back(self, number: int) -> None:
        """Puts an id that was taken in front of the others, all of which are higher."""
        self._front.appendleft(number)

    def _decode(self) -> int:
        distance = shift = used = 0
        for used, byte in enumerate(self._distances, 1):  # noqa: B007 it is used behind the loop
            distance |= (byte & _LOW) << shift
            shift += 7
            if byte <= _LOW:
                break
        del self._distances[:used]
        self._taken += distance
        return self._taken


class PassedOver:
    """The ids of the records that were passed over in one spool, by key."""

    def __init__(self) -> None:
        self._ids: dict[bytes, AscendingIds] = {}

    def __bool__(self) -> bool:
        return bool(self._ids)

    def __contains__(self, key: bytes) -> bool:
        return key in self._ids

    def add(self, key: bytes, number: int) -> None:
        """Remembers a record; of one key they come in ascending order."""
        ids = self._ids.get(key)
        if ids is None:
            ids = self._ids[key] = AscendingIds()
        ids.add(number)

    def take(self, wanted: Callable[[bytes], bool], *, count_max: int) -> dict[int, bytes]:
        """Takes the oldest ids of the wanted keys, oldest first, each with its key; what comes of them is put back."""
        oldest = [(ids.first(), key) for key, ids in self._ids.items() if wanted(key)]
        heapq.heapify(oldest)
        taken: dict[int, bytes] = {}
        while oldest and len(taken) < count_max:
            number, key = heapq.heappop(oldest)
            ids = self._ids[key]
            taken[number] = key
            ids.take()
            if ids:
                heapq.heappush(oldest, (ids.first(), key))
            else:
                del self._ids[key]
        return taken

    def put_back(self, taken: Mapping[int, bytes], left: Iterable[int]) -> None:
        """Remembers those of the taken ids again that are `left`, before all others of their keys."""
        for number in sorted(left, reverse=True):
            self._ids.setdefault(taken[number], AscendingIds()).put_back(number)
