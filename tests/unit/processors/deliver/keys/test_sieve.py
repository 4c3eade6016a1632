"""The changelog, sifted for the keys that a range asks for, makes the memory that the group had at its beginning."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from random import Random

import pytest

from processors.deliver.asked_keys import AskedKeys
from processors.deliver.dedupe import DedupeStore
from processors.deliver.keys.buckets import NO_TAG, SIGHTING, bucket_key, bucket_value, inherited
from processors.deliver.keys.sieve import Sieve, UnfitChangelogError
from processors.deliver.step import Rules, deliver, recall
from processors.runtime.state_store import Change
from schemas.delivery import Delivery, raw_key, record_headers
from schemas.notes.formats import NewerFormatError
from schemas.records import Position, RawRecord, Record
from schemas.sections.endpoints import EndpointSettings
from schemas.times import timestamp_ms
from tests.providers.fixtures import RECORD_BYTES_MAX, providers
from tests.support.processing import SECRET, STARTED_AT, signed
from tests.support.replaying import resigned

WINDOW_S = 3_600
TAG = 7


@cache
def rules() -> Rules:
    endpoints = {
        name.replace("_", "-"): EndpointSettings.model_validate(
            {"provider": name, "secrets": ["env:S"]}, context={"environ": {"S": SECRET.decode()}}
        )
        for name in providers()
    }
    return Rules(endpoints, providers(), RECORD_BYTES_MAX)


@cache
def kinds() -> Sequence[Delivery]:
    """A delivery of each sample; some with another body under the same key; one that is rejected."""
    plain = [
        signed(sample, provider.name, provider.name.replace("_", "-"), 1)
        for provider in providers().values()
        for sample in provider.samples
    ]
    shipstream = [one for one in plain if one.endpoint == "shipstream"]
    others = [resigned(one, one.body.replace(b"{", b"{ ", 1)) for one in shipstream]
    return [*plain, *others, replace(shipstream[0], headers=())]


@dataclass(slots=True)
class Lived:
    """What a group made of deliveries: its changelog, and what it rejected; `memory` is what it remembers."""

    deliveries: list[RawRecord] = field(default_factory=list)
    changelog: list[tuple[int, Change]] = field(default_factory=list)
    rejected: set[int] = field(default_factory=set)
    memory: DedupeStore = field(default_factory=lambda: DedupeStore(window_s=WINDOW_S))

    def take(self, transaction: Sequence[tuple[Delivery, int]]) -> None:
        """One transaction: deliveries, each with the second in which it was received."""
        for delivery, at_s in transaction:
            received = replace(delivery, received_at=STARTED_AT + timedelta(seconds=at_s))
            raw = raw_record_of(received, len(self.deliveries))
            self.deliveries.append(raw)
            if deliver(raw, rules(), self.memory)[0].topic == "rejected":
                self.rejected.add(raw.position.offset)
        self.changelog += [(transaction[-1][1], one) for one in self.memory.changes()]
        self.memory.commit()


def raw_record_of(delivery: Delivery, offset: int) -> RawRecord:
    key, at = raw_key(delivery.endpoint, 1, delivery.body), timestamp_ms(delivery.received_at)
    return RawRecord(Position("d.raw", 0, offset), key, delivery.body, record_headers(delivery), at)


def outputs(deliveries: Sequence[RawRecord], memory: DedupeStore) -> list[tuple[Record, ...]]:
    return [deliver(raw, rules(), memory) for raw in deliveries]


def as_lived(lived: Lived, end: int) -> DedupeStore:
    """The memory of a group that took each delivery before `end` in a transaction of its own."""
    memory = DedupeStore(window_s=WINDOW_S)
    for raw in lived.deliveries[:end]:
        deliver(raw, rules(), memory)
        memory.commit()
    return memory


def sifted(lived: Lived, end: int) -> tuple[DedupeStore, int]:
    """The memory that the changelog makes, and how many deliveries had to be read in `raw`.

    What is read in `raw` asks the memory too, so its keys are looked for as well.
    """
    asked_from = end
    sieve = sieved(lived, asked_from, end)
    while (reached := sieve.reached or 0) < asked_from:
        asked_from = reached
        sieve = sieved(lived, asked_from, end)
    memory = DedupeStore(window_s=WINDOW_S)
    memory.take(sieve.entries)
    memory.commit()
    tail = lived.deliveries[reached:end]
    for raw in tail:
        if raw.position.offset not in lived.rejected:
            recall(raw, rules(), memory)
    return memory, len(tail)


def sieved(lived: Lived, asked_from: int, end: int) -> Sieve:
    asked = AskedKeys()
    for raw in lived.deliveries[asked_from:]:
        recall(raw, rules(), asked)
    sieve = Sieve(asked.keys, end)
    since_s = asked.oldest_s - int(STARTED_AT.timestamp()) - WINDOW_S
    for written_s, (key, value) in lived.changelog:
        if written_s >= since_s and not sieve.is_over:
            sieve.take(key, value)
    sieve.finish()
    return sieve


@pytest.mark.parametrize("seed", range(20))
def test_a_range_becomes_the_same_by_the_changelog_and_by_the_whole_past(seed: int) -> None:
    """Byte for byte, wherever the range begins: in the middle of a transaction, behind the group, after any pause."""
    chance, lived, now_s = Random(seed), Lived(), 0  # noqa: S311 no secret
    for _ in range(chance.randint(1, 30)):
        taken = []
        for _ in range(chance.randint(1, 6)):
            now_s += chance.choice((0, 1, 20, 20, 20, 400, 1_500, 3_700))
            taken.append((chance.choice(kinds()), now_s))
        lived.take(taken)
    unjudged = chance.choice((0, 0, 1, 2))
    del lived.changelog[len(lived.changelog) - unjudged :]
    for end in chance.choices(range(len(lived.deliveries) + 1), k=8):
        memory, _ = sifted(lived, end)
        assert outputs(lived.deliveries[end:], memory) == outputs(lived.deliveries[end:], as_lived(lived, end))


def test_only_the_transaction_across_the_beginning_is_read_in_raw() -> None:
    """Of two transactions before it and one across it, one delivery is read; between transactions none is."""
    lived = Lived()
    for first in (0, 2, 4, 6):
        lived.take([(kinds()[first], first), (kinds()[first + 1], first + 1)])
    assert sifted(lived, 5)[1] == 1
    assert sifted(lived, 4)[1] == 0


def test_what_the_group_has_not_judged_yet_is_read_in_raw() -> None:
    """Two deliveries behind the last transaction, and all where there was none."""
    lived = Lived()
    lived.take([(kinds()[0], 0)])
    lived.deliveries += [raw_record_of(kinds()[2], 1), raw_record_of(kinds()[3], 2), raw_record_of(kinds()[0], 3)]
    memory, read = sifted(lived, 3)
    assert read == 2
    assert outputs(lived.deliveries[3:], memory)[0][0].topic == "duplicates"
    lived.changelog.clear()
    assert sifted(lived, 3)[1] == 3


def change(name: int, *offsets: int, tag: int = TAG) -> Change:
    entries = [key_of(one) + SIGHTING.pack(b"digest..", one, 5) for one in offsets]
    return bucket_key(name), bucket_value({tag: entries})


def key_of(offset: int) -> bytes:
    return offset.to_bytes(16)


def test_the_newest_entry_of_an_asked_key_is_kept() -> None:
    """Its place in the order of the changelog too; a key that nobody asked for is not kept."""
    sieve = Sieve({key_of(1), key_of(2)}, 100)
    sieve.take(*change(1, 1, 3))
    sieve.take(*change(2, 2))
    newer = (bucket_key(4), bucket_value({TAG: [key_of(1) + SIGHTING.pack(b"digest..", 4, 9)]}))
    sieve.take(*newer)
    sieve.take(*change(100, 100))
    assert sieve.is_over
    assert [(entry[:16], SIGHTING.unpack(entry[16:])) for _, entry in sieve.entries] == [
        (key_of(2), (b"digest..", 2, 5)),
        (key_of(1), (b"digest..", 4, 9)),
    ]
    assert (sieve.first, sieve.reached) == (1, 5)


def test_a_large_transaction_is_sifted_whole() -> None:
    """Entries at the edges of what is compared at once are found, and their tags kept."""
    places = (0, 255, 256, 511, 512, 999)
    sieve = Sieve({key_of(one) for one in places}, 5_000)
    sieve.take(*change(0, *range(1_000)))
    sieve.take(*change(5_000, 5_000))
    assert [(tag, int.from_bytes(entry[:16])) for tag, entry in sieve.entries] == [(TAG, one) for one in places]


def test_what_a_migration_moved_counts_once_however_often_it_was_written() -> None:
    """The records of a migration that was interrupted and called again are those of one that was not."""
    moved = [inherited(*change(name, name), 3) for name in (4, 6)]
    sieve = Sieve({key_of(4), key_of(6)}, 100)
    for one in (moved[0], moved[0], moved[1]):
        assert one is not None
        sieve.take(*one)
    assert (sieve.first, sieve.has_inherited) == (None, True)
    sieve.take(*change(0, 0))
    sieve.finish()
    assert [SIGHTING.unpack(entry[16:])[1] for _, entry in sieve.entries] == [4 << 48 | 4, 4 << 48 | 6]
    assert (sieve.first, sieve.reached) == (0, 1)


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([change(5, 5), change(5, 5)], "was set back"),
        ([change(5, 5), change(4, 4)], "was set back"),
        ([((5).to_bytes(8), key_of(5) + SIGHTING.pack(b"digest..", 5, 5))], "version 0.1.0"),
        ([((5).to_bytes(8), None)], "version 0.1.0"),
        ([change(5, 5, tag=NO_TAG)], "version 0.1.0"),
        ([(bucket_key(5), b"torn")], "torn"),
        ([(bucket_key(5), (change(5, 5)[1] or b"")[:-1])], "torn"),
        ([(bucket_key(5), None)], "no bucket"),
        ([(b"a stranger's key", b"x")], "no bucket"),
    ],
)
def test_a_changelog_that_does_not_say_all_is_refused(records: list[Change], said: str) -> None:
    """Judged twice, of version 0.1.0, torn, removed, a stranger's: each has its reason."""

    def sift() -> None:
        sieve = Sieve(frozenset(), 100)
        for one in records:
            sieve.take(*one)
        sieve.finish()

    with pytest.raises(UnfitChangelogError, match=said):
        sift()


def test_what_a_newer_version_wrote_is_not_guessed() -> None:
    """The sieve says so itself; no other way is taken."""
    with pytest.raises(NewerFormatError):
        Sieve(frozenset(), 100).take(b"\x02" + bytes(8), b"x")
