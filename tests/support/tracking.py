"""One endpoint's tracker run by hand: arrivals and time go in, gaps come out, the changelog is kept beside it.

And a reader of `gaps` that knows nothing but the rule in `schemas.notes.gaps`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from processors.sequence.receipts import Arrival
from processors.sequence.state import SequenceState, Step, entries, restore
from processors.sequence.tracker import GapRules, advance, observe
from schemas.notes.gaps import Gap, GapState

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = GapRules(grace=timedelta(seconds=90), lost_after=timedelta(hours=110))
END_S = 10_000_000.0


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass
class Tracker:
    """Times are seconds after START; `event_s` None where the provider gave no time."""

    rules: GapRules = RULES
    state: SequenceState | None = None
    gaps: list[Gap] = field(default_factory=list)
    changelog: dict[bytes, bytes] = field(default_factory=dict)
    entry_counts: list[int] = field(default_factory=list)
    given_up_count: int = 0

    def arrive(self, sequence: int, received_s: float, event_s: float | None = None) -> None:
        self.take(observe(self.state, self.arrival(sequence, received_s, event_s), self.rules))

    def arrival(self, sequence: int, received_s: float, event_s: float | None) -> Arrival:
        time = None if event_s is None else at(event_s)
        return Arrival("acme", sequence, time, at(received_s), f"raw/0/{sequence}")

    def wait_until(self, now_s: float) -> None:
        assert self.state is not None
        self.take(advance(self.state, at(now_s), self.rules))

    def take(self, step: Step) -> None:
        self.state = step.state
        self.gaps += step.gaps
        self.given_up_count += step.given_up_count
        changed = entries(step)
        self.entry_counts.append(len(changed))
        for key, value in changed.items():
            if value is None:
                self.changelog.pop(key, None)
            else:
                self.changelog[key] = value

    def restored(self) -> SequenceState:
        return restore(self.changelog)["acme"]

    def told(self) -> list[tuple[str, int, int]]:
        return [(gap.state.value, gap.first, gap.last) for gap in self.gaps]

    def missing(self) -> set[int]:
        """Every id that the tracker itself holds to be missing."""
        assert self.state is not None
        return {id_ for hole in self.state.holes for id_ in range(hole.first, hole.last + 1)}


@dataclass
class Reader:
    """The ids that the records of `gaps` say are open and lost, by epoch; for small numbers."""

    open: set[tuple[int, int]] = field(default_factory=set)
    lost: set[tuple[int, int]] = field(default_factory=set)

    def read(self, gaps: Iterable[Gap]) -> "Reader":
        for gap in gaps:
            ids = {(gap.epoch, id_) for id_ in range(gap.first, gap.last + 1)}
            if gap.state is GapState.OPEN:
                assert not ids & (self.open | self.lost)
                self.open |= ids
            elif gap.state is GapState.FILLED:
                assert ids <= self.open
                self.open -= ids
            elif gap.state is GapState.LOST:
                assert not ids & self.lost
                self.open -= ids
                self.lost |= ids
            elif gap.state is GapState.MIXED:
                self.open.clear()
            else:
                assert not self.open
        return self
