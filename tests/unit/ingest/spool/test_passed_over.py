"""What the drain passed over is found again by its ids, in order, whatever is taken and put back."""

import tracemalloc
from collections import defaultdict, deque

from hypothesis import given
from hypothesis import strategies as st

from ingest.spool.passed_over import PassedOver

_KEYS = (b"a", b"b", b"c")


def test_the_oldest_of_the_wanted_keys_come_first() -> None:
    """Those of other keys stay, and what is put back is the first again."""
    passed = PassedOver()
    for number, key in ((1, b"a"), (2, b"b"), (300, b"a"), (70_000, b"c"), (70_001, b"a")):
        passed.add(key, number)
    taken = passed.take(lambda key: key != b"b", count_max=3)
    assert taken == {1: b"a", 300: b"a", 70_000: b"c"}
    assert (b"a" in passed, b"b" in passed, b"c" in passed) == (True, True, False)
    passed.put_back(taken, [300, 70_000])
    assert passed.take(lambda _: True, count_max=9) == {2: b"b", 300: b"a", 70_000: b"c", 70_001: b"a"}
    assert not passed


@given(st.lists(st.tuples(st.integers(1, 3_000_000), st.sampled_from(_KEYS), st.integers(0, 5), st.integers(0, 5))))
def test_it_is_a_queue_for_each_key(steps: list[tuple[int, bytes, int, int]]) -> None:
    """After any additions, takings and puttings back it gives what plain queues give."""
    passed, plain, number = PassedOver(), defaultdict[bytes, deque[int]](deque), 0
    for distance, key, count_max, kept in steps:
        number += distance
        passed.add(key, number)
        plain[key].append(number)
        taken = passed.take(lambda one, key=key: one != key, count_max=count_max)  # type: ignore[misc] # it is bound here
        others = sorted((old, other) for other in _KEYS if other != key for old in plain[other])
        assert list(taken.items()) == others[:count_max]
        left = list(taken)[-kept:] if kept else []
        for old, other in list(taken.items())[: len(taken) - len(left)]:
            assert plain[other].popleft() == old
        passed.put_back(taken, left)
    rest = sorted((old, key) for key in _KEYS for old in plain[key])
    assert list(passed.take(lambda _: True, count_max=len(rest) + 1).items()) == rest


def test_a_million_ids_take_less_than_two_megabytes() -> None:
    """Of a hundred keys that come in turns; so does the memory of a spool of many millions stay small."""
    passed = PassedOver()
    tracemalloc.start()
    try:
        for number in range(1_000_000):
            passed.add(_HUNDRED[number % 100], number)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 2_000_000


_HUNDRED = [b"shop-%d" % number for number in range(100)]
