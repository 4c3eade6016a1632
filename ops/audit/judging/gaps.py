"""Runs the gap tracker again over the observations of one partition, and holds `gaps` against what it says; pure.

What the tracker says rests on receipts alone, but when it says it rests on the clock too: time may have reported a hole
before a late delivery filled it. So the records of `gaps` are followed: one that time alone explains at that point is
right, one that the next observation explains is right, and everything else is not.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ops.audit.verdict import AuditFinding, FindingKind
from processors.sequence.receipts import arrival_of
from processors.sequence.state import SequenceState
from processors.sequence.tracker import GapRules, advance, dismiss, observe
from schemas.notes.dismissals import Dismissal, read_dismissal
from schemas.notes.gaps import TRACKED_STATES, Gap, GapState, gap_record, read_gap
from schemas.notes.sequence_observations import Observation, read_observation
from schemas.records import RawRecord

# How far a record is looked for behind others that nothing explains.
_NEAR = 200
# A gap that time has made due is reported within seconds; after this time its report is missing.
_LATE = timedelta(minutes=10)


@dataclass(slots=True)
class GapsOfEndpoint:
    """The gaps of one endpoint: `note` its records of `gaps`, then `observe` its observations, in order, then `finish`.

    Gaps that were suspected before `since` are not judged: what came before it is not known, or other rules judged it.
    """

    rules: GapRules
    since: datetime | None = None
    unjudged: int = 0
    findings: list[AuditFinding] = field(default_factory=list)
    _written: deque[tuple[str, Gap, bytes]] = field(default_factory=deque)
    _recent: deque[bytes] = field(default_factory=lambda: deque(maxlen=_NEAR))
    _state: SequenceState | None = None
    _lost: list[tuple[int, int, int]] = field(default_factory=list)

    def note(self, record: RawRecord, gap: Gap) -> None:
        """Keeps a record of `gaps`, with the gap that it holds; what is not the tracker's is judged at once."""
        if gap.state not in TRACKED_STATES:
            self._judge_reconciled(record, gap)
            return
        if gap.state is GapState.LOST:
            self._lost.append((gap.epoch, gap.first, gap.last))
        self._written.append((str(record.position), gap, record.value or b""))

    def _judge_reconciled(self, record: RawRecord, gap: Gap) -> None:
        """Reports that ids were reconciled that were never lost."""
        left = gap.first
        for epoch, first, last in sorted(self._lost):
            if epoch == gap.epoch and first <= left:
                left = max(left, last + 1)
        if left <= gap.last and self._is_judged(gap):
            detail = f"the gap {_named(gap)}: id {left} was never lost"
            self._report(FindingKind.UNEXPLAINED, "", str(record.position), detail)

    def observe(self, observation: Observation) -> None:
        """Runs the tracker over the next observation."""
        self._let_time_pass()
        step = observe(self._state, arrival_of(observation), self.rules)
        self._state = step.state
        for gap in step.gaps:
            self._expect(gap, observation.raw)

    def dismiss(self, dismissal: Dismissal, position: str) -> None:
        """Runs the tracker over a person's dismissal, which lies at `position` in `sequence`."""
        self._let_time_pass()
        if self._state is not None:
            step = dismiss(self._state, dismissal)
            self._state = step.state
            for gap in step.gaps:
                self._expect(gap, position)

    def finish(self, now: datetime, *, is_caught_up: bool) -> Sequence[Gap]:
        """Reports what is left; returns the gaps that time has made due by `now`, and that may still be reported.

        `is_caught_up` where the tracker runs and has read everything: then it is missing what is long due.
        """
        self._let_time_pass()
        due: Sequence[Gap] = ()
        if self._state is not None:
            due = advance(self._state, now, self.rules).gaps
        if is_caught_up:
            for gap in due:
                if datetime.fromisoformat(gap.changed_at) < now - _LATE and self._is_judged(gap):
                    self._report(FindingKind.LOST, gap.raw, "", f"the gap {_named(gap)} was never reported")
        for position, gap, value in self._written:
            self._report_unexplained(position, gap, value)
        self._written.clear()
        return due

    def _let_time_pass(self) -> None:
        """Takes the records that time alone explains."""
        while self._state is not None and self._written:
            _, gap, _ = self._written[0]
            moment = datetime.fromisoformat(gap.changed_at)
            if self._state.waiting:
                moment = max(moment, self._state.waiting[0].recorded_at)
            step = advance(self._state, moment, self.rules)
            texts = [gap_record(one).value for one in step.gaps]
            if not texts or [value for _, _, value in list(self._written)[: len(texts)]] != texts:
                return
            for _ in texts:
                self._recent.append(self._written.popleft()[2])
            self._state = step.state

    def _expect(self, gap: Gap, raw: str) -> None:
        """Takes the record of a gap that the tracker reports now; nothing explains the records that stand before it."""
        value = gap_record(gap).value
        index = next((index for index, one in enumerate(self._written) if one[2] == value and index < _NEAR), None)
        if index is not None:
            for _ in range(index):
                self._report_unexplained(*self._written.popleft())
            self._recent.append(self._written.popleft()[2])
            return
        if self._written and _is_like(self._written[0][1], gap):
            position, found, _ = self._written.popleft()
            if self._is_judged(gap):
                names = [name for name in Gap.__dataclass_fields__ if getattr(found, name) != getattr(gap, name)]
                detail = f"the gap {_named(gap)} differs in {', '.join(names) or 'the bytes of its JSON'}"
                self._report(FindingKind.ALTERED, raw, position, detail)
        elif self._is_judged(gap):
            self._report(FindingKind.LOST, raw, "", f"the gap {_named(gap)} was never reported")

    def _report_unexplained(self, position: str, gap: Gap, value: bytes) -> None:
        """Reports a record of `gaps` that neither time nor an observation explains."""
        if not self._is_judged(gap):
            return
        if value in self._recent:
            self._report(FindingKind.DOUBLED, gap.raw, position, f"the gap {_named(gap)} is reported twice")
        elif gap.state is GapState.FILLED:
            self._report(FindingKind.LOST, gap.raw, "", f"that the gap was open is missing, before {_named(gap)}")
        else:
            self._report(FindingKind.UNEXPLAINED, "", position, f"no observation leads to the gap {_named(gap)}")

    def _is_judged(self, gap: Gap) -> bool:
        if self.since is not None and datetime.fromisoformat(gap.suspected_at) < self.since:
            self.unjudged += 1
            return False
        return True

    def _report(self, kind: FindingKind, raw: str, record: str, detail: str) -> None:
        self.findings.append(AuditFinding(kind, raw, record, detail))


@dataclass(slots=True)
class GapsOfPartition:
    """The endpoints of one partition of `sequence`; `note` all records of `gaps` first."""

    rules: GapRules
    since: datetime | None
    findings: list[AuditFinding] = field(default_factory=list)
    _endpoints: dict[str, GapsOfEndpoint] = field(default_factory=dict)

    def note(self, record: RawRecord, *, is_in_place: bool) -> None:
        """Keeps a record of `gaps` of one of the endpoints; `is_in_place` where it lies in its endpoint's partition."""
        gap = read_gap(record.value)
        position = str(record.position)
        if gap is None:
            self.findings.append(AuditFinding(FindingKind.UNEXPLAINED, "", position, "it is not a record of a gap"))
            return
        if record.key != gap.endpoint.encode() or not is_in_place:
            detail = f"the gap {_named(gap)} belongs to the key and the partition of its endpoint"
            self.findings.append(AuditFinding(FindingKind.MISPLACED, gap.raw, position, detail))
        self._of(gap.endpoint).note(record, gap)

    def observe(self, record: RawRecord) -> None:
        """Runs the tracker over the next record of `sequence`, an observation or a dismissal; passes over others."""
        observation = read_observation(record.value)
        if observation is not None:
            self._of(observation.endpoint).observe(observation)
        elif (dismissal := read_dismissal(record.value)) is not None:
            self._of(dismissal.endpoint).dismiss(dismissal, str(record.position))

    def finish(self, now: datetime, *, is_caught_up: bool) -> tuple[int, int]:
        """How many gaps are due and not reported yet, and how many were not judged."""
        due = 0
        for endpoint in self._endpoints.values():
            due += len(endpoint.finish(now, is_caught_up=is_caught_up))
            self.findings += endpoint.findings
        return due, sum(one.unjudged for one in self._endpoints.values())

    def _of(self, endpoint: str) -> GapsOfEndpoint:
        found = self._endpoints.get(endpoint)
        if found is None:
            found = self._endpoints[endpoint] = GapsOfEndpoint(self.rules, self.since)
        return found


def _is_like(one: Gap, other: Gap) -> bool:
    """Whether both report the same gap in other words."""
    ids = (one.first, one.last) == (other.first, other.last)
    return (ids and one.state == other.state) or (
        one.suspected_at == other.suspected_at and one.changed_at == other.changed_at and one.raw == other.raw
    )


def _named(gap: Gap) -> str:
    ids = str(gap.first) if gap.first == gap.last else f"{gap.first} to {gap.last}"
    word = "restart" if gap.state is GapState.RESET else gap.state.value
    return f"{word} {ids} of {gap.endpoint}"
