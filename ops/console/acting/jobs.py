"""Keeps the acts that were done from the console for the page, and logs them; without bodies and secrets."""

from dataclasses import dataclass, field
from typing import Literal

import structlog

_KEPT = 20
_log = structlog.get_logger()

JobState = Literal["running", "done", "failed"]


@dataclass(slots=True)
class Job:
    """One act: who started it and when, how far it is, and its outcome."""

    number: int
    title: str
    who: str
    at_ms: int
    state: JobState = "running"
    done: int = 0
    total: int = 0
    outcome: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Jobs:
    """The newest acts, and every one that still runs."""

    _kept: list[Job] = field(default_factory=list)
    _count: int = 0

    def start(self, act: str, title: str, *, who: str, at_ms: int, **facts: str | int | None) -> Job:
        """Adds and logs a job that runs from now on."""
        self._count += 1
        job = Job(self._count, title, who, at_ms)
        newest, older = self._kept[: _KEPT - 1], self._kept[_KEPT - 1 :]
        self._kept = [job, *newest, *(one for one in older if one.state == "running")]
        _log.info("console_act", act=act, who=who, **{name: one for name, one in facts.items() if one is not None})
        return job

    def end(self, job: Job, state: JobState, outcome: list[tuple[str, str]]) -> None:
        """Sets and logs the outcome of the job."""
        job.state, job.outcome = state, outcome
        _log.info("console_act_ended", job=job.title, who=job.who, state=state, outcome=dict(outcome))

    @property
    def is_busy(self) -> bool:
        """Whether a job still runs."""
        return any(job.state == "running" for job in self._kept)

    def all(self) -> list[Job]:
        """All kept jobs, the newest first."""
        return list(self._kept)
