"""How a table fits a terminal: every column is shown, nothing is cut, and no line is wider than the terminal."""

import json
from typing import Any

import pytest

from ops import screen
from ops.table_layout import fit, wrap

OFFSETS = ("group", "topic", "partition", "committed", "end", "lag", "members")
ROWS = [
    ("dropstream.deliver", "dropstream.raw", 11, 1_234_567, 1_234_600, 33, 2),
    ("dropstream.sequence", "dropstream.sequence", 0, None, 9_000, None, 0),
]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Draws a table on a terminal of so many columns, and gives its lines."""

    def draw(width: int, columns: tuple[str, ...], rows: list[Any], **how: Any) -> list[str]:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("LINES", "25")  # rich takes no width of a dumb terminal whose height it is not told.
        screen.show_table(columns, rows, **how)
        return capsys.readouterr().out.splitlines()

    return draw


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_every_cell_is_shown_within_the_width(terminal: Any, width: int) -> None:
    """Columns that do not fit stand below their row with their names; none is left out or cut."""
    lines = terminal(width, OFFSETS, ROWS, fold=("members", "end"))
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for cell in ("dropstream.deliver", "dropstream.sequence", "1234567", "33", "9000", "2"):
        assert cell in words


def test_what_is_folded_names_its_column(terminal: Any) -> None:
    """At 80 columns the members stand below, and the rest in one line."""
    assert terminal(80, OFFSETS, ROWS, fold=("members", "end")) == [
        "group                topic                partition  committed  end      lag",
        "─" * 76,
        "dropstream.deliver   dropstream.raw       11         1234567    1234600  33",
        "    members: 2",
        "dropstream.sequence  dropstream.sequence  0          -          9000     -",
        "    members: 0",
    ]


def test_cells_wrap_between_words_only() -> None:
    """A sentence goes over several lines, an id never."""
    assert wrap("a sentence of several words", 12) == ["a sentence", "of several", "words"]
    assert wrap("01984b2c-7b1f-7aa0-9d3e-1f2a3b4c5d6e", 10) == ["01984b2c-7b1f-7aa0-9d3e-1f2a3b4c5d6e"]
    assert fit(("id", "says"), [("0123456789", "one two three")], width=17).widths == {"id": 10, "says": 5}


def test_a_whole_column_stays_on_one_line() -> None:
    """A time is not broken between its day and its hour."""
    row = [("2026-05-21 14:32:11", "some words of a sentence")]
    assert fit(("time", "what"), row, width=30, whole=("time",)).widths == {"time": 19, "what": 9}


def test_a_pipe_gets_names_of_columns_when_it_asks(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --header lines alone; with it the names first, tabs between; also where there is no row."""
    screen.show_table(("topic", "lag"), [("raw", 3), ("orders", None)])
    screen.show_table(("topic", "lag"), [("raw", 3)], header=True)
    screen.show_table(("topic", "lag"), [], header=True)
    assert capsys.readouterr().out == "raw\t3\norders\t-\ntopic\tlag\nraw\t3\ntopic\tlag\n"


def test_json_has_numbers_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, its keys the columns, numbers as numbers and what is unknown as null."""
    screen.show_table(("topic", "what to do"), [("raw", 3), ("ñ", None)], as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"topic": "raw", "what_to_do": 3}, {"topic": "ñ", "what_to_do": None}]
