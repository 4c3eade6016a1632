"""A retry inside the window is dropped and nothing else is, whatever the order, the crashes and the restarts."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processors.dedupe import Kind, Seen
from processors.state import Change

WINDOW_S = 100


@dataclass(frozen=True, slots=True)
class Arrival:
    """A delivery: which key, which body, seconds since the one before, and whether a transaction ends after it."""

    key: str
    body: bytes
    pause_s: int
    ends: bool


arrivals = st.lists(
    st.builds(
        Arrival,
        key=st.sampled_from("abcde"),
        body=st.sampled_from([b"one", b"two", b"three"]),
        pause_s=st.integers(0, 60),
        ends=st.booleans(),
    ),
    max_size=60,
)


def fresh(keys_max: int = 1_000) -> Seen:
    return Seen(window_s=WINDOW_S, keys_max=keys_max)


def see(seen: Seen, key: str, body: bytes, *, offset: int, at_s: int) -> Kind:
    sighting = seen.judge(endpoint="shop", natural_key=key, body=body, offset=offset, received_s=at_s)
    if sighting.kind is not Kind.RETRY:
        seen.remember(sighting)
    return sighting.kind


def expected(history: Sequence[tuple[int, str, bytes]], at_s: int, key: str, body: bytes) -> Kind:
    """The verdict by definition: over everything ever processed, without any clever memory."""
    within = [(k, b) for seen_s, k, b in history if at_s - seen_s <= WINDOW_S]
    if (key, body) in within:
        return Kind.RETRY
    return Kind.BODY_DIFFERS if key in {k for k, _ in within} else Kind.FIRST


# A key whose window ends within the transaction in which it is remembered anew.
@example(
    [
        Arrival("a", b"one", 0, ends=True),
        Arrival("a", b"one", 101, ends=False),
        Arrival("b", b"one", 51, ends=False),
        Arrival("a", b"one", 50, ends=True),
    ]
)
@given(arrivals)
def test_verdicts_are_those_of_the_definition_through_restarts(history: list[Arrival]) -> None:
    """Memory, a memory restored from the changelog, and the definition agree on every delivery."""
    seen, now_s = fresh(), 1_000_000
    changelog: list[Change] = []
    processed: list[tuple[int, str, bytes]] = []
    for offset, arrival in enumerate(history):
        now_s += arrival.pause_s
        kind = see(seen, arrival.key, arrival.body, offset=offset, at_s=now_s)
        processed_kind = expected(processed, now_s, arrival.key, arrival.body)
        # Processed or not is the law. The mark may be missing where the plain key's own window is over.
        assert (kind is Kind.RETRY) == (processed_kind is Kind.RETRY)
        assert kind is processed_kind or processed_kind is Kind.BODY_DIFFERS
        if kind is not Kind.RETRY:
            processed.append((now_s, arrival.key, arrival.body))
        if arrival.ends:
            changelog += seen.changes()
            seen.commit()
            restored = fresh()
            for key, value in changelog:
                restored.restore(key, value)
                restored.restore(key, value)
            assert restored.entries == seen.entries
            seen = restored


@given(arrivals)
def test_a_failed_transaction_leaves_no_trace(history: list[Arrival]) -> None:
    """What was rolled back is judged again as if it had never been."""
    seen, now_s = fresh(), 1_000_000
    verdicts: list[list[Kind]] = []
    for _ in range(2):
        verdicts.append([see(seen, one.key, one.body, offset=n, at_s=now_s) for n, one in enumerate(history)])
        seen.roll_back()
    assert verdicts[0] == verdicts[1]
    assert not seen.entries


def test_the_verdict_names_the_first_try() -> None:
    """A retry, and the retry of a differing body, point at what was processed."""
    seen = fresh()
    see(seen, "a", b"one", offset=10, at_s=5)
    see(seen, "a", b"two", offset=11, at_s=6)
    retry = seen.judge(endpoint="shop", natural_key="a", body=b"one", offset=12, received_s=7)
    again = seen.judge(endpoint="shop", natural_key="a", body=b"two", offset=13, received_s=8)
    assert (retry.kind, retry.first_offset, retry.natural_key) == (Kind.RETRY, 10, "a")
    assert (again.kind, again.first_offset) == (Kind.RETRY, 11)
    assert again.natural_key.startswith("a#")


def test_endpoints_do_not_share_keys() -> None:
    """The same key at two endpoints is two deliveries."""
    seen = fresh()
    see(seen, "a", b"one", offset=1, at_s=5)
    assert seen.judge(endpoint="other", natural_key="a", body=b"one", offset=2, received_s=5).kind is Kind.FIRST


def test_what_is_past_the_window_is_forgotten() -> None:
    """Keys leave memory and changelog once their window is over, and that is no eviction."""
    seen = fresh()
    see(seen, "a", b"one", offset=1, at_s=1_000)
    seen.changes()
    seen.commit()
    see(seen, "b", b"one", offset=2, at_s=1_000 + WINDOW_S + 1)
    tombstones = [key for key, value in seen.changes() if value is None]
    seen.commit()
    assert tombstones == [(1).to_bytes(8, "big")]
    assert (seen.entries, seen.evicted) == (1, 0)


def test_without_room_the_oldest_go_first_and_are_counted() -> None:
    """Memory has a bound; what it costs is told."""
    seen = fresh(keys_max=3)
    for offset, key in enumerate("abcde"):
        see(seen, key, b"one", offset=offset, at_s=1_000 + offset)
        seen.changes()
        seen.commit()
    assert (seen.entries, seen.evicted) == (3, 2)
    kinds = [see(seen, key, b"one", offset=9, at_s=1_010) for key in "ac"]
    assert kinds == [Kind.FIRST, Kind.RETRY]


@pytest.mark.parametrize(("key", "value"), [(b"short", b"x" * 36), (b"8 bytes.", b"x" * 35), (b"8 bytes.", b"")])
def test_a_corrupt_changelog_is_refused(key: bytes, value: bytes) -> None:
    """Nothing is guessed from a record that this code cannot have written."""
    with pytest.raises(ValueError, match="no bucket"):
        fresh().restore(key, value)


def test_one_wrong_clock_does_not_end_the_window() -> None:
    """A receipt a year ahead moves stream time by an hour; what is remembered stays, and its own key leaves in time."""
    window_s = 5 * 86_400
    seen = Seen(window_s=window_s, keys_max=100)
    for offset, key in enumerate("abc"):
        see(seen, key, b"one", offset=offset, at_s=1_000_000)
    seen.commit()
    see(seen, "wrong", b"one", offset=3, at_s=1_000_000 + 365 * 86_400)
    seen.commit()
    assert see(seen, "a", b"one", offset=4, at_s=1_000_010) is Kind.RETRY
    now_s = 1_000_000
    for offset in range(5, 5 + 7 * 24):
        now_s += 3_600
        see(seen, f"later-{offset}", b"one", offset=offset, at_s=now_s)
        seen.commit()
    assert see(seen, "wrong", b"one", offset=999, at_s=now_s) is Kind.FIRST
