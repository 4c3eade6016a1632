"""Matches the records that ought to be there with those that are, for one partition of `raw`; pure.

Both come in order: what one partition of `raw` leads to lies in a partition of a topic in the order of its offsets. So
nearly every record is the next one that is awaited in its lane. What is not goes to its delivery, with what is awaited
of that still, and `ops.audit.judging.explanation` gives it a name.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ops.audit.judging.alternatives import Why, alternatives
from ops.audit.judging.bits import Bits
from ops.audit.judging.expected_queue import LaneQueue
from ops.audit.judging.explanation import Actual, Awaited, are, explain, explain_again, explain_other, first_named
from ops.audit.judging.judge import Expected, Judge, Lane
from ops.audit.verdict import AuditFinding, FindingKind
from processors.replay import endpoint_of
from schemas.records import Fetched, Position, RawRecord, next_offset

# A clock of a processor may be so far behind that of an ingress.
_CLOCKS_APART_MS = 3_600_000
# The records of one transaction come within this time of each other.
_SETTLED_MS = 60_000
FINDINGS_MAX = 10_000
STRAYS_MAX = 10_000


@dataclass(slots=True)
class PartitionLedger:
    """One partition of `raw`: `expect` its deliveries in order, `take` the records that name it, then `finish`.

    `first` is where the range begins; `knows_all_before` whether nothing was ever in `raw` before it. `begins_at_ms`
    gives for each lane whose beginning is deleted when its oldest record was written. `held_bytes_max` bounds what is
    kept of deliveries that are not complete; beyond it the oldest are explained early. `written_since_ms` is when the
    first record can have been written at the earliest, where that is not after the receipt. `may_leave_out` for a
    redrive, which does not write what is an event already: `left_out` then are the deliveries of which records did not
    come. `is_redriven` while a redrive goes on, which may tell the gap tracker of any delivery.
    """

    judge: Judge
    raw_topic: str
    partition: int
    first: int
    knows_all_before: bool
    begins_at_ms: Mapping[Lane, float]
    held_bytes_max: int
    written_since_ms: int | None = None
    may_leave_out: bool = False
    is_redriven: bool = False
    deliveries: int = 0
    next: int = 0
    forgotten: int = 0
    beyond_proof: Counter[str] = field(default_factory=Counter)
    other_rules: Counter[str] = field(default_factory=Counter)
    found: Counter[FindingKind] = field(default_factory=Counter)
    findings: list[AuditFinding] = field(default_factory=list)
    # Notes of retries whose first try lies before the range, or was forgotten: the retry's offset, and the first's.
    noted_only: list[tuple[int, int]] = field(default_factory=list)
    # Deliveries of which nothing came, but perhaps a note of a retry that is deleted.
    maybe_retries: list[int] = field(default_factory=list)
    # Deliveries whose key came before the range with another body: nothing in the range can prove it.
    unproven_bodies: int = 0
    left_out: list[int] = field(default_factory=list)
    _lanes: dict[Lane, LaneQueue] = field(default_factory=dict)
    _awaited: dict[int, Awaited] = field(default_factory=dict)
    _awaited_bytes: int = 0
    # Those of `_awaited` that did not come in their order, and how much memory they hold.
    _overdue: dict[int, Awaited] = field(default_factory=dict)
    _held_bytes: int = 0
    # Those of other rules to which something else came, with when it did.
    _unsettled: deque[tuple[int, int, Awaited]] = field(default_factory=deque)
    # What came of deliveries that were complete.
    _strays: list[tuple[int, Actual]] = field(default_factory=list)
    # Offsets behind `first`: of which a replay or a redrive made events; which are retries; which other rules made
    # something else of.
    _remade: Bits = field(default_factory=Bits)
    _retries: Bits = field(default_factory=Bits)
    # Those of which a record may be deleted.
    _excused: Bits = field(default_factory=Bits)
    _otherwise: Bits = field(default_factory=Bits)

    def __post_init__(self) -> None:
        self.next = self.first

    @property
    def stray_offsets(self) -> Sequence[int]:
        """The deliveries whose raw record `finish` needs once more; the first of them where there are very many."""
        return sorted({offset for offset, _ in self._strays})[:STRAYS_MAX]

    def expect(self, raw: RawRecord) -> None:
        """The next delivery."""
        offset = raw.position.offset
        judgement = self.judge.judge(raw, endpoint_of(raw))
        self.deliveries += 1
        self.next = next_offset(raw.position)
        awaited = Awaited(raw, judgement)
        if awaited.is_retry:
            self._retries.add(offset - self.first)
        written_ms = (raw.timestamp_ms if self.written_since_ms is None else self.written_since_ms) + _CLOCKS_APART_MS
        for record in judgement.records:
            waiting = self._lane(record.lane)
            if waiting.first_seen is None and written_ms < waiting.begins_at_ms:
                self._excuse(record, awaited)
                continue
            awaited.left[record] = None
            waiting.queue.append((offset, record, awaited))
        if awaited.left:
            self._awaited[offset] = awaited
            self._awaited_bytes += awaited.bytes_count

    def take(self, offset: int, lane: Lane, record: Fetched) -> None:
        """A record that names the delivery at `offset`, which was expected before."""
        waiting = self._lane(lane)
        if waiting.queue:
            due, expected, awaited = waiting.queue[0]
            if (
                due == offset
                and expected.value == record.value
                and expected.key == record.key
                and expected.headers == list(record.headers)
                and not awaited.done
            ):
                waiting.queue.popleft()
                del awaited.left[expected]
                if not awaited.left:
                    self._complete(offset, awaited)
                if waiting.has_passed:
                    waiting.overtake(offset, expected.key)
                waiting.see(offset)
                return
        self._take_slowly(waiting, offset, actual_of(lane, record))

    def foresee(self, lane: Lane, offset: int) -> None:
        """A record of the delivery at `offset` is about to be taken; say so before the deliveries are expected.

        What is expected and came earlier than the first record of its lane may be deleted, what came later may not.
        """
        self._lane(lane).see(offset)

    def remake(self, offset: int) -> None:
        """A replay or a redrive has made events of the delivery at `offset`."""
        self._remade.add(offset - self.first)

    def settle(self, now_ms: float) -> None:
        """Ends with deliveries of other rules of which nothing more can come, where the stream has come to `now_ms`."""
        while self._unsettled and self._unsettled[0][0] + _SETTLED_MS < now_ms:
            _, offset, awaited = self._unsettled.popleft()
            if not awaited.done:
                self._settle_other(offset, awaited)

    @property
    def awaited_bytes(self) -> int:
        """How much memory the deliveries take that are not complete, about."""
        return self._awaited_bytes

    def excuse_retries(self, group: "PartitionLedger") -> None:
        """Awaits nothing more of what the group may have noted as retries of what came before `first`.

        A replay in place writes nothing of a retry, and nobody can say any more what it was a retry of.
        """
        noted = [offset for offset, first_try in group.noted_only if first_try < self.first]
        for offset in (*noted, *group.maybe_retries):
            awaited = self._awaited.get(offset)
            if awaited is not None and not (awaited.extra or awaited.overtaken):
                self._end_with(offset, awaited)

    def finish(self, raw_of: Mapping[int, RawRecord], *, deleted_before: int = 0) -> None:
        """Explains all that is left; `raw_of` has the deliveries at `stray_offsets`, as far as they are there.

        Of those before the offset `deleted_before` nobody knows what they led to.
        """
        self.settle(float("inf"))
        for offset in sorted(self._awaited):
            self._explain(offset, self._awaited[offset])
        strays: dict[int, list[Actual]] = {}
        for offset, actual in self._strays:
            strays.setdefault(offset, []).append(actual)
        read = frozenset(self.stray_offsets)
        for offset, actuals in sorted(strays.items()):
            place = str(Position(self.raw_topic, self.partition, offset))
            raw = raw_of.get(offset)
            if offset not in read:
                told = "it is one of too many records that nobody awaited; it was not looked at"
                self.add([AuditFinding(FindingKind.UNEXPLAINED, place, one.place, told) for one in actuals])
                continue
            if raw is None and offset < deleted_before:
                self.beyond_proof["raw"] += len(actuals)
                continue
            number = offset - self.first
            if raw is not None and number in self._excused:
                actuals = self._without_note(raw, actuals)  # noqa: PLW2901 the rest of the same
            is_remade, is_retry = self.is_redriven or number in self._remade, number in self._retries
            self.add(explain_again(self.judge, raw, place, actuals, is_remade=is_remade, is_retry=is_retry))

    def _without_note(self, raw: RawRecord, actuals: list[Actual]) -> list[Actual]:
        """Leaves out a note of a retry of what came before the range, where the rest may be deleted."""
        for actual in actuals:
            first = first_named(actual) if actual.lane[0] == "duplicates" else None
            if first is None or self.knows_all_before or first >= self.first:
                continue
            if any(
                one.equals(actual.lane, actual.key, actual.value, actual.headers)
                for one in self.judge.as_retry(raw, first)
            ):
                self.unproven_bodies += 1
                return [one for one in actuals if one is not actual]
        return actuals

    def add(self, findings: Sequence[AuditFinding]) -> None:
        """Counts the findings, and keeps the first of them."""
        for finding in findings:
            self.found[finding.kind] += 1
            if len(self.findings) < FINDINGS_MAX:
                self.findings.append(finding)

    def _lane(self, lane: Lane) -> LaneQueue:
        waiting = self._lanes.get(lane)
        if waiting is None:
            waiting = self._lanes[lane] = LaneQueue(self.begins_at_ms.get(lane, 0.0))
        return waiting

    def _complete(self, offset: int, awaited: Awaited) -> None:
        """Nothing more is awaited of the delivery."""
        if not (awaited.extra or awaited.overtaken):
            self._end_with(offset, awaited)

    def _end_with(self, offset: int, awaited: Awaited) -> None:
        """Waits for the delivery no longer."""
        awaited.done = True
        if self._awaited.pop(offset, None) is not None:
            self._awaited_bytes -= awaited.bytes_count
        self._overdue.pop(offset, None)

    def _take_slowly(self, waiting: LaneQueue, offset: int, actual: Actual) -> None:
        """A record that is not the next one awaited in its lane."""
        expected = self._match(offset, actual)
        self._pass(waiting, offset)
        if expected is not None:
            # A record that is not right says nothing of the order: its place in `raw` may be what is wrong with it.
            waiting.overtake(offset, actual.key)
        waiting.see(offset)
        awaited = self._awaited.get(offset)
        if awaited is None:
            self._strays.append((offset, actual))
        elif expected is None:
            self._take_unexpected(offset, awaited, actual)
        else:
            del awaited.left[expected]
            waiting.remove(offset, expected)
            if waiting.take_passed(expected):
                awaited.overtaken.append(actual)
            if not awaited.left:
                self._complete(offset, awaited)

    def _match(self, offset: int, actual: Actual) -> Expected | None:
        """What is awaited of the delivery and is exactly this record."""
        awaited = self._awaited.get(offset)
        place = (actual.lane, actual.key, actual.value, actual.headers)
        return next((one for one in awaited.left if one.equals(*place)), None) if awaited is not None else None

    def _take_unexpected(self, offset: int, awaited: Awaited, actual: Actual) -> None:
        awaited.extra.append(actual)
        if awaited.other_rules:
            self._unsettled.append((actual.timestamp_ms, offset, awaited))
        elif self._is_right_after_all(offset, awaited):
            self._end_with(offset, awaited)
        else:
            self._hold(offset, awaited)

    def _pass(self, waiting: LaneQueue, offset: int) -> None:
        """Takes what is awaited of earlier deliveries out of the lane: in order they do not come any more."""
        for due, expected, awaited in waiting.take_before(offset):
            if waiting.may_have_lost(due):
                self._leave_beyond(due, expected, awaited)
            else:
                waiting.keep_passed(due, expected, awaited)
                self._hold(due, awaited)

    def _excuse(self, expected: Expected, awaited: Awaited) -> None:
        """Nobody can say whether the record was there."""
        self.beyond_proof[expected.lane[0]] += 1
        awaited.left.pop(expected, None)
        awaited.excused.append(expected)
        self._excused.add(awaited.raw.position.offset - self.first)

    def _leave_beyond(self, offset: int, expected: Expected, awaited: Awaited) -> None:
        """The record may have been deleted with the beginning of its lane."""
        self._excuse(expected, awaited)
        if not awaited.left:
            self._complete(offset, awaited)

    def _is_right_after_all(self, offset: int, awaited: Awaited) -> bool:
        """Whether what came is right although it was not expected: a processor's memory was another than ours."""
        judgement = awaited.judgement
        is_doubtful = judgement.may_be_forgotten or self._was_otherwise(judgement.unsure_of)
        before = offset if is_doubtful else 0 if self.knows_all_before else self.first
        for one in alternatives(self.judge, awaited, is_doubtful=is_doubtful, before=before):
            if are(one.records, awaited):
                if one.why is Why.NOTED:
                    self.noted_only.append((offset, one.first))
                elif one.why is Why.OTHER_BODY_BEFORE:
                    self.unproven_bodies += 1
                elif judgement.may_be_forgotten:
                    self.forgotten += 1
                return True
        return False

    def _settle_other(self, offset: int, awaited: Awaited) -> None:
        """A delivery that other rules judged, and that led to something else than today's would."""
        self._end_with(offset, awaited)
        self.other_rules[awaited.other_rules] += 1
        self._otherwise.add(offset - self.first)
        self.add(explain_other(awaited))

    def _explain(self, offset: int, awaited: Awaited) -> None:
        for expected in list(awaited.left):
            if self._lane(expected.lane).may_have_lost(offset):
                self._excuse(expected, awaited)
        self._end_with(offset, awaited)
        # Asked once more: an observation that is right either way may have come behind the others.
        if awaited.extra and not awaited.other_rules and self._is_right_after_all(offset, awaited):
            return
        if self._may_have_been_a_retry(offset, awaited):
            self.beyond_proof["duplicates"] += 1
            self.maybe_retries.append(offset)
            return
        if self.may_leave_out and awaited.left:
            self.left_out.append(offset)
            awaited.left.clear()
        if awaited.other_rules and (awaited.extra or len(awaited.left) < len(awaited.records)):
            self._settle_other(offset, awaited)
        else:
            self.add(explain(awaited))

    def _may_have_been_a_retry(self, offset: int, awaited: Awaited) -> bool:
        """Whether nothing came but perhaps a note that is deleted, of a retry of what came before the range."""
        if self.knows_all_before or awaited.extra or awaited.came:
            return False
        notes = [one for one in self.judge.as_retry(awaited.raw, 0) if one.lane[0] == "duplicates"]
        return any(self._lane(one.lane).may_have_lost(offset) for one in notes)

    def _hold(self, offset: int, awaited: Awaited) -> None:
        """Keeps a delivery whose records did not come in order; where that is too much, the older half is explained."""
        if offset not in self._overdue:
            self._overdue[offset] = awaited
            self._held_bytes += awaited.bytes_count
        if self._held_bytes < self.held_bytes_max:
            return
        for old in sorted(self._overdue)[: max(1, len(self._overdue) // 2)]:
            self._explain(old, self._overdue[old])
        self._held_bytes = sum(one.bytes_count for one in self._overdue.values())

    def _was_otherwise(self, offset: int | None) -> bool:
        """Whether what other rules made of the delivery at `offset` is not, or not yet, what today's would."""
        if offset is None:
            return False
        return offset in self._awaited or offset < self.first or offset - self.first in self._otherwise


def actual_of(lane: Lane, record: Fetched) -> Actual:
    """The record, as it is kept."""
    return Actual(
        lane=lane,
        place=str(Position(record.topic, record.partition, record.offset)),
        key=record.key or b"",
        value=record.value or b"",
        headers=[(name, value or b"") for name, value in record.headers],
        timestamp_ms=record.timestamp,
    )
