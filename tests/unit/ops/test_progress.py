"""How far a long verb is, in a pipe."""

import re

import pytest

from ops.progress import Meter, ProgressBar
from ops.progress_shown import progress_shown


def test_a_line_in_a_pipe_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Done, in all, records a second and seconds left, separated by tabs; the total may come later."""
    with progress_shown("audit", 0, 0, line_every_s=0) as bar:
        bar.set_total(100)
        bar.advance(40)
        bar.advance(60)
    first, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"audit\t40\t100\t\d+/s\t\d+ s left", first)
    assert re.fullmatch(r"audit\t100\t100\t\d+/s\t0 s left", last)


def test_a_short_one_says_nothing_on_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe is told every few seconds, so one that ends sooner has its result alone."""
    with progress_shown("audit", 10, 0, line_every_s=3_600) as bar:
        bar.advance(10)
    assert capsys.readouterr().out == ""


def test_readers_one_after_another_fill_one_bar() -> None:
    """The total grows with each reader, and the bar ends where the last one has nothing left."""
    totals: list[int] = []
    done: list[int] = []
    meter = Meter(ProgressBar(totals.append, done.append))
    for left in (100, 40):
        meter.begin(left)
        meter.at(left // 2)
        meter.at(0)
    assert totals == [100, 140]
    assert sum(done) == 140


def test_a_pipe_that_wants_json_alone_gets_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Progress never stands between the lines of JSON."""
    with progress_shown("read", 10, 0, line_every_s=0, in_pipes=False) as bar:
        bar.advance(10)
    assert capsys.readouterr().out == ""
