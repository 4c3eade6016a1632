"""The report of the ledger of one partition of `raw`: counts, findings, and what it could not prove."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ops.audit.verdict import AuditFinding, FindingKind

FINDINGS_MAX = 10_000


@dataclass(slots=True)
class LedgerReport:
    """`found` counts the findings by kind, `findings` holds the first of them.

    `beyond_proof` counts by topic the records that retention may have deleted, `other_rules` the deliveries that other
    rules judged and that led to something else, `forgotten` the retries that a full memory let through,
    `refused` the deliveries that are in `rejected` because Kafka refused what they led to.
    """

    found: Counter[FindingKind] = field(default_factory=Counter)
    findings: list[AuditFinding] = field(default_factory=list)
    beyond_proof: Counter[str] = field(default_factory=Counter)
    other_rules: Counter[str] = field(default_factory=Counter)
    forgotten: int = 0
    refused: int = 0
    # Notes of retries whose first try lies before the range, or was forgotten: the retry's offset, and the first's.
    noted_only: list[tuple[int, int]] = field(default_factory=list)
    # Deliveries of which nothing came, but perhaps a note of a retry that is deleted.
    maybe_retries: list[int] = field(default_factory=list)
    # Deliveries whose key came before the range with another body: nothing in the range can prove it.
    unproven_bodies: int = 0
    # Deliveries of which a redrive wrote nothing, because it does not write what is an event already.
    left_out: list[int] = field(default_factory=list)

    def add(self, findings: Iterable[AuditFinding]) -> None:
        """Counts the findings, and keeps the first of them."""
        for finding in findings:
            self.found[finding.kind] += 1
            if len(self.findings) < FINDINGS_MAX:
                self.findings.append(finding)
