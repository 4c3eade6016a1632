"""How far a long verb is, as numbers: who reads tells them, `ops.progress_shown` shows them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProgressBar:
    """The bar of a verb: `set_total` says how many records there are, `advance` how many more are done.

    `part` shows a bar of this name beside it, for what has to be done before.
    """

    set_total: Callable[[int], None]
    advance: Callable[[int], None]
    part: Callable[[str], "ProgressBar"] = lambda _name: ProgressBar(lambda _total: None, lambda _count: None)


HIDDEN_BAR = ProgressBar(lambda _total: None, lambda _count: None)


@dataclass(slots=True)
class Meter:
    """Adds what several readers read, one after another, to one bar: of each is known how much it has left."""

    bar: ProgressBar = HIDDEN_BAR
    _total: int = 0
    _left: int = 0

    def begin(self, left: int) -> None:
        """The next reader has so much to read."""
        self._left = left
        self._total += left
        self.bar.set_total(self._total)

    def at(self, left: int) -> None:
        """The reader has so much left now."""
        self.bar.advance(self._left - left)
        self._left = left
