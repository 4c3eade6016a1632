"""What was measured, as tables for people and as JSON; each bar beside its value. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.report.figures import Figure

Progress = Callable[[str], None]
Rows = Mapping[str, Mapping[str, Figure | None]]


@dataclass(frozen=True, slots=True)
class Section:
    """One table: rows by what was measured, columns by figure; None where a row has no such figure."""

    key: str
    title: str
    rows: Rows
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure should be: at most `limit`, or at least; `measured` is None where `note` says why."""

    name: str
    limit: float
    measured: Figure | None
    at_least: bool = False
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the median keeps to the limit."""
        if self.measured is None:
            return None
        median = self.measured.median
        return median >= self.limit if self.at_least else median <= self.limit


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of the benchmark gives."""

    sections: Sequence[Section] = ()
    bars: Sequence[Bar] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything of one run, as far as it has come."""

    machine: dict[str, str]
    parts: list[Part]

    @property
    def sections(self) -> tuple[Section, ...]:
        return tuple(section for part in self.parts for section in part.sections)

    @property
    def bars(self) -> tuple[Bar, ...]:
        return tuple(bar for part in self.parts for bar in part.bars)


def text(report: Report) -> str:
    """The report for a terminal: medians, and in brackets the smallest and largest round."""
    lines = ["", *(f"{name}: {value}" for name, value in report.machine.items())]
    for section in report.sections:
        lines += [
            "",
            section.title,
            *(_table(section.rows) if section.rows else ()),
            *(f"  {note}" for note in section.notes),
        ]
    if report.bars:
        lines += ["", "Bars"]
        lines += [_bar_line(bar, max(len(one.name) for one in report.bars)) for bar in report.bars]
    return "\n".join(lines) + "\n"


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain data, every round in it."""
    return {
        "machine": dict(report.machine),
        "sections": {section.key: _section_json(section) for section in report.sections},
        "bars": [
            {
                "name": bar.name,
                "limit": bar.limit,
                "kind": "at least" if bar.at_least else "at most",
                "measured": _figure_json(bar.measured),
                "reached": bar.reached,
                "note": bar.note,
            }
            for bar in report.bars
        ],
    }


def number(value: float) -> str:
    """A figure as people read it: three digits that matter, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _table(rows: Rows) -> list[str]:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    table = [["", *columns], *([name, *(_cell(row.get(column)) for column in columns)] for name, row in rows.items())]
    widths = [max(len(line[number]) for line in table) for number in range(len(columns) + 1)]
    return [
        "  "
        + "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in table
    ]


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    if figure.smallest == figure.largest:
        return number(figure.median)
    return f"{number(figure.median)} [{number(figure.smallest)}-{number(figure.largest)}]"


def _bar_line(bar: Bar, width: int) -> str:
    limit = f"{'at least' if bar.at_least else 'at most'} {number(bar.limit)}"
    word = {True: "reached", False: "NOT REACHED", None: "not judged"}[bar.reached]
    note = f"  ({bar.note})" if bar.note else ""
    return f"  {bar.name.ljust(width)}  {limit.rjust(13)}  {_cell(bar.measured).rjust(22)}  {word}{note}"


def _section_json(section: Section) -> dict[str, Any]:
    return {
        "title": section.title,
        "notes": list(section.notes),
        "rows": {
            name: {column: _figure_json(figure) for column, figure in row.items()} for name, row in section.rows.items()
        },
    }


def _figure_json(figure: Figure | None) -> dict[str, Any] | None:
    if figure is None:
        return None
    return {
        "median": figure.median,
        "smallest": figure.smallest,
        "largest": figure.largest,
        "rounds": list(figure.samples),
    }
