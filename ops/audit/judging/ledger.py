"""Matches the records that ought to be there with those that are, for one partition of `raw`; pure.

Both come in order: what one partition of `raw` leads to lies in a partition of a topic in the order of its offsets. So
nearly every record is the next one that is expected in its output partition. Any other record is kept with its
delivery, and `ops.audit.judging.explanation` names what is wrong once nothing more can come.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ops.audit.judging.expected_queue import ExpectedQueue
from ops.audit.judging.explanation import explain, explain_other_rules
from ops.audit.judging.judge import Judge
from ops.audit.judging.late_records import LateRecords
from ops.audit.judging.ledger_report import LedgerReport
from ops.audit.judging.open_delivery import OpenDelivery
from ops.audit.judging.processor_memory import ProcessorMemory
from ops.audit.judging.records import ActualRecord, ExpectedRecord, OutputPartition
from processors.replay import endpoint_of
from schemas.records import Fetched, RawRecord, next_offset

# A clock of a processor may be so far behind that of an ingress.
_CLOCKS_APART_MS = 3_600_000
# The records of one transaction come within this time of each other.
_SETTLED_MS = 60_000


@dataclass(slots=True)
class PartitionLedger:
    """Matches a partition of `raw`: `expect` its deliveries in order, `match` the records that name it, then `finish`.

    `first` is where the range begins; `knows_all_before` whether nothing was ever in `raw` before it. `begins_at_ms`
    gives for each output partition whose beginning is deleted when its oldest record was written. `held_bytes_max`
    bounds what is kept of deliveries of which a record is overdue; beyond it `settle` explains the oldest of them.
    `written_since_ms` is when the first record can have been written at the earliest, where that is not after the
    receipt. `may_leave_out` for a redrive, which does not write what is an event already. `is_redriven` while a redrive
    goes on, which may tell the gap tracker of any delivery.
    """

    judge: Judge
    raw_topic: str
    partition: int
    first: int
    knows_all_before: bool
    begins_at_ms: Mapping[OutputPartition, float]
    held_bytes_max: int
    written_since_ms: int | None = None
    may_leave_out: bool = False
    is_redriven: bool = False
    deliveries: int = 0
    next: int = 0
    report: LedgerReport = field(default_factory=LedgerReport)
    _late: LateRecords = field(init=False)
    _queues: dict[OutputPartition, ExpectedQueue] = field(default_factory=dict)
    _open: dict[int, OpenDelivery] = field(default_factory=dict)
    _open_bytes: int = 0
    # The open deliveries whose records did not come in their order, and how much memory they hold.
    _overdue: dict[int, OpenDelivery] = field(default_factory=dict)
    _overdue_bytes: int = 0
    # What `next` was when the ledger was last settled.
    _settled_before: int = 0
    # Deliveries that other rules judged and that led to something else, with the time at which that came.
    _unsettled: deque[tuple[int, int, OpenDelivery]] = field(default_factory=deque)
    _memory: ProcessorMemory = field(init=False)

    def __post_init__(self) -> None:
        self.next = self.first
        self._memory = ProcessorMemory(self.judge, self.first, self.knows_all_before, self.report, self._open)
        self._late = LateRecords(self.judge, self.first, self.knows_all_before, self.is_redriven)

    @property
    def late_offsets(self) -> Sequence[int]:
        """The deliveries whose raw record `finish` needs once more; the first of them where there are very many."""
        return self._late.offsets

    @property
    def is_open(self) -> bool:
        """Whether a delivery is not complete."""
        return bool(self._open)

    @property
    def awaited_bytes(self) -> int:
        """How much memory the deliveries take of which a record is yet to come in its order, about.

        What is overdue does not count: it has a bound of its own, and reading on does not make it less.
        """
        return self._open_bytes - self._overdue_bytes

    def announce(self, output: OutputPartition, offset: int) -> None:
        """Says that a record of the delivery at `offset` is about to be matched, before the delivery is expected.

        A record that is expected before the first one of its partition came may be deleted, a later one may not.
        """
        self._queue(output).see(offset)

    def expect(self, raw: RawRecord) -> None:
        """Expects the records of the next delivery."""
        offset = raw.position.offset
        judgement = self.judge.judge(raw, endpoint_of(raw))
        self.deliveries += 1
        self.next = next_offset(raw.position)
        delivery = OpenDelivery(raw, judgement)
        if delivery.is_retry:
            self._late.retries.add(offset - self.first)
        written_ms = (raw.timestamp_ms if self.written_since_ms is None else self.written_since_ms) + _CLOCKS_APART_MS
        for record in judgement.records:
            queue = self._queue(record.output)
            if queue.first_seen is None and written_ms < queue.begins_at_ms:
                self._excuse(record, delivery)
                continue
            delivery.missing[record] = None
            queue.entries.append((offset, record, delivery))
        if delivery.missing:
            self._open[offset] = delivery
            self._open_bytes += delivery.bytes_count

    def match(self, offset: int, output: OutputPartition, record: Fetched) -> None:
        """Matches a record that names the delivery at `offset`, which was expected before."""
        queue = self._queue(output)
        if queue.entries:
            due, expected, delivery = queue.entries[0]
            if (
                due == offset
                and expected.value == record.value
                and expected.key == record.key
                and expected.headers == list(record.headers)
                and not delivery.is_closed
            ):
                queue.entries.popleft()
                del delivery.missing[expected]
                if not delivery.missing:
                    self._close_if_right(offset, delivery)
                if queue.has_passed:
                    queue.overtake(offset, expected.key)
                queue.see(offset)
                return
        self._match_out_of_order(queue, offset, ActualRecord.read(output, record))

    def note_remade(self, offset: int) -> None:
        """Notes that a replay or a redrive has made events of the delivery at `offset`."""
        self._late.remade.add(offset - self.first)

    def settle(self, now_ms: float) -> None:
        """Closes deliveries to which nothing more can come, where all records until `now_ms` came.

        Those are deliveries of other rules, and, above the bound, the older half of the overdue ones. While records of
        one time are matched, topic by topic, a record that is overdue may still be among them; and a fetch may have
        ended in the middle of a transaction. So what was expected since the call before is kept until the next one.
        """
        while self._unsettled and self._unsettled[0][0] + _SETTLED_MS < now_ms:
            _, offset, delivery = self._unsettled.popleft()
            if not delivery.is_closed:
                self._settle_other_rules(offset, delivery)
        if self._overdue_bytes >= self.held_bytes_max:
            old = sorted(self._overdue)[: max(1, len(self._overdue) // 2)]
            for offset in old[: bisect_left(old, self._settled_before)]:
                self._explain(offset, self._overdue[offset])
        self._settled_before = self.next

    def excuse_retries(self, group: "PartitionLedger") -> None:
        """Closes the deliveries that the group may have noted as retries of what came before `first`.

        A replay in place writes nothing of a retry, and nobody can say any more what it was a retry of.
        """
        noted = [offset for offset, first_try in group.report.noted_only if first_try < self.first]
        for offset in (*noted, *group.report.maybe_retries):
            delivery = self._open.get(offset)
            if delivery is not None:
                self._close_if_right(offset, delivery)

    def finish(self, raw_of: Mapping[int, RawRecord], *, deleted_before: int = 0) -> None:
        """Explains all that is left; `raw_of` has the deliveries at `late_offsets`, as far as they are there.

        What deliveries before the offset `deleted_before` led to, nobody knows.
        """
        self.settle(float("inf"))
        for offset in sorted(self._open):
            self._explain(offset, self._open[offset])
        self._late.explain(raw_of, (self.raw_topic, self.partition), self.report, deleted_before)

    def _queue(self, output: OutputPartition) -> ExpectedQueue:
        queue = self._queues.get(output)
        if queue is None:
            queue = self._queues[output] = ExpectedQueue(self.begins_at_ms.get(output, 0.0))
        return queue

    def _close_if_right(self, offset: int, delivery: OpenDelivery) -> None:
        """Closes the delivery unless a record of it came that is unexpected or out of order."""
        if not (delivery.unexpected or delivery.overtaken):
            self._close(offset, delivery)

    def _close(self, offset: int, delivery: OpenDelivery) -> None:
        delivery.is_closed = True
        if self._open.pop(offset, None) is not None:
            self._open_bytes -= delivery.bytes_count
        if self._overdue.pop(offset, None) is not None:
            self._overdue_bytes -= delivery.bytes_count

    def _match_out_of_order(self, queue: ExpectedQueue, offset: int, actual: ActualRecord) -> None:
        """Matches a record that is not the next one expected in its output partition."""
        delivery = self._open.get(offset)
        expected = None if delivery is None else next((one for one in delivery.missing if one.equals(actual)), None)
        self._pass(queue, offset)
        if expected is not None:
            # A record that is not right says nothing of the order: the delivery that it names may be what is wrong.
            queue.overtake(offset, actual.key)
        queue.see(offset)
        # Passing the earlier deliveries may have closed this one.
        delivery = self._open.get(offset)
        if delivery is None:
            self._late.add(offset, actual)
        elif expected is None:
            self._keep_unexpected(offset, delivery, actual)
        else:
            del delivery.missing[expected]
            queue.remove(offset, expected)
            if queue.take_passed(expected):
                delivery.overtaken.append(actual)
            if not delivery.missing:
                self._close_if_right(offset, delivery)

    def _keep_unexpected(self, offset: int, delivery: OpenDelivery, actual: ActualRecord) -> None:
        delivery.unexpected.append(actual)
        if delivery.other_rules:
            self._unsettled.append((actual.timestamp_ms, offset, delivery))
        elif self._memory.explains(offset, delivery):
            self._close(offset, delivery)
        else:
            self._hold(offset, delivery)

    def _pass(self, queue: ExpectedQueue, offset: int) -> None:
        """Takes out of the queue what is expected of deliveries before `offset`: in order it does not come any more."""
        for due, expected, delivery in queue.take_before(offset):
            if queue.may_have_lost(due):
                self._excuse(expected, delivery)
                if not delivery.missing:
                    self._close_if_right(due, delivery)
            else:
                queue.keep_passed(due, expected, delivery)
                self._hold(due, delivery)

    def _excuse(self, expected: ExpectedRecord, delivery: OpenDelivery) -> None:
        """Excuses a record that retention may have deleted with the beginning of its output partition."""
        self.report.beyond_proof[expected.output[0]] += 1
        delivery.missing.pop(expected, None)
        delivery.excused.append(expected)
        self._late.excused.add(delivery.raw.position.offset - self.first)

    def _settle_other_rules(self, offset: int, delivery: OpenDelivery) -> None:
        """Closes a delivery that other rules judged, and that led to something else than today's rules lead to."""
        self._close(offset, delivery)
        self.report.other_rules[delivery.other_rules] += 1
        self._memory.note_judged_otherwise(offset)
        self.report.add(explain_other_rules(delivery))

    def _hold(self, offset: int, delivery: OpenDelivery) -> None:
        """Keeps a delivery whose records did not come in order, as long as `settle` lets it."""
        if offset not in self._overdue:
            self._overdue[offset] = delivery
            self._overdue_bytes += delivery.bytes_count

    def _explain(self, offset: int, delivery: OpenDelivery) -> None:
        """Closes the delivery and reports what is wrong with it."""
        for expected in list(delivery.missing):
            if self._queue(expected.output).may_have_lost(offset):
                self._excuse(expected, delivery)
        self._close(offset, delivery)
        # Checked once more: an observation that is right either way may have come behind the others.
        if delivery.unexpected and not delivery.other_rules and self._memory.explains(offset, delivery):
            return
        if self._may_have_been_a_retry(offset, delivery):
            self.report.beyond_proof["duplicates"] += 1
            self.report.maybe_retries.append(offset)
            return
        if self.may_leave_out and delivery.missing:
            self.report.left_out.append(offset)
            delivery.missing.clear()
        if delivery.other_rules and (delivery.unexpected or len(delivery.missing) < len(delivery.expected)):
            self._settle_other_rules(offset, delivery)
        else:
            self.report.add(explain(delivery))

    def _may_have_been_a_retry(self, offset: int, delivery: OpenDelivery) -> bool:
        """Whether nothing came but perhaps a note that is deleted, of a retry of what came before the range."""
        if self.knows_all_before or delivery.unexpected or delivery.came:
            return False
        notes = [one for one in self.judge.as_retry(delivery.raw, 0) if one.output[0] == "duplicates"]
        return any(self._queue(one.output).may_have_lost(offset) for one in notes)
