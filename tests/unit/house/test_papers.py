"""The papers, held to what they name: links lead somewhere, files and targets exist, and no verb is forgotten."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from ops.cli import app
from tests.support.checkout import ROOT

README = ROOT / "README.md"
PAPERS = sorted(
    [
        *(README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
    ]
)
# The folders of the house: what is in backticks and begins with one of them is a path of it.
FOLDERS = ("schemas", "ingest", "processors", "ops", "tests", "deploy", "docs", "examples")
README_LINES_MAX = 200

every_paper = pytest.mark.parametrize("paper", PAPERS, ids=lambda path: str(path.relative_to(ROOT)))


def without_blocks(text: str) -> str:
    """The text without its fenced blocks, where backticks and brackets mean something else."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(paper: Path) -> set[str]:
    """What a link into the paper may end with, as GitHub makes it of the headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", without_blocks(paper.read_text(encoding="utf-8")), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        number = sum(1 for one in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", one))
        found.add(f"{slug}-{number}" if number else slug)
    return found


def broken_links(paper: Path) -> Iterator[str]:
    """The relative links of the paper that lead nowhere."""
    for link in re.findall(r"\]\(([^)\s]+)\)", without_blocks(paper.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (paper.parent / file).resolve() if file else paper
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


def paths_named(paper: Path) -> Iterator[str]:
    """The paths of the house that stand in backticks; a `*` stands for anything."""
    for quoted in re.findall(r"`([^`\n]+)`", without_blocks(paper.read_text(encoding="utf-8"))):
        if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./*-]*", quoted) or re.fullmatch(r"[A-Z]+\.md|Makefile", quoted):
            yield quoted


def verbs(command: Any, name: str) -> Iterator[str]:
    """Every verb as it is called, those in groups too."""
    inner = getattr(command, "commands", {})
    if not inner:
        yield name
    for word, one in inner.items():
        yield from verbs(one, f"{name} {word}")


def test_the_readme_can_be_read_in_one_sitting() -> None:
    """At most 200 lines: what is more belongs into the paper that it is about."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= README_LINES_MAX


@every_paper
def test_every_link_leads_somewhere(paper: Path) -> None:
    """The file of a relative link exists, and the heading behind its `#`."""
    assert list(broken_links(paper)) == []


@every_paper
def test_every_file_that_is_named_exists(paper: Path) -> None:
    """A path in backticks is one of the house."""
    assert [path for path in paths_named(paper) if not list(ROOT.glob(path))] == []


@every_paper
def test_every_target_and_module_that_is_called_exists(paper: Path) -> None:
    """`make X` is in the Makefile, and `python -m X` is a module."""
    text = paper.read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= targets
    assert [name for name in re.findall(r"python -m ((?:tests|ops)[\w.]*)", text) if find_spec(name) is None] == []


def test_every_verb_stands_in_a_paper() -> None:
    """A person finds each verb of `dropstream` in docs/operate.md or in the README, as it is called."""
    papers = README.read_text(encoding="utf-8") + (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    missing = [verb for verb in verbs(get_command(app), "dropstream") if not re.search(rf"`{verb}[` ]", papers)]
    assert missing == []


def test_every_paper_is_found_from_the_readme() -> None:
    """No paper of docs/ is an island: the README leads to each, and to the runbook."""
    text = README.read_text(encoding="utf-8")
    named = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("*.html"), ROOT / "deploy" / "runbook.md"]
    assert [str(path.relative_to(ROOT)) for path in named if f"({path.relative_to(ROOT)})" not in text] == []
