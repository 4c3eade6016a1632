"""Keeps for each source of the page's facts whether it answers, and since when."""

from dataclasses import dataclass, field
from typing import Literal

SourceStatus = Literal["waiting", "well", "away"]


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source of facts: `since_ms` is when this state began, `detail` one sentence for a person."""

    name: str
    state: SourceStatus
    since_ms: int
    detail: str = ""


@dataclass(slots=True)
class Sources:
    """The state of each source by name, in the order in which they were first set."""

    _known: dict[str, SourceState] = field(default_factory=dict)

    def set(self, name: str, state: SourceStatus, *, now_ms: int, detail: str = "") -> None:
        """Sets the state of a source; a state that goes on keeps its beginning."""
        before = self._known.get(name)
        since_ms = before.since_ms if before and before.state == state else now_ms
        self._known[name] = SourceState(name, state, since_ms, detail)

    def all(self) -> list[SourceState]:
        """The state of every source."""
        return list(self._known.values())
