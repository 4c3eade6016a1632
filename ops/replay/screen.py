"""What a person sees of a replay or a redrive: the plan, the question, the way it goes, and what became of it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ops import screen
from ops.replay.dry_run import Differences
from ops.replay.plan import Survey, own_topics, spread
from schemas.notes.replays import ReplayPlan
from schemas.notes.replays import ReplayProgress as Counts
from schemas.settings import Settings

_LINE_EVERY_S = 2.0


class _Rate(ProgressColumn):
    """Records a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


def show_plan(settings: Settings, plan: ReplayPlan, survey: Survey, *, dry_run: bool) -> None:
    """What is going to be read, and where it goes."""
    choice = plan.choice
    noun = "deliveries" if plan.source == "raw" else "rejected"
    rows = [
        ("id", plan.id if not dry_run else "none, for this is a dry run"),
        ("from", choice.begin or "the beginning"),
        ("to", choice.until or "the present end"),
        ("offsets", spread(plan.ranges) or "none"),
        (noun, f"{survey.count}" + (f" of {survey.count + survey.left_out}" if survey.left_out else "")),
        ("into", ", ".join(one.name for one in own_topics(settings, choice)) or "the live topics"),
    ]
    screen.show_table(("plan", ""), rows)
    if plan.source == "raw":
        screen.show_table(("endpoint", "deliveries"), _sorted(survey, with_reason=False))
    else:
        screen.show_table(("endpoint", "reason", "rejected"), _sorted(survey, with_reason=True))


def show_differences(differences: Differences) -> None:
    """What would be other than it is, and the first few by offset."""
    rows = [
        (kind, str(count), ", ".join(differences.first.get(kind, ())))
        for kind, count in sorted(differences.counts.items())
    ]
    screen.show_table(("against the topics now", "deliveries", "first"), rows)


@dataclass(frozen=True, slots=True)
class ProgressBar:
    """What is told how far it is: a bar on a terminal, a line now and then in a pipe."""

    set_total: Callable[[int], None]
    advance: Callable[[int], None]


@contextmanager
def progress_shown(name: str, total: int, done: int, *, line_every_s: float = _LINE_EVERY_S) -> Iterator[ProgressBar]:
    """A bar for `total` records of which `done` are done already."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    lines = _Lines(name, total, done, line_every_s)
    with Progress(*columns, console=screen.console(), disable=not screen.is_terminal()) as bar:
        task = bar.add_task(name, total=total, completed=done)

        def advance(count: int) -> None:
            bar.advance(task, count)
            lines.take(count)

        def set_total(count: int) -> None:
            bar.update(task, total=count)
            lines.total = count

        yield ProgressBar(set_total, advance)


class _Lines:
    """The same for a pipe: records done, records in all, records a second, seconds left."""

    def __init__(self, name: str, total: int, done: int, every_s: float) -> None:
        self._name, self.total, self._done, self._before, self._every_s = name, total, done, done, every_s
        self._began_at = self._told_at = time.monotonic()

    def take(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if screen.is_terminal() or now - self._told_at < self._every_s:
            return
        self._told_at = now
        rate = (self._done - self._before) / (now - self._began_at)
        left_s = (self.total - self._done) / rate if rate else 0
        # Whoever stops listening does not stop the replay.
        with contextlib.suppress(screen.ReaderGoneError):
            screen.write_line(f"{self._name}\t{self._done}\t{self.total}\t{rate:.0f}/s\t{left_s:.0f} s left")


def show_counts(plan: ReplayPlan, counts: Counts) -> None:
    """What became of the records, each counted once."""
    total = sum(one.count for one in plan.ranges)
    raw = plan.source == "raw"
    rows = [
        ("became events", counts.became),
        ("events", counts.events),
        ("rejected" if raw else "still rejected", counts.rejected),
        ("retries" if raw else "events already", counts.retries),
        ("left out", counts.left_out),
    ]
    if raw and counts.records < total:
        rows.append(("deleted unread", total - counts.records))
    screen.show_table((plan.id, "count"), [(name, str(count)) for name, count in rows])


def _sorted(survey: Survey, *, with_reason: bool) -> list[tuple[str, ...]]:
    return [
        (endpoint or "-", *((reason,) if with_reason else ()), str(count))
        for (endpoint, reason), count in sorted(survey.chosen.items())
    ]
