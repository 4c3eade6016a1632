"""The arithmetic of the benchmark."""

import itertools

import pytest

from tests.bench.load.schedule import arrivals_ns
from tests.bench.report.figures import figure, percentile, ratio


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [
        (1, 0.5, 1),
        (100, 0.5, 50),
        (100, 0.99, 99),
        (1000, 0.999, 999),
        (1001, 0.999, 1000),
        (10, 0.99, 10),
        (10, 0.0, 1),
        (10, 1.0, 10),
    ],
)
def test_a_percentile_is_a_measured_value(count: int, share: float, expected: int) -> None:
    """It is the smallest value that the share of all values does not exceed."""
    assert percentile(range(1, count + 1), share) == expected


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 1.1), ([1.0], -0.1)])
def test_no_percentile_of_nothing(values: list[float], share: float) -> None:
    """Nothing is made up where nothing was measured."""
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


def test_a_figure_keeps_its_spread() -> None:
    """The median, and what the rounds went between."""
    made = figure([5.0, 1.0, 3.0, 40.0])
    assert (made.median, made.smallest, made.largest) == (4.0, 1.0, 40.0)
    with pytest.raises(ValueError, match="no samples"):
        figure([])


def test_a_ratio_is_taken_round_by_round() -> None:
    """A round that the machine disturbed for both changes nothing: 10/20 and 30/60 are one half each."""
    assert ratio(figure([10.0, 30.0]), figure([20.0, 60.0])).samples == (0.5, 0.5)


@pytest.mark.parametrize("theirs", [[1.0], [1.0, 0.0]])
def test_no_ratio_of_what_cannot_be_compared(theirs: list[float]) -> None:
    """Other rounds, or a zero, give no ratio."""
    with pytest.raises(ValueError, match="ratio"):
        ratio(figure([1.0, 1.0]), figure(theirs))


def test_the_open_loop_is_fixed_beforehand() -> None:
    """The same seed gives the same times, whenever they are asked for, and they only go forward."""
    first, again, other = (list(itertools.islice(arrivals_ns(500, seed=seed), 2_000)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first == sorted(first)


def test_the_open_loop_keeps_its_rate() -> None:
    """500 a second are 10,000 in 20 s, within four standard deviations of a Poisson process."""
    *_, last = itertools.islice(arrivals_ns(500, seed=3), 10_000)
    assert 19.2e9 < last < 20.8e9
