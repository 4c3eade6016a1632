"""What is skipped, told in one line for each command that brings it; nothing here skips a test.

A reason that `missing` makes names the command. Any other reason is told as it is, for no command brings that.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

_HOW = "; bring it with: "


def missing(what: str, *, bring: str) -> str:
    """The reason to skip a test where `what` says what is not here; `bring` is the command after which it runs."""
    return f"{what}{_HOW}{bring}"


def skipped_lines(reasons: Iterable[str]) -> list[str]:
    """A line for each command, and one for each reason without; those that most tests were skipped for come first."""
    counts: Counter[tuple[str, str]] = Counter()
    whats: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for reason in reasons:
        what, _, command = reason.removeprefix("Skipped: ").partition(_HOW)
        key = (command, "") if command else ("", what)
        counts[key] += 1
        whats[key].add(what)
    return [_line(count, sorted(whats[key]), key[0]) for key, count in counts.most_common()]


def _line(count: int, whats: list[str], command: str) -> str:
    tests, them = ("1 test", "it") if count == 1 else (f"{count} tests", "them")
    brought = f"; bring {them} with: {command}" if command else ""
    return f"{tests} skipped: {', '.join(whats)}{brought}"
