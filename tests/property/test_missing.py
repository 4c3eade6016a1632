"""The consumer's runs of missing ids are exactly the set that the records of gaps describe."""

from datetime import UTC, datetime

from dropstream_events.gaps import Gap, Missing
from hypothesis import given
from hypothesis import strategies as st

_AT = datetime(2026, 5, 21, tzinfo=UTC)
_GAPS = st.builds(
    lambda endpoint, first, length, state: Gap(endpoint, first, first + length, state, _AT, _AT, 1, "raw/0/1"),
    st.sampled_from(["one", "two"]),
    st.integers(0, 30),
    st.integers(0, 10),
    st.sampled_from(["open", "open", "open", "filled", "lost", "reconciled", "dismissed", "reset", "a word of later"]),
)


@given(st.lists(_GAPS, max_size=30))
def test_runs_are_the_set(gaps: list[Gap]) -> None:
    """Whatever comes in whatever order: sorted, apart from each other, and the same ids as a plain set has."""
    missing = Missing()
    sets: dict[str, set[int]] = {"one": set(), "two": set()}
    for gap in gaps:
        missing.take(gap)
        ids, named = sets[gap.endpoint], set(range(gap.first, gap.last + 1))
        if gap.state in {"open", "lost"}:
            ids |= named
        elif gap.state in {"filled", "reconciled", "dismissed"}:
            ids -= named
        elif gap.state == "reset":
            ids.clear()
    for endpoint, ids in sets.items():
        runs = missing.runs(endpoint)
        assert [one for first, last in runs for one in range(first, last + 1)] == sorted(ids)
        assert missing.count(endpoint) == len(ids)


def test_a_hole_of_many_ids_takes_the_room_of_one() -> None:
    """Nothing is as long as a stranger's number says."""
    missing = Missing()
    missing.take(Gap("one", 0, 2**64 - 1, "open", _AT, _AT, 1, "raw/0/1"))
    missing.take(Gap("one", 5, 5, "filled", _AT, _AT, 1, "raw/0/1"))
    assert missing.runs("one") == ((0, 4), (6, 2**64 - 1))
    assert missing.count("one") == 2**64 - 1
