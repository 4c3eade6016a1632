"""Lists what else would be right of a delivery, where a processor remembered other first tries than the audit does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from ops.audit.judging.judge import Judge
from ops.audit.judging.open_delivery import OpenDelivery
from ops.audit.judging.records import ExpectedRecord


class Why(Enum):
    """Why other records than the expected ones would be right."""

    NOT_REMEMBERED = auto()  # The first try was forgotten for want of room, or other rules had rejected it.
    NOTED = auto()  # The first try lies where the audit does not know it, and the note says where.
    OTHER_BODY_BEFORE = auto()  # The key came before the range, with another body.


@dataclass(frozen=True, slots=True)
class Alternative:
    """The records that would be right, all of them; `first` is the offset of the first try that was noted."""

    why: Why
    records: Sequence[ExpectedRecord]
    first: int = -1


def alternatives(judge: Judge, delivery: OpenDelivery, *, is_doubtful: bool, before: int) -> Iterator[Alternative]:
    """Every set of records that would be right beside the expected ones.

    `is_doubtful` where a processor may not have remembered the first try; `before` is the offset before which the audit
    does not know what came, 0 where it knows everything.
    """
    raw = delivery.raw
    if is_doubtful:
        yield Alternative(Why.NOT_REMEMBERED, judge.as_first(raw))
        yield Alternative(Why.NOT_REMEMBERED, judge.as_other_body(raw))
    if not before:
        return
    for actual in delivery.unexpected:
        first = actual.first_try
        if first is not None and first < before:
            yield Alternative(Why.NOTED, judge.as_retry(raw, first), first)
    if any(name == "bodydiffers" for actual in delivery.unexpected for name, _ in actual.headers):
        yield Alternative(Why.OTHER_BODY_BEFORE, judge.as_other_body(raw))
