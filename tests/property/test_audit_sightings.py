"""The audit's memory of retries on disk says what a processor's memory says, as long as that has room."""

from hypothesis import given
from hypothesis import strategies as st

from ops.audit.judging.sightings import DiskSightings, SightingsFile
from processors.deliver.dedupe import DedupeStore
from processors.deliver.sightings import DedupeResult, Sightings

WINDOW_S = 100
arrivals = st.lists(
    st.tuples(
        st.sampled_from(["shop", "other"]),
        st.sampled_from("abc"),
        st.sampled_from([b"one", b"two"]),
        st.integers(-20, 60),
        st.booleans(),
    ),
    max_size=60,
)


def see(seen: Sightings, arrival: tuple[str, str, bytes, int], offset: int) -> tuple[DedupeResult, str, int]:
    endpoint, key, body, at_s = arrival
    told = seen.judge(endpoint=endpoint, natural_key=key, body=body, offset=offset, received_s=at_s)
    if told.kind is not DedupeResult.RETRY:
        seen.remember(told)
    return told.kind, told.natural_key, told.first_offset


@given(arrivals)
def test_both_memories_say_the_same(history: list[tuple[str, str, bytes, int, bool]]) -> None:
    """Kind, key and first try of every delivery, whatever the keys, bodies, clocks and transactions."""
    file = SightingsFile()
    disk = DiskSightings(file, 7, window_s=WINDOW_S, keys_max=10_000, bucket_max=100)
    neighbour = DiskSightings(file, 8, window_s=WINDOW_S, keys_max=10_000, bucket_max=100)
    seen, now_s = DedupeStore(window_s=WINDOW_S), 1_000_000
    for offset, (endpoint, key, body, pause_s, ends) in enumerate(history):
        now_s += pause_s
        arrival = (endpoint, key, body, now_s)
        assert see(disk, arrival, offset) == see(seen, arrival, offset)
        assert not disk.may_be_forgotten
        see(neighbour, arrival, 1_000 + offset)
        if ends:
            seen.changes()
            seen.commit()
    file.close()


def test_what_went_to_the_disk_is_found_there() -> None:
    """More keys than are kept in memory: the first one is known still, with its offset."""
    file = SightingsFile()
    disk = DiskSightings(file, 0, window_s=WINDOW_S, keys_max=100_000, bucket_max=1)
    for offset in range(20_001):
        see(disk, ("shop", f"key {offset}", b"one", 1_000), offset)
    assert see(disk, ("shop", "key 0", b"one", 1_001), 30_000) == (DedupeResult.RETRY, "key 0", 0)
    assert see(disk, ("shop", "key 20000", b"one", 1_001), 30_001) == (DedupeResult.RETRY, "key 20000", 20_000)
    file.close()
