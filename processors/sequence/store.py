"""The store of group `sequence`: the sequences of one partition, as `processors.sequence.tracker` left them.

Their form in the changelog stands in `processors.sequence.state`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from processors.runtime.state_store import Change, StateStore
from processors.sequence.state import SequenceState, Step, entries, read_entry, restore
from processors.sequence.tracker import GapRules
from schemas.errors import DropstreamError
from schemas.late_log import LateLog
from schemas.notes.gaps import gap_record
from schemas.records import Record

_log = LateLog()


@dataclass(slots=True, eq=False, weakref_slot=True)
class SequenceStore(StateStore):
    """The sequences of one partition, by endpoint. `rules` bound the holes of each endpoint."""

    rules: GapRules
    evicted: int = 0
    # The changelog as it is committed, and the states that it means; None until they are needed.
    _memory: dict[bytes, bytes] = field(default_factory=dict)
    _states: dict[str, SequenceState] | None = None
    # The running transaction.
    _overlay: dict[str, SequenceState] = field(default_factory=dict)
    _changed: dict[bytes, bytes | None] = field(default_factory=dict)
    _given_up: int = 0
    _skipped: list[str] = field(default_factory=list)

    @property
    def entries(self) -> int:
        """How many heads and holes memory holds."""
        return len(self._memory)

    @property
    def shown(self) -> Collection[SequenceState]:
        """The committed states; none while the changelog is being read."""
        return (self._states or {}).values()

    def find(self, endpoint: str) -> SequenceState | None:
        """The endpoint's state as the running transaction has left it; None before its first observation."""
        return self._overlay.get(endpoint) or self._committed_states().get(endpoint)

    def endpoints(self) -> Sequence[str]:
        """Every endpoint that has a sequence."""
        return list(self._committed_states() | self._overlay)

    def newest_receipt(self) -> datetime | None:
        """The newest time of a receipt that is believed, over all endpoints."""
        return max((state.stream_at for state in self._committed_states().values()), default=None)

    def apply(self, step: Step) -> list[Record]:
        """Takes the step's state into the running transaction; its gaps as records."""
        self._overlay[step.state.endpoint] = step.state
        self._changed.update(entries(step))
        self._given_up += step.given_up_count
        return [gap_record(gap) for gap in step.gaps]

    def skip(self, position: str) -> None:
        """Counts the record at `position`, which is no observation, for a log line at the commit."""
        self._skipped.append(position)

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Takes the latest value of a head or a hole.

        Raises:
            ValueError: the record is neither.
        """
        if value is None:
            self._memory.pop(key, None)
        else:
            read_entry(key, value)
            self._memory[key] = value
        self._states = None

    def changes(self) -> Sequence[Change]:
        """The last value of every changed key; a hole that came and went within the transaction leaves no trace."""
        return [(key, value) for key, value in self._changed.items() if value is not None or key in self._memory]

    def commit(self) -> None:
        """Moves the overlay into memory, and logs what a person should look at."""
        for key, value in self.changes():
            if value is None:
                del self._memory[key]
            else:
                self._memory[key] = value
        self._committed_states().update(self._overlay)
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

    def by_endpoint(self) -> Mapping[str, Sequence[Change]]:
        """The committed changelog records of each endpoint: its head and its holes."""
        found: dict[str, list[Change]] = {}
        for key, value in self._memory.items():
            found.setdefault(read_entry(key, value)[0], []).append((key, value))
        return found

    def _committed_states(self) -> dict[str, SequenceState]:
        if self._states is None:
            try:
                self._states = restore(self._memory)
            except ValueError as error:
                raise DropstreamError(
                    f"the changelog of the sequences is corrupt: {error}\n"
                    "Something else wrote there. Begin with a fresh changelog topic."
                ) from error
        return self._states
