"""Keeps the acts that were done from the console for the page, and logs them; without bodies and secrets."""

from dataclasses import dataclass, field
from typing import Literal

import structlog

_KEPT = 20
_log = structlog.get_logger()

ActState = Literal["running", "done", "failed"]


@dataclass(slots=True)
class ShownAct:
    """One act: who started it and when, how far it is, and its outcome."""

    number: int
    title: str
    who: str
    at_ms: int
    state: ActState = "running"
    done: int = 0
    total: int = 0
    outcome: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class ShownActs:
    """The newest acts, and every one that still runs."""

    _kept: list[ShownAct] = field(default_factory=list)
    _count: int = 0

    def start(self, kind: str, title: str, *, who: str, at_ms: int, **facts: str | int | None) -> ShownAct:
        """Adds and logs an act that runs from now on."""
        self._count += 1
        act = ShownAct(self._count, title, who, at_ms)
        newest, older = self._kept[: _KEPT - 1], self._kept[_KEPT - 1 :]
        self._kept = [act, *newest, *(one for one in older if one.state == "running")]
        _log.info("console_act", act=kind, who=who, **{name: one for name, one in facts.items() if one is not None})
        return act

    def end(self, act: ShownAct, state: ActState, outcome: list[tuple[str, str]]) -> None:
        """Sets and logs the outcome of the act."""
        act.state, act.outcome = state, outcome
        _log.info("console_act_ended", title=act.title, who=act.who, state=state, outcome=dict(outcome))

    @property
    def is_busy(self) -> bool:
        """Whether an act still runs."""
        return any(act.state == "running" for act in self._kept)

    def all(self) -> list[ShownAct]:
        """All kept acts, the newest first."""
        return list(self._kept)
