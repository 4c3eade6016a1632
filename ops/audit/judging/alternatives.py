"""What else would be right of a delivery, where a processor remembered other first tries than the audit knows of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from ops.audit.judging.explanation import Awaited, first_named
from ops.audit.judging.judge import Expected, Judge


class Why(Enum):
    """Why it would be right."""

    NOT_REMEMBERED = auto()  # Its first try was forgotten for want of room, or other rules had rejected it.
    NOTED = auto()  # Its first try lies where the audit does not know it, and the note says where.
    OTHER_BODY_BEFORE = auto()  # Its key came before the range, with another body.


@dataclass(frozen=True, slots=True)
class Alternative:
    """The records that would be right, all of them; `first` is the offset of the first try that was noted."""

    why: Why
    records: Sequence[Expected]
    first: int = -1


def alternatives(judge: Judge, awaited: Awaited, *, is_doubtful: bool, before: int) -> Iterator[Alternative]:
    """All that would be right beside what was expected.

    `is_doubtful` where a processor may not have remembered the first try; `before` is the offset before which the audit
    does not know what came, 0 where it knows everything.
    """
    raw = awaited.raw
    if is_doubtful:
        yield Alternative(Why.NOT_REMEMBERED, judge.as_first(raw))
        yield Alternative(Why.NOT_REMEMBERED, judge.as_other_body(raw))
    if not before:
        return
    for actual in awaited.extra:
        first = first_named(actual) if actual.lane[0] == "duplicates" else None
        if first is not None and first < before:
            yield Alternative(Why.NOTED, judge.as_retry(raw, first), first)
    if any(name == "bodydiffers" for actual in awaited.extra for name, _ in actual.headers):
        yield Alternative(Why.OTHER_BODY_BEFORE, judge.as_other_body(raw))
