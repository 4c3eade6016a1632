"""What group `sequence` remembers of one partition, and what it does with a record and with time.

The tracker itself is pure and stands in `processors.sequence.tracker`; here its states live in memory, its changes go
to the changelog. A record that is no observation is passed over: somebody else wrote it, and it must not stop the
others.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from processors.runtime.state_store import Change
from processors.sequence import tracker as sequence
from processors.sequence.receipts import arrival_of
from processors.sequence.state import SequenceState, Step, entries, read_entry, restore
from processors.sequence.tracker import GapRules
from schemas.errors import DropstreamError
from schemas.notes.gaps import gap_record
from schemas.notes.sequence_observations import read_observation
from schemas.records import RawRecord, Record

# Time alone passes no receipt still on its way: what lies in `raw` is read first (`runtime.upstream`), and this long
# one may take from the ingress to there. Ahead of it, a hole would be reported that the receipt fills in time, and a
# replay, which knows receipts only, would differ. So it is where the receipt waits in an ingress's spool for longer.
TRAIL = timedelta(seconds=5)
# The gaps of one punctuation fit in one transaction; the rest is due at the next.
_PUNCTUATE_GAPS_MAX = 10_000

_log = structlog.get_logger()


@dataclass(slots=True, eq=False, weakref_slot=True)
class SequenceStore:
    """The sequences of one partition by endpoint; a `State`. Holes are bounded per endpoint by the rules."""

    rules: GapRules
    evicted: int = 0
    # The changelog as it is committed, and the states that it means; None until they are asked for.
    _kept: dict[bytes, bytes] = field(default_factory=dict)
    _committed: dict[str, SequenceState] | None = None
    # The running transaction.
    _overlay: dict[str, SequenceState] = field(default_factory=dict)
    _changed: dict[bytes, bytes | None] = field(default_factory=dict)
    _given_up: int = 0
    _skipped: list[str] = field(default_factory=list)

    @property
    def entries(self) -> int:
        """How many heads and holes are remembered."""
        return len(self._kept)

    @property
    def shown(self) -> Collection[SequenceState]:
        """The committed states; none while the changelog is being read."""
        return (self._committed or {}).values()

    def find(self, endpoint: str) -> SequenceState | None:
        """The endpoint's state as the running transaction has left it; None before its first observation."""
        return self._overlay.get(endpoint) or self._states().get(endpoint)

    def endpoints(self) -> Sequence[str]:
        """Every endpoint that is known."""
        return list(self._states() | self._overlay)

    def take(self, step: Step) -> list[Record]:
        """The step's gaps as records; its state counts from now on."""
        self._overlay[step.state.endpoint] = step.state
        self._changed.update(entries(step))
        self._given_up += step.given_up_count
        return [gap_record(gap) for gap in step.gaps]

    def skip(self, place: str) -> None:
        """Notes that the record at `place` is no observation."""
        self._skipped.append(place)

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Takes the latest value of a head or a hole.

        Raises:
            ValueError: the record is neither.
        """
        if value is None:
            self._kept.pop(key, None)
        else:
            read_entry(key, value)
            self._kept[key] = value
        self._committed = None

    def changes(self) -> Sequence[Change]:
        """The last value of every changed key; a hole that came and went within the transaction leaves no trace."""
        return [(key, value) for key, value in self._changed.items() if value is not None or key in self._kept]

    def commit(self) -> None:
        """Moves the overlay into memory, and tells of what a person should look at."""
        for key, value in self.changes():
            if value is None:
                del self._kept[key]
            else:
                self._kept[key] = value
        self._states().update(self._overlay)
        self.evicted += self._given_up
        if self._given_up:
            _log.warning("holes_given_up", count=self._given_up)
        if self._skipped:
            _log.warning("not_observations", count=len(self._skipped), first=self._skipped[0])
        self.roll_back()

    def roll_back(self) -> None:
        """Forgets the overlay."""
        self._overlay = {}
        self._changed = {}
        self._given_up = 0
        self._skipped = []

    def _states(self) -> dict[str, SequenceState]:
        if self._committed is None:
            self._committed = _restored(self._kept)
        return self._committed


def observe(record: RawRecord, tracking: SequenceStore) -> Sequence[Record]:
    """The gaps that one record of `sequence` makes known; none for what is no observation."""
    observation = read_observation(record.value)
    if observation is None:
        tracking.skip(str(record.position))
        return ()
    arrival = arrival_of(observation)
    return tracking.take(sequence.observe(tracking.find(arrival.endpoint), arrival, tracking.rules))


def punctuate(tracking: SequenceStore, now: datetime) -> Sequence[Record]:
    """The gaps that time alone makes known by `now` (aware), less the trail."""
    records: list[Record] = []
    for endpoint in tracking.endpoints():
        state = tracking.find(endpoint)
        if state is not None and (step := sequence.advance(state, now - TRAIL, tracking.rules)).state is not state:
            records += tracking.take(step)
        if len(records) >= _PUNCTUATE_GAPS_MAX:
            break
    return records


def _restored(kept: Mapping[bytes, bytes]) -> dict[str, SequenceState]:
    try:
        return restore(kept)
    except ValueError as error:
        raise DropstreamError(
            f"the changelog of the sequences is corrupt: {error}\n"
            "Something else wrote there. Begin with a fresh changelog topic."
        ) from error
