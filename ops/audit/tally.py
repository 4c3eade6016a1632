"""What the parts of an audit found, added up."""

from collections import Counter
from dataclasses import dataclass, field

from ops.audit.judging.judge import Lane
from ops.audit.judging.ledger import FINDINGS_MAX, PartitionLedger
from ops.audit.verdict import AuditFinding, FindingKind
from schemas.notes.replays import ReplayPlan


@dataclass(slots=True)
class PartFound:
    """The counts of `ops.audit.verdict.Verdict`; `left_out` are deliveries by redrive of which no event came."""

    deliveries: int = 0
    outputs: Counter[str] = field(default_factory=Counter)
    replays: Counter[str] = field(default_factory=Counter)
    found: Counter[FindingKind] = field(default_factory=Counter)
    findings: list[AuditFinding] = field(default_factory=list)
    beyond_proof: Counter[str] = field(default_factory=Counter)
    other_rules: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    forgotten: int = 0
    unjudged: int = 0
    gaps_due: int = 0
    gaps_unjudged: int = 0
    unknown: list[str] = field(default_factory=list)
    # Records that name deliveries which the group had not reached; by partition of `raw`.
    beyond: Counter[int] = field(default_factory=Counter)
    # The first record of each lane whose delivery lies behind the range, or that a plan wrote which is not at its end.
    first_unjudged: dict[Lane, int] = field(default_factory=dict)

    def say(self, finding: AuditFinding) -> None:
        """Counts a finding, and keeps it if it is one of the first."""
        self.found[finding.kind] += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)

    def note_unjudged(self, lane: Lane, offset: int) -> None:
        """The record at `offset` of the lane is for the next audit to judge."""
        self.first_unjudged[lane] = min(self.first_unjudged.get(lane, offset), offset)

    def take(self, ledger: PartitionLedger, plan: ReplayPlan | None) -> None:
        """Takes in what a finished ledger says."""
        self.found.update(ledger.found)
        self.findings += ledger.findings
        self.beyond_proof.update(ledger.beyond_proof)
        name = "" if plan is None else f"{plan.id}: "
        self.other_rules.update({f"{name}{rules}": number for rules, number in ledger.other_rules.items()})
        self.forgotten += ledger.forgotten
        self.unjudged += ledger.unproven_bodies
        if plan is not None and ledger.left_out:
            places = [f"{ledger.raw_topic}/{ledger.partition}/{offset}" for offset in ledger.left_out]
            self.left_out.setdefault(plan.id, []).extend(places)

    def add(self, other: "PartFound") -> None:
        """Takes in what another part found."""
        self.deliveries += other.deliveries
        self.forgotten += other.forgotten
        self.unjudged += other.unjudged
        self.gaps_due += other.gaps_due
        self.gaps_unjudged += other.gaps_unjudged
        self.outputs.update(other.outputs)
        self.replays.update(other.replays)
        self.found.update(other.found)
        self.beyond_proof.update(other.beyond_proof)
        self.other_rules.update(other.other_rules)
        self.beyond.update(other.beyond)
        self.findings += other.findings
        self.unknown += other.unknown
        for lane, offset in other.first_unjudged.items():
            self.note_unjudged(lane, offset)
        for plan, places in other.left_out.items():
            self.left_out.setdefault(plan, []).extend(places)
