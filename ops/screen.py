"""What a person sees: colour and tables on a terminal, plain tab-separated lines in a pipe.

It decides form only. Text of strangers is made harmless here, and nothing is read as markup.
"""

import os
import select
import sys
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
    """One line of our own words on standard output; `style` counts on a terminal only."""
    if is_terminal():
        console().print(Text(line, style=style))
    else:
        write_line(line)


def write_line(line: str) -> None:
    """One line, exactly, and out at once: the reader of a pipe waits for nothing."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table that fits the terminal; in a pipe a line for each row, its cells separated by tabs, without a heading."""
    if not is_terminal():
        for row in rows:
            write_line("\t".join(printable(cell) for cell in row))
        return
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(printable(cell), style=_STYLE_OF.get(cell, ""), overflow="fold") for cell in row))
    console().print(table)


def complain(sentence: str) -> None:
    """An error on standard error: what is wrong, where, what to do."""
    first, _, rest = sentence.partition("\n")
    errors = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if errors.is_terminal:
        errors.print(Text.assemble(("error: ", "bold red"), first + (f"\n{rest}" if rest else "")))
    else:
        sys.stderr.write(f"error: {sentence}\n")


def is_reader_gone() -> bool:
    """Whether whoever read our pipe has closed it; found out without writing."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def leave_pipe() -> None:
    """Turns standard output to nowhere after its reader has gone, so that the exit flush does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
