"""The table of a run of faults: a line on the screen for each, and the same as Markdown in a file, row by row.

The file is written anew behind each fault, so a run that somebody ends keeps the rows that it has.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.obligations import Load, Verdict

# What stands above each column, and how wide it is on the screen.
_HEAD = (
    ("deliveries", 11),
    ("200", 9),
    ("503", 7),
    ("none", 8),
    ("lost", 5),
    ("disordered", 11),
    ("copies", 7),
    ("most", 5),
    ("each", 6),
    ("peak memory", 12),
    ("healthy", 9),
    ("longest 200", 12),
    ("spool empty after", 18),
)
_NAME_WIDTH = 26
# The cells of a row that are summed up.
_COUNTS = 7


@dataclass(frozen=True, slots=True)
class Played:
    """How a fault went; `untidy` says in words what else was not as it should be."""

    load: Load
    verdict: Verdict
    peak_kib: int
    recovery_s: float
    untidy: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether every obligation was met, in order, and nothing else was wrong."""
        verdict = self.verdict
        return verdict.obligations > 0 and not (verdict.lost or verdict.disordered or self.untidy)

    def counts(self) -> tuple[int, ...]:
        """What is summed up over all faults, in the order of the columns."""
        load, verdict = self.load, self.verdict
        none = load.answers["none"] + load.answers["too late"]
        answers = (load.answers.total(), load.count, load.answers["503"], none)
        return (*answers, verdict.lost, verdict.disordered, verdict.copies)

    def cells(self) -> list[str]:
        """The row as text, without the name of the fault."""
        healthy = self.load.healthy_served
        return [
            *(f"{count:,}" for count in self.counts()),
            f"{self.verdict.most}",
            f"{self.verdict.each:.2f}",
            f"{self.peak_kib / 1_024:.0f} MB",
            "-" if healthy is None else f"{healthy:.1%}",
            f"{self.load.longest_s:.2f} s",
            f"{self.recovery_s:.1f} s",
        ]


@dataclass
class Table:
    """The rows so far of a run of `of` faults, in `file`."""

    file: Path
    of: int
    rows: list[tuple[str, list[str]]] = field(default_factory=list)
    sums: list[int] = field(default_factory=lambda: [0] * _COUNTS)
    good: bool = True
    begun: int = 0
    command: str = field(default_factory=lambda: " ".join(["python -m tests.chaos.ingress", *sys.argv[1:]]))

    def head(self) -> None:
        """Says what the columns are."""
        _say("fault", [text for text, _ in _HEAD])

    def begins(self, name: str) -> None:
        """Says which fault is played now."""
        self.begun += 1
        print(f"[{self.begun}/{self.of}] {name} begins at {datetime.now(UTC):%H:%M:%S}", flush=True)  # noqa: T201

    def played(self, name: str, played: Played) -> None:
        """Takes a row."""
        self.good = self.good and played.good
        self.sums = [before + now for before, now in zip(self.sums, played.counts(), strict=True)]
        self._row(name, played.cells(), played.untidy)

    def failed(self, name: str, error: Exception) -> None:
        """Takes a row of a fault that could not be played to its end."""
        self.good = False
        self._row(name, [""] * len(_HEAD), tuple(f"not played to its end: {one!r}" for one in _errors(error)))

    def ends(self) -> None:
        """Says what all rows have in sum."""
        _say("in sum", self._sum())
        print(f"The table is in {self.file}.", flush=True)  # noqa: T201

    def _row(self, name: str, cells: list[str], untidy: Sequence[str]) -> None:
        _say(name, cells)
        for what in untidy:
            print(f"    {what}", flush=True)  # noqa: T201
        self.rows.append((f"`{name}`", [*cells[:-1], "; ".join((cells[-1], *untidy))]))
        self._write()

    def _sum(self) -> list[str]:
        return [*(f"{count:,}" for count in self.sums), *[""] * (len(_HEAD) - _COUNTS)]

    def _write(self) -> None:
        rows = [("fault", [text for text, _ in _HEAD]), ("---", ["---"] * len(_HEAD)), *self.rows]
        if len(self.rows) == self.of:
            rows.append(("in sum", self._sum()))
        lines = "".join(f"| {name} | {' | '.join(cells)} |\n" for name, cells in rows)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        title = f"`{self.command}`, {datetime.now(UTC):%d %B %Y}; {len(self.rows)} of {self.of} faults\n\n"
        self.file.write_text(title + lines)


def _say(name: str, cells: Sequence[str]) -> None:
    line = "".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, _HEAD, strict=True))
    print(f"{name:<{_NAME_WIDTH}}{line}", flush=True)  # noqa: T201


def _errors(error: Exception) -> list[Exception]:
    """What a group of errors holds, or the error itself."""
    if isinstance(error, ExceptionGroup):
        return [inner for one in error.exceptions for inner in _errors(one)]
    return [error]
