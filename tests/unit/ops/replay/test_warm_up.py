"""How a person sees that a replay makes its memory of retries."""

import pytest

from ops.progress_shown import progress_shown
from ops.replay.warm_up import WarmUp


def test_each_reason_is_told_once_with_its_partitions() -> None:
    """Whichever order they were found in; and told again, nothing."""
    said: list[str] = []
    told = WarmUp(tell=said.append)
    told.note_raw(7, "there is no changelog")
    told.note_raw(3, "nobody noted by which rules its window was judged")
    told.note_raw(2, "there is no changelog")
    told.tell_reasons()
    told.tell_reasons()
    assert said == [
        "memory of retries: partitions 2, 7 read from raw, which takes longer: there is no changelog",
        "memory of retries: partition 3 read from raw, which takes longer: "
        "nobody noted by which rules its window was judged",
    ]


def test_in_a_pipe_it_has_lines_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Beside those of the verb, with a total that grows; and none where nothing is to be read."""
    with progress_shown("replay-1", 10, 0, line_every_s=0) as bar:
        told = WarmUp(bar)
        told.expect(0)
        told.advance(5)
        assert capsys.readouterr().out == ""
        told.expect(100)
        told.expect(20)
        told.advance(60)
        bar.advance(10)
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("memory of retries\t60\t120\t")
    assert last.startswith("replay-1\t10\t10\t")
