"""Names each fault of a delivery: expected records that did not come, and records that nobody expected. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ops.audit.judging.differences import EVENT, OBSERVATION, differences, event_id, has_same_id, kind_of, named
from ops.audit.judging.judge import Judge
from ops.audit.judging.open_delivery import OpenDelivery
from ops.audit.judging.records import ActualRecord, ExpectedRecord, OutputRecord
from ops.audit.verdict import AuditFinding, FindingKind
from schemas.records import RawRecord

_NAMES_MAX = 4


def explain(delivery: OpenDelivery) -> list[AuditFinding]:
    """Every fault of a delivery that today's rules judged."""
    missing, unexpected = list(delivery.missing), list(delivery.unexpected)
    faults = _DeliveryFaults(str(delivery.raw.position), missing, unexpected, delivery.came)
    for actual in delivery.overtaken:
        faults.add(FindingKind.DISORDERED, actual, f"{named(actual)} came after a later one of its key")
    faults.name_doubled()
    faults.name_misplaced()
    faults.name_altered()
    faults.name_copies()
    faults.name_notes(delivery.raw, is_retry=delivery.is_retry)
    if delivery.is_retry:
        faults.name_processed_retry()
    faults.name_wrong_outcome()
    faults.name_rest()
    return faults.findings


def explain_other_rules(delivery: OpenDelivery) -> list[AuditFinding]:
    """The faults of a delivery that other rules judged: only what no rules would write."""
    faults = _DeliveryFaults(str(delivery.raw.position), [], [])
    seen: Counter[tuple[str, str]] = Counter()
    for actual in delivery.unexpected:
        identity = (actual.output[0], event_id(actual.value) or actual.key.decode(errors="replace"))
        seen[identity] += 1
        if seen[identity] > 1:
            faults.add(FindingKind.DOUBLED, actual, f"{named(actual)} is there twice")
        if actual.output[0] == "rejected" and actual.value != (delivery.raw.value or b""):
            faults.add(FindingKind.ALTERED, actual, "the rejected body is not that of raw")
    return faults.findings


def explain_late(
    judge: Judge,
    raw: RawRecord | None,
    position: str,
    actuals: Sequence[ActualRecord],
    *,
    is_remade: bool,
    is_retry: bool,
) -> list[AuditFinding]:
    """The faults of records that came after all expected ones of their delivery, which lies at `position` in `raw`.

    `raw` is None where there is no delivery. `is_remade` where a replay or a redrive made events of the delivery: the
    gap tracker may have its observation later than other topics then. `is_retry` where the expected record was the note
    of a retry.
    """
    faults = _DeliveryFaults(position if raw is not None else "", [], list(actuals))
    if raw is None:
        for actual in actuals:
            faults.add(FindingKind.UNEXPLAINED, actual, f"{named(actual)} names {position}, and no delivery is there")
        return faults.findings
    faults.there = [*judge.as_first(raw), *judge.as_other_body(raw)]
    if is_remade:
        faults.unexpected = [one for one in faults.unexpected if one.output[0] != "sequence"]
    if is_retry:
        faults.name_processed_retry()
    faults.name_doubled()
    faults.name_copies()
    faults.name_notes(raw, is_retry=is_retry)
    faults.name_rest()
    return faults.findings


@dataclass(slots=True)
class _DeliveryFaults:
    """The findings about one delivery; each step takes out of `missing` and `unexpected` the records that it named.

    `there` are the expected records that came, right or altered.
    """

    raw: str
    missing: list[ExpectedRecord]
    unexpected: list[ActualRecord]
    there: list[ExpectedRecord] = field(default_factory=list)
    findings: list[AuditFinding] = field(default_factory=list)

    @property
    def is_partly_there(self) -> bool:
        """Whether some expected records came; an observation alone does not count."""
        return any(one.output[0] != "sequence" for one in self.there)

    def add(self, kind: FindingKind, actual: ActualRecord | None, detail: str) -> None:
        self.findings.append(AuditFinding(kind, self.raw, actual.position if actual else "", detail))

    def name_doubled(self) -> None:
        """A record that is there already, once more."""
        for actual in list(self.unexpected):
            if any(one.equals(actual) for one in self.there):
                self.unexpected.remove(actual)
                self.add(FindingKind.DOUBLED, actual, f"{named(actual)} is there twice")

    def name_misplaced(self) -> None:
        """A record with the expected value in another topic, in another partition or under another key."""
        for actual in list(self.unexpected):
            expected = next((one for one in self.missing if one.value == actual.value), None)
            if expected is not None:
                self._pair(expected, actual)

    def name_notes(self, raw: RawRecord, *, is_retry: bool) -> None:
        """A note of a retry where none ought to be, or one that names another first try than the true one."""
        for actual in [one for one in self.unexpected if one.output[0] == "duplicates"]:
            self.unexpected.remove(actual)
            first = actual.first_try
            if is_retry and any(one.output[0] == "duplicates" for one in self.missing):
                self.missing = [one for one in self.missing if one.output[0] != "duplicates"]
                self.add(FindingKind.ALTERED, actual, f"the note of this retry names offset {first}, another first try")
                continue
            if is_retry:
                self.add(FindingKind.DOUBLED, actual, "the note of this retry is there twice")
                continue
            fate = "its records are missing"
            if self.is_partly_there:
                fate = "its records are there"
            else:
                self.missing = []
            why = "itself" if first == raw.position.offset else f"offset {first}, which is another delivery or none"
            self.add(FindingKind.FALSELY_DROPPED, actual, f"it is noted as a retry of {why}; {fate}")

    def name_altered(self) -> None:
        """A record of the expected id, or with the expected key in the expected partition, with other contents."""
        for is_same in (has_same_id, OutputRecord.is_due_in_place_of):
            for actual in list(self.unexpected):
                expected = next((one for one in self.missing if is_same(one, actual)), None)
                if expected is not None:
                    self._pair(expected, actual)

    def name_copies(self) -> None:
        """A copy that is not quite the record that is there."""
        for actual in list(self.unexpected):
            expected = next((one for one in self.there if has_same_id(one, actual)), None)
            if expected is not None:
                self.unexpected.remove(actual)
                self.add(FindingKind.DOUBLED, actual, f"{named(actual)} is there twice, and not the same")
                self._name_differences(expected, actual)

    def name_processed_retry(self) -> None:
        """Events of a retry, in place of its note or beside it."""
        for actual in list(self.unexpected):
            if kind_of(actual.output) in {EVENT, OBSERVATION}:
                self.unexpected.remove(actual)
                self.add(FindingKind.DOUBLED, actual, f"{named(actual)} is of a retry, which was processed again")
                self.missing = []

    def name_wrong_outcome(self) -> None:
        """A rejection where events ought to be, or events where a rejection or the note of a retry ought to be."""
        due = {kind_of(one.output) for one in self.missing}
        came = {kind_of(one.output) for one in self.unexpected}
        if not (due and came) or due & came - {OBSERVATION} or self.is_partly_there:
            return
        for actual in self.unexpected:
            detail = f"{named(actual)} is there in the place of: {', '.join(sorted(due))}"
            self.add(FindingKind.ALTERED, actual, detail)
        self.missing, self.unexpected = [], []

    def name_rest(self) -> None:
        """Every other missing record is lost, every other unexpected one is unexplained."""
        for expected in self.missing:
            key = expected.key.decode(errors="replace")
            self.add(FindingKind.LOST, None, f"its record on {expected.output[0]} is missing, key {key[:80]}")
        for actual in self.unexpected:
            self.add(FindingKind.UNEXPLAINED, actual, f"{named(actual)} is nothing that this delivery leads to")
        self.missing, self.unexpected = [], []

    def _pair(self, expected: ExpectedRecord, actual: ActualRecord) -> None:
        """`actual` is the expected record, altered or misplaced."""
        self.missing.remove(expected)
        self.unexpected.remove(actual)
        self.there.append(expected)
        self._name_differences(expected, actual)

    def _name_differences(self, expected: ExpectedRecord, actual: ActualRecord) -> None:
        if not expected.is_due_in_place_of(actual):
            topic, partition = expected.output
            key = ", under another key" if expected.key != actual.key else ""
            detail = f"{named(actual)} belongs to {topic}, partition {partition}{key}"
            self.add(FindingKind.MISPLACED, actual, detail)
        if names := list(differences(expected, actual)):
            more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
            self.add(FindingKind.ALTERED, actual, f"{named(actual)} differs in {', '.join(names[:_NAMES_MAX])}{more}")
