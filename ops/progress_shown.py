"""Shows how far a long verb is: a bar on a terminal, a line every few seconds in a pipe."""

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

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
from ops.progress import ProgressBar

_LINE_EVERY_S = 2.0


@contextmanager
def progress_shown(
    name: str, total: int, done: int, *, line_every_s: float = _LINE_EVERY_S, in_pipes: bool = True
) -> Iterator[ProgressBar]:
    """Shows a bar called `name` for `total` records, of which `done` are done already.

    A pipe gets a line every `line_every_s`; nothing without `in_pipes`, as where its reader wants JSON alone.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen.console(), disable=not screen.is_terminal()) as bar:

        def shown(name: str, total: int = 0, done: int = 0) -> ProgressBar:
            lines = _ProgressLines(name, total, done, line_every_s)
            task = bar.add_task(name, total=total, completed=done)

            def advance(count: int) -> None:
                bar.advance(task, count)
                if in_pipes:
                    lines.advance(count)

            def set_total(count: int) -> None:
                bar.update(task, total=count)
                lines.total = count

            return ProgressBar(set_total, advance, shown)

        yield shown(name, total, done)


class _Rate(ProgressColumn):
    """The column with the records a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


class _ProgressLines:
    """Progress in a pipe, a line each: records done, records in all, records a second, seconds left."""

    def __init__(self, name: str, total: int, done: int, every_s: float) -> None:
        self._name, self.total, self._done, self._done_at_start, self._every_s = name, total, done, done, every_s
        self._started_at = self._written_at = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if screen.is_terminal() or now - self._written_at < self._every_s:
            return
        self._written_at = now
        rate = (self._done - self._done_at_start) / (now - self._started_at)
        left_s = (self.total - self._done) / rate if rate else 0
        # A reader of the pipe who stops listening does not stop the verb.
        with contextlib.suppress(screen.ReaderGoneError):
            screen.write_line(f"{self._name}\t{self._done}\t{self.total}\t{rate:.0f}/s\t{left_s:.0f} s left")
