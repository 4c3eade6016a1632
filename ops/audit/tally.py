"""Adds up what the processes of an audit found."""

from collections import Counter
from dataclasses import dataclass, field, fields

from ops.audit.judging.ledger_report import FINDINGS_MAX, LedgerReport
from ops.audit.judging.records import OutputPartition
from ops.audit.verdict import AuditFinding, FindingKind
from schemas.notes.replays import ReplayPlan
from schemas.records import Position


@dataclass(slots=True)
class AuditTally:
    """The counts of `ops.audit.verdict.AuditVerdict`; `left_out` are deliveries of which a redrive wrote no event."""

    deliveries: int = 0
    outputs: Counter[str] = field(default_factory=Counter)
    replays: Counter[str] = field(default_factory=Counter)
    found: Counter[FindingKind] = field(default_factory=Counter)
    findings: list[AuditFinding] = field(default_factory=list)
    beyond_proof: Counter[str] = field(default_factory=Counter)
    other_rules: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    forgotten: int = 0
    refused: int = 0
    unjudged: int = 0
    gaps_due: int = 0
    gaps_unjudged: int = 0
    unknown: list[str] = field(default_factory=list)
    # Records that name deliveries which the group had not reached; by partition of `raw`.
    beyond: Counter[int] = field(default_factory=Counter)
    # By output partition, the first record for the next audit to judge: its delivery lies behind the range, or it was
    # written by a replay that goes on.
    first_unjudged: dict[OutputPartition, int] = field(default_factory=dict)

    def add_finding(self, finding: AuditFinding) -> None:
        """Counts a finding, and keeps it if it is one of the first."""
        self.found[finding.kind] += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)

    def note_unjudged(self, output: OutputPartition, offset: int) -> None:
        """Notes that the next audit judges the record at `offset` of the output partition."""
        self.first_unjudged[output] = min(self.first_unjudged.get(output, offset), offset)

    def add_report(self, report: LedgerReport, raw_partition: tuple[str, int], plan: ReplayPlan | None) -> None:
        """Adds the report of a finished ledger; `raw_partition` is the topic `raw` (full name) and the partition."""
        self.found.update(report.found)
        self.findings += report.findings
        self.beyond_proof.update(report.beyond_proof)
        name = "" if plan is None else f"{plan.id}: "
        self.other_rules.update({f"{name}{rules}": number for rules, number in report.other_rules.items()})
        self.forgotten += report.forgotten
        self.refused += report.refused
        self.unjudged += report.unproven_bodies
        if plan is not None and report.left_out:
            positions = [str(Position(*raw_partition, offset)) for offset in report.left_out]
            self.left_out.setdefault(plan.id, []).extend(positions)

    def add(self, other: "AuditTally") -> None:
        """Adds what another process found."""
        for one in fields(other):
            theirs, own = getattr(other, one.name), getattr(self, one.name)
            if isinstance(theirs, Counter):
                own.update(theirs)
            elif isinstance(theirs, int | list):
                setattr(self, one.name, own + theirs)
        for output, offset in other.first_unjudged.items():
            self.note_unjudged(output, offset)
        for plan, positions in other.left_out.items():
            self.left_out.setdefault(plan, []).extend(positions)
