"""Lists what else would be right of a delivery, where a processor remembered other first tries than the audit does."""

from collections.abc import Iterator, Sequence
from enum import Enum, auto

from ops.audit.judging.judge import Judge
from ops.audit.judging.open_delivery import OpenDelivery
from ops.audit.judging.records import ExpectedRecord
from schemas.notes.raw_places import is_elsewhere


class Why(Enum):
    """Why other records than the expected ones would be right."""

    NOT_REMEMBERED = auto()  # The first try was forgotten for want of room, or other rules had rejected it.
    NOTED = auto()  # The first try lies where the audit does not know it, and the note says where.
    BODY_BEFORE = auto()  # The body came before the range, and the provider gives no id.
    OTHER_BODY_BEFORE = auto()  # The key came before the range, with another body.
    REFUSED = auto()  # Kafka refused what the delivery led to, and the rejected record says so.


# Why the records would be right, all of them, and the offset of the first try that was noted (-1 where none was).
Alternative = tuple[Why, Sequence[ExpectedRecord], int]


def alternatives(
    judge: Judge, delivery: OpenDelivery, *, is_doubtful: bool, before: int | None
) -> Iterator[Alternative]:
    """Every set of records that would be right beside the expected ones.

    `is_doubtful` where a processor may not have remembered the first try; `before` is the offset before which the audit
    does not know what came, None where it knows everything. What came in another partition, before a migration, it does
    not know then either.
    """
    raw = delivery.raw
    for actual in delivery.unexpected:
        error = actual.refused_reason
        if error is not None:
            yield Why.REFUSED, judge.as_refused(raw, error), -1
    if is_doubtful:
        yield Why.NOT_REMEMBERED, judge.as_first(raw), -1
        yield Why.NOT_REMEMBERED, judge.as_other_body(raw), -1
    if before is None:
        return
    for actual in delivery.unexpected:
        first = actual.first_try
        if first is not None and (first < before or is_elsewhere(first)):
            yield Why.NOTED, judge.as_retry(raw, first), first
    if any(name == "repeated" for actual in delivery.unexpected for name, _ in actual.headers):
        yield Why.BODY_BEFORE, judge.as_repeated(raw), -1
    if any(name == "bodydiffers" for actual in delivery.unexpected for name, _ in actual.headers):
        yield Why.OTHER_BODY_BEFORE, judge.as_other_body(raw), -1
