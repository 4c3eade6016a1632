"""Shows a person how far a replay's memory of retries is, and says why some of it takes long."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from ops.progress import HIDDEN_BAR, ProgressBar


@dataclass(slots=True)
class WarmUp:
    """The warm-up of one run: it has a part of its own in the verb's `bar`; `tell` gets each sentence for a person."""

    bar: ProgressBar = HIDDEN_BAR
    tell: Callable[[str], None] = lambda _sentence: None
    _part: ProgressBar | None = None
    _total: int = 0
    _reasons: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def expect(self, offsets: int) -> None:
        """So many offsets more are to be read."""
        if offsets <= 0:
            return
        if self._part is None:
            self._part = self.bar.part("memory of retries")
        self._total += offsets
        self._part.set_total(self._total)

    def advance(self, offsets: int) -> None:
        """So many offsets more are behind it."""
        if self._part is not None and offsets > 0:
            self._part.advance(offsets)

    def note_raw(self, partition: int, reason: str) -> None:
        """What the partition remembered is to be read in `raw`, for this reason."""
        self._reasons[reason].append(partition)

    def tell_reasons(self) -> None:
        """Says each reason once, with its partitions."""
        for reason, partitions in self._reasons.items():
            noun = "partition" if len(partitions) == 1 else "partitions"
            named = f"{noun} {', '.join(map(str, sorted(partitions)))}"
            self.tell(f"memory of retries: {named} read from raw, which takes longer: {reason}")
        self._reasons.clear()
