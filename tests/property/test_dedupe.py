"""A retry inside the window is dropped and nothing else is, whatever the order, the crashes and the restarts."""

import asyncio
import struct
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from processors.deliver.dedupe import DedupeStore
from processors.deliver.keys.local import KeyPlace
from processors.deliver.keys.segments import KeyBudget
from processors.deliver.sightings import DedupeResult
from processors.runtime.state_store import Change, LogExtent

WINDOW_S = 100
# More buckets than it takes until the first of them may be forgotten.
_MANY = 200
_DAY_S = 86_400


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
        pause_s=st.integers(0, 60) | st.integers(0, 1_000_000),
        ends=st.booleans(),
    ),
    max_size=60,
)


def fresh(budget: KeyBudget | None = None) -> DedupeStore:
    return DedupeStore(window_s=WINDOW_S, budget=budget or KeyBudget())


def see(store: DedupeStore, key: str, body: bytes, *, offset: int, at_s: int) -> DedupeResult:
    sighting = store.judge(endpoint="shop", natural_key=key, body=body, offset=offset, received_s=at_s)
    if sighting.kind is not DedupeResult.RETRY:
        store.remember(sighting)
    return sighting.kind


def expected(history: Sequence[tuple[int, str, bytes]], at_s: int, key: str, body: bytes) -> DedupeResult:
    """The verdict by definition: over everything ever processed, without any clever memory."""
    within = [(k, b) for seen_s, k, b in history if at_s - seen_s <= WINDOW_S]
    if (key, body) in within:
        return DedupeResult.RETRY
    return DedupeResult.BODY_DIFFERS if key in {k for k, _ in within} else DedupeResult.FIRST


# A key whose window ends within the transaction in which it is remembered anew.
@example(
    [
        Arrival("a", b"one", 0, ends=True),
        Arrival("a", b"one", 101, ends=False),
        Arrival("b", b"one", 51, ends=False),
        Arrival("a", b"one", 50, ends=True),
    ]
)
# Keys come back after so many transactions that their first ones are forgotten.
@example([Arrival(key, b"one", pause_s, ends=True) for pause_s in (1, 7, 50, 101) for key in "abcde" * 20])
@given(arrivals)
def test_verdicts_are_those_of_the_definition_through_restarts(history: list[Arrival]) -> None:
    """Memory, a memory restored from the changelog, and the definition agree on every delivery."""
    store, now_s = fresh(), 1_000_000
    changelog: list[Change] = []
    processed: list[tuple[int, str, bytes]] = []
    for offset, arrival in enumerate(history):
        now_s += arrival.pause_s
        kind = see(store, arrival.key, arrival.body, offset=offset, at_s=now_s)
        processed_kind = expected(processed, now_s, arrival.key, arrival.body)
        # Processed or not is the law. The mark may be missing where the plain key's own window is over.
        assert (kind is DedupeResult.RETRY) == (processed_kind is DedupeResult.RETRY)
        assert kind is processed_kind or processed_kind is DedupeResult.BODY_DIFFERS
        if kind is not DedupeResult.RETRY:
            processed.append((now_s, arrival.key, arrival.body))
        if arrival.ends:
            changelog += store.changes()
            store.commit()
            restored = fresh()
            for key, value in changelog:
                restored.restore(key, value)
                restored.restore(key, value)
            assert restored.entries == store.entries
            store = restored


@settings(max_examples=30, deadline=None)
@example([Arrival(key, b"one", pause_s, ends=True) for pause_s in (1, 7, 50, 101) for key in "abcde" * 20])
@given(arrivals)
def test_keys_on_disk_give_the_verdicts_of_memory(history: list[Arrival]) -> None:
    """Kind, key and first try of each delivery, through restarts of either; and both forget the same."""

    async def judge_beside(folder: Path) -> None:
        place = KeyPlace(memory_keys_max=0, state_dir=folder)
        disk, memory, now_s, end = DedupeStore(window_s=WINDOW_S, place=place), fresh(), 1_000_000, 0
        await disk.open(LogExtent("cluster", "deliver-state", 3, 0, 0))
        for offset, arrival in enumerate(history):
            now_s += arrival.pause_s
            told = [
                store.judge(
                    endpoint=arrival.key, natural_key=arrival.key, body=arrival.body, offset=offset, received_s=now_s
                )
                for store in (disk, memory)
            ]
            assert told[0] == told[1]
            if told[0].kind is not DedupeResult.RETRY:
                disk.remember(told[0])
                memory.remember(told[1])
            if not arrival.ends:
                continue
            changes = disk.changes()
            assert changes == memory.changes()
            end += len(changes)
            disk.changelog_offset = end
            disk.commit()
            memory.commit()
            await disk.settle()
            assert disk.entries == memory.entries
            if offset % 7 == 0:
                assert disk.is_on_disk == bool(disk.entries)
                await disk.close()
                began = await disk.open(LogExtent("cluster", "deliver-state", 3, 0, end))
                assert began == max(0, end - 1)
                if changes:
                    disk.restore(*changes[0])
                    disk.restored()
                    await disk.settle()
                else:
                    return
        await disk.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(judge_beside(Path(folder)))


@given(arrivals)
def test_a_failed_transaction_leaves_no_trace(history: list[Arrival]) -> None:
    """What was rolled back is judged again as if it had never been."""
    store, now_s = fresh(), 1_000_000
    verdicts: list[list[DedupeResult]] = []
    for _ in range(2):
        verdicts.append([see(store, one.key, one.body, offset=n, at_s=now_s) for n, one in enumerate(history)])
        store.roll_back()
    assert verdicts[0] == verdicts[1]
    assert not store.entries


def test_the_verdict_names_the_first_try() -> None:
    """A retry, and the retry of a differing body, point at what was processed."""
    store = fresh()
    see(store, "a", b"one", offset=10, at_s=5)
    see(store, "a", b"two", offset=11, at_s=6)
    retry = store.judge(endpoint="shop", natural_key="a", body=b"one", offset=12, received_s=7)
    again = store.judge(endpoint="shop", natural_key="a", body=b"two", offset=13, received_s=8)
    assert (retry.kind, retry.first_offset, retry.natural_key) == (DedupeResult.RETRY, 10, "a")
    assert (again.kind, again.first_offset) == (DedupeResult.RETRY, 11)
    assert again.natural_key.startswith("a#")


def test_endpoints_do_not_share_keys() -> None:
    """The same key at two endpoints is two deliveries."""
    store = fresh()
    see(store, "a", b"one", offset=1, at_s=5)
    assert (
        store.judge(endpoint="other", natural_key="a", body=b"one", offset=2, received_s=5).kind is DedupeResult.FIRST
    )


def test_what_is_past_the_window_is_forgotten() -> None:
    """Keys are forgotten some time after their window is over, without a word in the changelog; it is no eviction."""
    store = fresh()
    changelog: list[Change] = []
    for offset in range(_MANY):
        see(store, f"key {offset}", b"one", offset=offset, at_s=1_000 + offset * WINDOW_S)
        changelog += store.changes()
        store.commit()
    assert len(changelog) == _MANY
    assert None not in [value for _, value in changelog]
    assert 64 <= store.entries < _MANY * 0.7
    assert store.evicted == 0


def test_any_history_is_forgotten_in_steps_that_the_event_loop_bears() -> None:
    """A load test and then a pause: 300,000 buckets are outdated at once, and no transaction takes 20 ms for them."""
    store = fresh()
    for offset in range(300_000):
        store.restore(struct.pack(">q", offset), _entry_of_version_010(offset, received_s=1_000))
    assert store.entries == 300_000
    worst_s = 0.0
    # Deliveries that come after the pause, enough of them that no clock is doubted.
    for offset in range(300_000, 300_400):
        began = time.thread_time()
        see(store, f"key {offset}", b"one", offset=offset, at_s=1_000_000 + offset)
        store.changes()
        store.commit()
        worst_s = max(worst_s, time.thread_time() - began)
    assert store.entries < 300
    assert store.evicted == 0
    assert worst_s < 0.02


def _entry_of_version_010(offset: int, *, received_s: int) -> bytes:
    return struct.pack(">8xq8sqI", offset, bytes(8), offset, received_s)


def test_what_version_010_wrote_is_read() -> None:
    """Its buckets count, its tombstones forget nothing, and keys that it wrote are found beside those of today."""
    store = fresh()
    old = store.judge(endpoint="shop", natural_key="old", body=b"one", offset=7, received_s=1_000)
    store.restore(struct.pack(">q", 7), old.entry[0] + old.entry[1])
    store.restore(struct.pack(">q", 7), None)
    store.restore(struct.pack(">q", 3), None)
    assert see(store, "old", b"one", offset=8, at_s=1_001) is DedupeResult.RETRY
    assert see(store, "new", b"one", offset=9, at_s=1_001) is DedupeResult.FIRST
    store.commit()
    assert see(store, "old", b"one", offset=10, at_s=1_002) is DedupeResult.RETRY
    assert see(store, "new", b"one", offset=11, at_s=1_002) is DedupeResult.RETRY


def test_a_noisy_endpoint_is_forgotten_and_no_other() -> None:
    """Beyond its budget the oldest keys of the endpoint go; those of a quiet neighbour stay, and all is counted."""
    store = fresh(KeyBudget(endpoint_keys_max=80))
    offset = 0

    def see_at(endpoint: str, key: str) -> DedupeResult:
        nonlocal offset
        offset += 1
        sighting = store.judge(endpoint=endpoint, natural_key=key, body=b"one", offset=offset, received_s=1_000)
        if sighting.kind is not DedupeResult.RETRY:
            store.remember(sighting)
        store.changes()
        store.commit()
        return sighting.kind

    for key in "abc":
        assert see_at("quiet", key) is DedupeResult.FIRST
    for number in range(64):
        see_at("noisy", f"key {number}")
    assert (store.fullness, store.evicted) == (0.8, 0)
    for number in range(64, 1_000):
        see_at("noisy", f"key {number}")
    assert [see_at("quiet", key) for key in "abc"] == [DedupeResult.RETRY] * 3
    assert 70 <= store.entries <= 83
    assert store.evicted == 1_003 - store.entries
    assert see_at("noisy", "key 999") is DedupeResult.RETRY
    assert see_at("noisy", "key 940") is DedupeResult.RETRY
    assert see_at("noisy", "key 0") is DedupeResult.FIRST


def test_a_budget_that_is_nearly_spent_is_told_before_anything_is_forgotten() -> None:
    """A person hears it once at four fifths, and then each time that keys go before their window is over."""
    store = fresh(KeyBudget(endpoint_keys_max=80))

    def see_numbered(numbers: range) -> None:
        for number in numbers:
            see(store, f"{number}", b"one", offset=number, at_s=1_000)
            store.changes()
            store.commit()

    with capture_logs() as told:
        see_numbered(range(80))
        assert [(line["event"], line["share"]) for line in told] == [("retries_nearly_forgotten", 0.8)]
        see_numbered(range(80, 90))
    early = [line for line in told if line["event"] == "retries_forgotten_early"]
    assert store.evicted == sum(line["count"] for line in early) > 0
    assert {line["log_level"] for line in early} == {"error"}


def test_a_full_partition_forgets_for_the_endpoint_that_takes_most() -> None:
    """Three endpoints share a partition: the largest pays, the others keep every key."""
    store = fresh(KeyBudget(partition_keys_max=160))
    for offset in range(300):
        endpoint = "large" if offset % 3 else f"small {offset % 2}"
        store.remember(
            store.judge(endpoint=endpoint, natural_key=f"{offset}", body=b"one", offset=offset, received_s=1_000)
        )
        store.commit()
    assert store.entries <= 160
    kinds = {
        offset: store.judge(
            endpoint=f"small {offset % 2}", natural_key=f"{offset}", body=b"one", offset=999, received_s=1_000
        ).kind
        for offset in range(0, 300, 3)
    }
    assert set(kinds.values()) == {DedupeResult.RETRY}


_CORRUPT = [
    (b"short", b"x" * 36),
    (b"8 bytes.", b"x" * 35),
    (b"8 bytes.", b""),
    (b"\x01 8 bytes", b""),
    (b"\x01 8 bytes", b"x" * 36),
    (b"\x01 8 bytes", b"tag." + b"\0\0\0\2" + b"x" * 36),
    (b"\x01 8 bytes", b"tag." + b"\0\0\0\0"),
    (b"\x01 8 bytes", None),
    (b"\x20 8 bytes", b"tag." + b"\0\0\0\1" + b"x" * 36),
]


@pytest.mark.parametrize(("key", "value"), _CORRUPT)
def test_a_corrupt_changelog_is_refused(key: bytes, value: bytes | None) -> None:
    """Nothing is guessed from a record that this code cannot have written."""
    with pytest.raises(ValueError, match=r"no bucket|group|entries"):
        fresh().restore(key, value)


@pytest.mark.parametrize("wrong_s", [365 * _DAY_S, -365 * _DAY_S], ids=["ahead", "behind"])
def test_a_few_wrong_clocks_do_not_end_the_window(wrong_s: int) -> None:
    """Receipts a year off, first of all and in between: what is remembered stays, and they leave with the others."""
    window_s = 5 * _DAY_S
    store, now_s, wrong = DedupeStore(window_s=window_s), 1_000_000_000, 0
    for offset in range(40 * 24):
        now_s += 3_600
        if offset % 50 in {0, 1, 7}:
            see(store, f"wrong {offset}", b"one", offset=2 * offset, at_s=now_s + wrong_s)
            store.commit()
            wrong += 1
        see(store, f"key {offset}", b"one", offset=2 * offset + 1, at_s=now_s)
        store.commit()
        for back in (0, 1, 30, 5 * 24):
            kind = see(store, f"key {max(0, offset - back)}", b"one", offset=9_999_999, at_s=now_s)
            assert kind is DedupeResult.RETRY
    assert see(store, "key 0", b"one", offset=9_999_999, at_s=now_s) is DedupeResult.FIRST
    assert store.entries < 12 * 24


@pytest.mark.parametrize("a_day", [0.1, 1, 6, 12, 20, 24, 100])
def test_retries_are_known_however_seldom_deliveries_come(a_day: float) -> None:
    """Months of a quiet shop, then many at once: each retry within the window is one, each after it is not."""
    store, now_s, offset = DedupeStore(window_s=5 * _DAY_S), 1_000_000_000, 0
    pauses = [int(_DAY_S / a_day)] * 200 + [1] * 500 + [int(_DAY_S / a_day)] * 100
    for pause_s in pauses:
        now_s, offset = now_s + pause_s, offset + 1
        assert see(store, f"key {offset}", b"one", offset=offset, at_s=now_s) is DedupeResult.FIRST
        store.commit()
        assert see(store, f"key {offset}", b"one", offset=offset, at_s=now_s + 60) is DedupeResult.RETRY
    now_s += 5 * _DAY_S
    assert see(store, f"key {offset}", b"one", offset=offset, at_s=now_s) is DedupeResult.RETRY
    assert see(store, f"key {offset}", b"one", offset=offset, at_s=now_s + 1) is DedupeResult.FIRST
