"""Writes to the screen: colour and tables on a terminal, plain tab-separated lines in a pipe.

It decides the form only. Text of strangers is made harmless here, and nothing is read as markup.
"""

import io
import json
import os
import re
import select
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ops.table_layout import BELOW, BETWEEN, TableLayout, fit, wrap
from schemas.errors import DropstreamError, UsageError

# A cell that is one of these words says how things are; the colour says it again.
_STYLE_OF = {
    "ok": "green",
    "agrees": "green",
    "created": "green",
    "altered": "green",
    "yes": "green",
    "200": "green",
    "missing": "yellow",
    "warning": "yellow",
    "no": "yellow",
    "differs": "red",
    "error": "bold red",
    "failed": "bold red",
}

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")

# A cell of a table; None is shown as `-`.
Cell = str | int | bool | None
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Header = Annotated[bool, typer.Option("--header", help="In a pipe: first a line with the names of the columns.")]


def accept_any_text() -> None:
    """Lets the output replace what the terminal's character set does not have; without it such a text is an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def console() -> Console:
    """Standard output as rich sees it now; NO_COLOR counts."""
    return Console(markup=False, highlight=False, emoji=False)


def is_terminal() -> bool:
    """Whether a person looks at standard output, not a pipe."""
    return console().is_terminal


def printable(text: str) -> str:
    """`text` on one line with nothing in it that a terminal obeys."""
    return "".join(character if character.isprintable() else "�" for character in text)


def say(line: str, *, style: str = "") -> None:
    """Writes one line of our own words to standard output; `style` counts on a terminal only."""
    if is_terminal():
        # Wrapped between words only: a path or a URL stays one piece to copy.
        console().print(Text(line, style=style, overflow="ignore"), crop=False)
    else:
        write_line(line)


class ReaderGoneError(Exception):
    """The reader of the output has closed the pipe: that ends the verb, and is no failure of it."""


def write_line(line: str) -> None:
    """Writes one line exactly and flushes it.

    Raises:
        ReaderGoneError: the reader has closed the pipe.
        DropstreamError: the line cannot be written, as on a full disk.
    """
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        leave_output()
        raise ReaderGoneError from error
    except OSError as error:
        leave_output()
        raise DropstreamError(f"cannot write to standard output: {error.strerror or error}") from error


def write_json(text: str) -> None:
    """Writes one line of JSON; in an output that has no UTF-8, with escapes in place of what is not ASCII."""
    if sys.stdout.encoding.lower().replace("-", "") != "utf8":
        text = _NOT_ASCII.sub(_escaped, text)
    write_line(text)


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    fold: Sequence[str] = (),
    whole: Sequence[str] = (),
    as_json: bool = False,
    header: bool = False,
) -> None:
    """Writes a table that fits the terminal; in a pipe a line for each row, tabs between its cells.

    On a terminal no cell is cut: cells wrap between words, those of `whole` do not; where that is too wide, columns go
    below their row, those in `fold` first (`ops.table_layout`). In a pipe `header` begins with the names of the
    columns. `as_json` writes one JSON object for each row, with numbers as numbers.
    """
    if as_json:
        names = [name.replace(" ", "_") for name in columns]
        for row in rows:
            named = dict(zip(names, row, strict=True))
            # Not orjson: an id that another producer made up may be longer than 64 bits.
            write_json(json.dumps(named, separators=(",", ":"), ensure_ascii=False))
        return
    cells = [[printable(_cell_text(cell)) for cell in row] for row in rows]
    if is_terminal():
        _draw(columns, cells, fit(columns, cells, width=console().width, fold=fold, whole=whole))
        return
    for line in [columns, *cells] if header else cells:
        write_line("\t".join(line))


def _draw(columns: Sequence[str], rows: Iterable[Sequence[str]], layout: TableLayout) -> None:
    terminal = console()
    _draw_row(terminal, [(name, "bold") for name in layout.widths], layout)
    line = "-" if terminal.options.ascii_only else "\u2500"
    _print(terminal, Text(line * (sum(layout.widths.values()) + len(BETWEEN) * (len(layout.widths) - 1)), style="dim"))
    for row in rows:
        cells = dict(zip(columns, row, strict=True))
        _draw_row(terminal, [(cells[name], _STYLE_OF.get(cells[name], "")) for name in layout.widths], layout)
        below = BETWEEN.join(f"{name}: {cells[name]}" for name in layout.below if cells[name])
        for text in wrap(below, terminal.width - len(BELOW)) if below else ():
            _print(terminal, Text(BELOW + text, style="dim"))


def _draw_row(terminal: Console, cells: Sequence[tuple[str, str]], layout: TableLayout) -> None:
    """Draws the cells of one row, each a text and its style, on as many lines as the highest of them needs."""
    widths = list(layout.widths.values())
    wrapped = [wrap(text, width) for (text, _), width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, wrapped))):
        line = Text()
        for (_, style), lines, width in zip(cells, wrapped, widths, strict=True):
            text = lines[number] if number < len(lines) else ""
            line.append(text, style=style).append(" " * (width - cell_len(text)) + BETWEEN)
        line.rstrip()
        _print(terminal, line)


def _print(terminal: Console, line: Text) -> None:
    terminal.print(line, crop=False, no_wrap=True, overflow="ignore")


def _cell_text(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return "-" if cell is None else str(cell)


def _escaped(found: re.Match[str]) -> str:
    """A character as JSON writes it in ASCII: RFC 8259, section 7."""
    return json.dumps(found[0])[1:-1]


def complain(sentence: str) -> None:
    """Writes an error to standard error: what is wrong, where, what to do."""
    first, _, rest = sentence.partition("\n")
    errors = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if errors.is_terminal:
        text = Text.assemble(("error: ", "bold red"), first + (f"\n{rest}" if rest else ""), overflow="ignore")
        errors.print(text, crop=False)
    else:
        sys.stderr.write(f"error: {sentence}\n")


def note(line: str) -> None:
    """Writes one line to standard error, for standard output may go into a file."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def can_ask() -> bool:
    """Whether a person is there to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def is_reader_gone() -> bool:
    """Whether the reader of the output has closed the pipe; found out without writing."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def leave_output() -> None:
    """Redirects failed standard output to the null device, so that the flush at exit does not fail too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def confirm(question: str, *, yes: bool) -> None:
    """Returns where a person agrees.

    Raises:
        UsageError: there is no terminal to ask at.
        typer.Exit: the answer is no; with 1.
    """
    if yes:
        return
    if not (is_terminal() and can_ask()):
        raise UsageError("nobody can be asked here; say --yes, or look first with --dry-run")
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        raise typer.Exit(130) from None
    if not agreed:
        raise typer.Exit(1)
