"""Where the page's facts come from, and since when each is there or away."""

from dataclasses import dataclass, field
from typing import Literal

State = Literal["waiting", "well", "away"]


@dataclass(frozen=True, slots=True)
class Source:
    """One source: `since_ms` is when this state began, `detail` one sentence for a person."""

    name: str
    state: State
    since_ms: int
    detail: str = ""


@dataclass(slots=True)
class Sources:
    """Each source by name, in the order in which they were first heard of."""

    _known: dict[str, Source] = field(default_factory=dict)

    def say(self, name: str, state: State, *, now_ms: int, detail: str = "") -> None:
        """The source is so now; a state that goes on keeps its beginning."""
        before = self._known.get(name)
        since_ms = before.since_ms if before and before.state == state else now_ms
        self._known[name] = Source(name, state, since_ms, detail)

    def all(self) -> list[Source]:
        """Every source."""
        return list(self._known.values())
