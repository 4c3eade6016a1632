"""Figures out of samples: percentiles, medians with their spread, ratios. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """A median of several rounds with the smallest and the largest of them; `samples` in the order of the rounds."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.samples)

    @property
    def smallest(self) -> float:
        return min(self.samples)

    @property
    def largest(self) -> float:
        return max(self.samples)


def figure(samples: Iterable[float]) -> Figure:
    """The figure of these samples.

    Raises:
        ValueError: there are none.
    """
    made = Figure(tuple(samples))
    if not made.samples:
        raise ValueError("no samples, no figure")
    return made


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of the `ordered` values do not exceed: one that was really measured.

    Raises:
        ValueError: there are no values, or `share` is out of range.
    """
    if not ordered or not 0 <= share <= 1:
        raise ValueError("a percentile needs values and a share from 0 to 1")
    # In millionths, for 0.999 * 1000 is a little more than 999.
    rank = -(-round(share * 1_000_000) * len(ordered) // 1_000_000)
    return ordered[max(rank, 1) - 1]


def ratio(ours: Figure, theirs: Figure) -> Figure:
    """Ours over theirs, round by round: what disturbs a round disturbs both of it.

    Raises:
        ValueError: they have not the same rounds, or theirs has a zero.
    """
    if len(ours.samples) != len(theirs.samples) or not all(theirs.samples):
        raise ValueError("a ratio needs the same rounds of both, and nothing that is zero")
    return figure(one / other for one, other in zip(ours.samples, theirs.samples, strict=True))
