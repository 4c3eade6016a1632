"""What the page may say of selected deliveries: where they lie in raw, and for a redrive in rejected too."""

import pytest

from ops.console.acting.selection import Selection, read_selection
from schemas.errors import UsageError


def test_a_redrive_is_planned_from_rejected_and_a_replay_from_raw() -> None:
    """Both are told by their places in raw; a redrive reads the same deliveries where they were rejected."""
    assert read_selection("redrive", "2:17@0:5,2:18@1:6") == Selection("redrive", ("2:17", "2:18"), ((0, 5), (1, 6)))
    assert read_selection("replay", "2:17,0:3@9:9") == Selection("replay", ("2:17", "0:3"), ((2, 17), (0, 3)))


@pytest.mark.parametrize(
    ("act", "deliveries", "sentence"),
    [
        ("dismiss", "2:17", "a selection can be redriven or replayed"),
        (None, "2:17", "a selection can be redriven or replayed"),
        ("replay", None, "select 1 to 200 deliveries"),
        ("replay", "", "select 1 to 200 deliveries"),
        ("replay", ",".join(["0:1"] * 201), "select 1 to 200 deliveries"),
        ("redrive", "2:17@0:5,2:18", "a redrive takes rejected deliveries only"),
        ("replay", "2:17,all", "this is no selection of deliveries"),
        ("replay", "2:-17", "this is no selection of deliveries"),
        ("replay", "٢:17", "this is no selection of deliveries"),
        ("replay", "2:1234567890123456789", "this is no selection of deliveries"),
    ],
)
def test_what_is_no_selection_is_refused_in_a_sentence(act: str | None, deliveries: str | None, sentence: str) -> None:
    """An accepted delivery among rejected ones refuses the redrive as a whole: nothing is left out unsaid."""
    with pytest.raises(UsageError, match=sentence):
        read_selection(act, deliveries)
