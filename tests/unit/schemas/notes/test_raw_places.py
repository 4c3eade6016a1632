"""A first try's place in eight bytes: an offset, and its partition where that is another than the retry's."""

from schemas.notes.raw_places import is_elsewhere, moved_place, place_of, position_of
from schemas.records import Position

RETRY = Position("raw", 6, 10)


def test_a_place_in_the_same_partition_is_its_offset() -> None:
    """What was remembered before there were migrations reads as it was meant."""
    assert position_of(0, RETRY) == Position("raw", 6, 0)
    assert place_of(Position("raw", 6, 77), RETRY) == 77
    assert not is_elsewhere(77)


def test_a_place_that_moved_names_its_partition_for_good() -> None:
    """Through one migration and a second one, the first try stays where it is."""
    once = moved_place(77, 2)
    assert position_of(once, RETRY) == Position("raw", 2, 77)
    assert moved_place(once, 6) == once
    assert place_of(Position("raw", 2, 77), RETRY) == once
    assert position_of(moved_place(2**40, 9_999), RETRY) == Position("raw", 9_999, 2**40)
    assert moved_place(2**40, 9_999) < 2**63
