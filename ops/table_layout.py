"""Fits a table into the width of a terminal: which columns stand beside each other, and which go below their row.

Nothing is left out and no word is cut: a name, an id or a URL can be copied from a narrow terminal too. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

BETWEEN = "  "
BELOW = "    "


@dataclass(frozen=True, slots=True)
class TableLayout:
    """The width in characters of each column that stands in the table, in order; `below` go under each row."""

    widths: Mapping[str, int]
    below: Sequence[str]


def fit(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int,
    fold: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> TableLayout:
    """The layout in `width` characters: the columns in `fold` go below first, then the last ones; the first one stays.

    Cells wrap between words, but those of the columns in `whole` do not.
    """
    texts = {name: [name, *(row[place] for row in rows)] for place, name in enumerate(columns)}
    least = {name: max(map(cell_len if name in whole else _longest_word, column)) for name, column in texts.items()}
    most = {name: max(map(cell_len, column)) for name, column in texts.items()}
    kept = list(columns)
    for name in [*fold, *(one for one in reversed(columns[1:]) if one not in fold)]:
        if _total(least[one] for one in kept) <= width:
            break
        kept.remove(name)
    widths = {name: least[name] for name in kept}
    free = width - _total(widths.values())
    for name in kept:
        more = max(0, min(most[name] - least[name], free))
        widths[name] += more
        free -= more
    return TableLayout(widths, [name for name in columns if name not in kept])


def wrap(text: str, width: int) -> list[str]:
    """`text` on lines of at most `width` characters, broken between words only; a longer word has a line of its own."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _total(widths: Iterable[int]) -> int:
    numbers = list(widths)
    return sum(numbers) + len(BETWEEN) * (len(numbers) - 1)
