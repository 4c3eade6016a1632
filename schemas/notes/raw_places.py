"""Where a first try lies in `raw`, as the eight bytes in which the memory of retries keeps an offset.

A first try mostly lies in the partition of its retry, and its place is its offset. After a migration to more partitions
it may lie in another one: then the bits above the 48th say which, plus one. No partition reaches 2**48 records.
"""

from schemas.records import Position

_OFFSET_BITS = 48
_OFFSET = (1 << _OFFSET_BITS) - 1


def moved_place(place: int, partition: int) -> int:
    """The place as another partition remembers it, where `partition` has remembered it until now."""
    return place if is_elsewhere(place) else (partition + 1) << _OFFSET_BITS | place


def is_elsewhere(place: int) -> bool:
    """Whether the place names a partition of its own."""
    return place > _OFFSET


def position_of(place: int, retry: Position) -> Position:
    """The position of the place that the partition of `retry` remembers."""
    partition = (place >> _OFFSET_BITS) - 1 if is_elsewhere(place) else retry.partition
    return Position(retry.topic, partition, place & _OFFSET)


def place_of(first: Position, retry: Position) -> int:
    """The place of `first` as the partition of `retry` remembers it; the inverse of `position_of`."""
    return first.offset if first.partition == retry.partition else moved_place(first.offset, first.partition)
