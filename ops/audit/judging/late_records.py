"""Records that came after all expected ones of their delivery: kept until all was read, then explained. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ops.audit.judging.bits import Bits
from ops.audit.judging.explanation import explain_late
from ops.audit.judging.judge import Judge
from ops.audit.judging.ledger_report import LedgerReport
from ops.audit.judging.records import ActualRecord
from ops.audit.verdict import AuditFinding, FindingKind
from schemas.notes.raw_places import is_elsewhere
from schemas.records import Position, RawRecord

DELIVERIES_MAX = 10_000


@dataclass(slots=True)
class LateRecords:
    """The late records of one partition of `raw`, by the offset of the delivery that each names.

    `first`, `knows_all_before` and `is_redriven` are as in `PartitionLedger`. The sets hold offsets, counted from
    `first`: deliveries of which a replay or a redrive made events, retries, and deliveries of which retention may have
    deleted a record.
    """

    judge: Judge
    first: int
    knows_all_before: bool
    is_redriven: bool
    remade: Bits = field(default_factory=Bits)
    retries: Bits = field(default_factory=Bits)
    excused: Bits = field(default_factory=Bits)
    _records: dict[int, list[ActualRecord]] = field(default_factory=dict)

    def add(self, offset: int, actual: ActualRecord) -> None:
        """Keeps a record that names the delivery at `offset`."""
        self._records.setdefault(offset, []).append(actual)

    @property
    def offsets(self) -> Sequence[int]:
        """The deliveries whose raw record `explain` needs; only the first of them where there are very many."""
        return sorted(self._records)[:DELIVERIES_MAX]

    def explain(
        self, raw_of: Mapping[int, RawRecord], raw_partition: tuple[str, int], report: LedgerReport, deleted_before: int
    ) -> None:
        """Adds to `report` what is wrong with the records; `raw_of` has the deliveries at `offsets` that are there.

        `raw_partition` is the topic `raw` (full name) and the partition. What deliveries before the offset
        `deleted_before` led to, nobody knows.
        """
        explained = frozenset(self.offsets)
        for offset, actuals in sorted(self._records.items()):
            position = str(Position(*raw_partition, offset))
            raw = raw_of.get(offset)
            if offset not in explained:
                detail = "it is one of too many records that nobody awaited; it was not looked at"
                report.add([AuditFinding(FindingKind.UNEXPLAINED, position, one.position, detail) for one in actuals])
            elif raw is None and offset < deleted_before:
                report.beyond_proof["raw"] += len(actuals)
            else:
                number = offset - self.first
                if raw is not None and number in self.excused:
                    actuals = self._provable(raw, actuals, report)  # noqa: PLW2901 the rest of the same
                is_remade, is_retry = self.is_redriven or number in self.remade, number in self.retries
                report.add(explain_late(self.judge, raw, position, actuals, is_remade=is_remade, is_retry=is_retry))

    def _provable(self, raw: RawRecord, actuals: list[ActualRecord], report: LedgerReport) -> list[ActualRecord]:
        """The records without the note of a retry whose first try came before the range: nothing can prove that."""
        for actual in actuals:
            first = actual.first_try
            if first is None or self.knows_all_before or (first >= self.first and not is_elsewhere(first)):
                continue
            if any(one.equals(actual) for one in self.judge.as_retry(raw, first)):
                report.unproven_bodies += 1
                return [one for one in actuals if one is not actual]
        return actuals
