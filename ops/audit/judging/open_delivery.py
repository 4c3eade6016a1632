"""A delivery whose expected records have not all come, or to which unexpected records came. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ops.audit.judging.judge import Judgement
from ops.audit.judging.records import ActualRecord, ExpectedRecord
from schemas.records import RawRecord


@dataclass(slots=True, eq=False)
class OpenDelivery:
    """`missing` are the expected records that have not come, in order; `unexpected` came and nobody expected them.

    `overtaken` came, but after a later record of their key. `excused` are expected records that retention may have
    deleted. `is_closed` once the audit waits for nothing more of the delivery.
    """

    raw: RawRecord
    judgement: Judgement
    missing: dict[ExpectedRecord, None] = field(default_factory=dict)
    unexpected: list[ActualRecord] = field(default_factory=list)
    overtaken: list[ActualRecord] = field(default_factory=list)
    excused: list[ExpectedRecord] = field(default_factory=list)
    is_closed: bool = False
    # How many bytes of memory the delivery takes, about.
    bytes_count: int = field(init=False)

    def __post_init__(self) -> None:
        records = sum([500 + len(one.value) for one in self.judgement.records])
        self.bytes_count = 2_000 + len(self.raw.value or b"") + records

    @property
    def expected(self) -> tuple[ExpectedRecord, ...]:
        """All records that the delivery ought to lead to."""
        return self.judgement.records

    @property
    def other_rules(self) -> str:
        """The rules that judged the delivery, in words, where they are not today's; else empty."""
        return self.judgement.other_rules

    @property
    def came(self) -> list[ExpectedRecord]:
        """The expected records that have come."""
        return [one for one in self.expected if one not in self.missing and one not in self.excused]

    @property
    def is_retry(self) -> bool:
        """Whether the delivery ought to lead to a record of `duplicates` and to nothing else."""
        return bool(self.expected) and self.expected[0].output[0] == "duplicates"

    def led_to(self, records: Sequence[ExpectedRecord]) -> bool:
        """Whether exactly `records` came, expected or not; a record that retention may have deleted may be missing."""
        came = self.came
        if not all(any(one.equals(other) for one in records) for other in came):
            return False
        others = [one for one in records if not any(one.equals(other) for other in came)]
        missing = [one for one in others if not any(one.equals(actual) for actual in self.unexpected)]
        return len(others) - len(missing) == len(self.unexpected) and all(
            any(one.is_due_in_place_of(other) for other in self.excused) for one in missing
        )
