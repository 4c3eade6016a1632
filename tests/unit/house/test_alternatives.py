"""The page of the alternatives hides nothing: each line of its comparison says who does it better."""

import re

from tests.support.checkout import ROOT

PAGE = (ROOT / "docs" / "alternatives.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of each row of the table under a heading, its head included."""
    section = PAGE.partition(f"### {heading}\n")[2].partition("\n### ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_line_of_the_comparison_says_who_is_better() -> None:
    """No cell is empty, the last names one of those that are compared, and not all of them name dropstream."""
    for heading, others in (
        ("For the person on call", ("Hookdeck", "Convoy", "Redpanda Console")),
        ("Charts", ("KEDA", "Strimzi")),
    ):
        head, *lines = rows(heading)
        assert [re.sub(r"\[(.+)\]\(.+\)", r"\1", cell) for cell in head[1:-1]] == ["dropstream", *others]
        assert head[-1] == "better"
        for line in lines:
            assert len(line) == len(head), line[0]
            assert all(line), line[0]
            assert any(name in line[-1] for name in ("dropstream", *others)), line[0]
        assert any(f"**{name}" in line[-1] for line in lines for name in others)


def test_every_name_of_the_comparison_has_a_source() -> None:
    """Each of those that are compared is linked on the page, so that a reader can look whether it is still so."""
    for name in ("Hookdeck", "Convoy", "Redpanda Console", "KEDA's", "Strimzi's"):
        assert f"[{name}](https://" in PAGE
