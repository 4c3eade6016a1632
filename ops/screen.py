"""Writes to the screen: colour and tables on a terminal, plain tab-separated lines in a pipe.

It decides the form only. Text of strangers is made harmless here, and nothing is read as markup.
"""

import os
import select
import sys
from collections.abc import Iterable, Mapping, Sequence

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

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

# The padding between two columns of a table, and the blank where a box would have its line.
_BETWEEN_COLUMNS = 3


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


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, spare: Sequence[str] = ()) -> None:
    """Writes a table that fits the terminal; in a pipe a line for each row, tabs between its cells, without a heading.

    Cells are wrapped between words only, so that names, ids and URLs stay whole; where that is too wide, the columns
    in `spare` are left out, the first of them first.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    if not is_terminal():
        for row in cells:
            write_line("\t".join(row))
        return
    least = {name: max(map(_longest_word, texts)) for name, *texts in zip(columns, columns, *cells, strict=True)}
    left_out: list[str] = []
    for name in spare:
        if sum(least.values()) + _BETWEEN_COLUMNS * len(least) > console().width:
            del least[name]
            left_out.append(name)
    _draw(columns, cells, least)
    if left_out:
        say(f"left out, for the terminal is narrow: {', '.join(left_out)}", style="dim")


def _draw(columns: Sequence[str], cells: Iterable[Sequence[str]], least: Mapping[str, int]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name, width in least.items():
        table.add_column(name, min_width=width)
    for row in cells:
        shown = [cell for name, cell in zip(columns, row, strict=True) if name in least]
        table.add_row(*(Text(cell, style=_STYLE_OF.get(cell, "")) for cell in shown))
    console().print(table, crop=False)


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


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
