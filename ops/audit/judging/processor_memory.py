"""What a processor may have known of earlier deliveries, where that was something else than the audit's own memory."""

from collections.abc import Container
from dataclasses import dataclass, field

from ops.audit.judging.alternatives import Why, alternatives
from ops.audit.judging.bits import Bits
from ops.audit.judging.judge import Judge
from ops.audit.judging.ledger_report import LedgerReport
from ops.audit.judging.open_delivery import OpenDelivery
from schemas.notes.raw_places import is_elsewhere


@dataclass(slots=True)
class ProcessorMemory:
    """Explains, for one partition of `raw`, records that are right although the audit expected others.

    `first` is where the range begins; `knows_all_before` whether nothing was ever in `raw` before it. What the
    `open_deliveries`, by offset, led to is not known yet.
    """

    judge: Judge
    first: int
    knows_all_before: bool
    report: LedgerReport
    open_deliveries: Container[int]
    # Offsets, counted from `first`, of deliveries that other rules judged and that led to something else.
    _judged_otherwise: Bits = field(default_factory=Bits)
    # Offsets, counted the same way, of deliveries of which Kafka refused what they led to: no processor remembers them.
    _refused: Bits = field(default_factory=Bits)

    def note_judged_otherwise(self, offset: int) -> None:
        """Notes that other rules than today's made something else of the delivery."""
        self._judged_otherwise.add(offset - self.first)

    def explains(self, offset: int, delivery: OpenDelivery) -> bool:
        """Whether what came is right although it was not expected; the report counts why."""
        judgement = delivery.judgement
        is_doubtful = (
            judgement.may_be_forgotten
            or self._was_judged_otherwise(judgement.unsure_of)
            or any(self._was_refused(one.first_try) for one in delivery.expected)
        )
        before = offset if is_doubtful else None if self.knows_all_before else self.first
        for why, records, first in alternatives(self.judge, delivery, is_doubtful=is_doubtful, before=before):
            if delivery.led_to(records):
                if why is Why.NOTED:
                    self.report.noted_only.append((offset, first))
                elif why in {Why.BODY_BEFORE, Why.OTHER_BODY_BEFORE}:
                    self.report.unproven_bodies += 1
                elif why is Why.REFUSED:
                    self.report.refused += 1
                    self._refused.add(offset - self.first)
                elif judgement.may_be_forgotten:
                    self.report.forgotten += 1
                return True
        return False

    def _was_judged_otherwise(self, offset: int | None) -> bool:
        """Whether other rules than today's made, or may still have made, something else of the delivery at `offset`."""
        if offset is None:
            return False
        return offset in self.open_deliveries or offset < self.first or offset - self.first in self._judged_otherwise

    def _was_refused(self, offset: int | None) -> bool:
        """Whether Kafka refused what the delivery at `offset`, in this partition, led to."""
        if offset is None or is_elsewhere(offset) or offset < self.first:
            return False
        return offset - self.first in self._refused
