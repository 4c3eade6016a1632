"""Runs an audit: takes a snapshot, has its assignments judged side by side, and makes one verdict of their tallies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from aiokafka import TopicPartition

from ops.audit.assignment import AuditAssignment
from ops.audit.partitions import audit_partitions
from ops.audit.reading.audited_writer import begun_at_ms
from ops.audit.reading.committed import committed_by_partition
from ops.audit.reading.eras import eras_of
from ops.audit.reading.gap_snapshot import take_gap_snapshot
from ops.audit.reading.snapshot import AuditScope, AuditSnapshot, take_snapshot
from ops.audit.tally import AuditTally
from ops.audit.verdict import AuditFinding, AuditVerdict, FindingKind
from ops.audit.workers import audit_in_processes
from ops.kafka.partitions import UnreadablePartitionError
from ops.kafka.ranges import read_ranges
from ops.kafka.reader import Start, full_name
from ops.progress import HIDDEN_BAR, ProgressBar
from ops.replay.store import ReplayStore, read_store
from processors.providers import discover
from processors.rules_version import rules_version
from schemas.notes.audits import Checkpoint
from schemas.notes.replays import ReplayPlan, ReplayProgress
from schemas.settings import Settings
from schemas.times import timestamp_ms

MEMORY_BYTES_MAX = 256_000_000


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """The scope of an audit, how many processes judge it, and about how much memory each of them may take."""

    scope: AuditScope
    workers: int
    memory_bytes_max: int


async def audit(
    settings: Settings,
    start: Start = "beginning",
    end_ms: int | None = None,
    *,
    workers: int = 1,
    bar: ProgressBar = HIDDEN_BAR,
    memory_bytes_max: int = MEMORY_BYTES_MAX,
) -> AuditVerdict:
    """The verdict on the deliveries from `start` on, up to those received at `end_ms` (milliseconds since 1970).

    Each of the `workers` processes takes about `memory_bytes_max`.

    Raises:
        DropstreamError: the cluster or a topic cannot be read.
    """
    request = AuditRequest(AuditScope(start, end_ms), workers=workers, memory_bytes_max=memory_bytes_max)
    return (await audit_within(settings, request, bar))[0]


async def audit_within(
    settings: Settings, request: AuditRequest, bar: ProgressBar
) -> tuple[AuditVerdict, Checkpoint | None]:
    """The verdict on what is in scope, and where the next audit goes on.

    Where a partition cannot be read, that is all of the verdict: it is `unknown`, and there is no checkpoint.

    Raises:
        DropstreamError: the cluster or a topic cannot be read.
    """
    try:
        return await _audit_readable(settings, request, bar)
    except UnreadablePartitionError as error:
        return AuditVerdict(0, {}, unknown=[f"{error}; nothing is judged until it can be read"]), None


async def _audit_readable(
    settings: Settings, request: AuditRequest, bar: ProgressBar
) -> tuple[AuditVerdict, Checkpoint]:
    scope = request.scope
    store = await read_store(settings)
    snapshot = await take_snapshot(settings, scope, store)
    # Replays that have moved meanwhile have written more than `store` says.
    later = await read_store(settings)
    snapshot = replace(
        snapshot, replays=frozenset(later.plans), unfinished=await _unfinished_plans(settings, later, scope)
    )
    gaps, gaps_unknown = await take_gap_snapshot(settings, scope, snapshot)
    plans_in_scope = [plan for plan in later.plans.values() if _is_in_scope(plan, scope)]
    plans = [plan for plan in plans_in_scope if _progress(store, plan) == _progress(later, plan)]
    bar.set_total(sum(one.count for one in snapshot.ranges))
    progress = [(plan, _progress(store, plan)) for plan in plans]
    everything = AuditAssignment(settings, snapshot, (), request.memory_bytes_max, progress, gaps=gaps)
    tally = await _judge(everything.split(request.workers), bar)
    for finding in _miscounted(plans, store, tally, snapshot):
        tally.add_finding(finding)
    unknown = [*snapshot.unknown, *gaps_unknown, *tally.unknown, *await _forgotten(settings, snapshot, tally)]
    going_on = [f"{one.id} goes on; what it writes is for the next audit" for one in plans_in_scope if one not in plans]
    verdict = _verdict(snapshot, tally, plans, unknown, [*_remarks(settings, snapshot), *going_on])
    return verdict, snapshot.checkpoint(tally.first_unjudged)


async def _judge(assignments: Sequence[AuditAssignment], bar: ProgressBar) -> AuditTally:
    if len(assignments) == 1:
        return await audit_partitions(assignments[0], bar.advance)
    return await audit_in_processes(assignments, bar.advance)


async def _forgotten(settings: Settings, snapshot: AuditSnapshot, tally: AuditTally) -> list[str]:
    """A sentence for each partition where records came of deliveries, and the group has committed nothing.

    The group is asked once more at the end: it may have committed for the first time after the snapshot of its offsets
    and before that of its outputs.
    """
    beyond = {one: number for one, number in sorted(tally.beyond.items()) if snapshot.reached.get(one) == 0}
    if not beyond:
        return []
    raw = full_name("raw", settings)
    committed, unknown = await committed_by_partition(settings, "deliver", [TopicPartition(raw, one) for one in beyond])
    nothing = [one.partition for one, offset in committed.items() if not offset]
    return [
        *unknown.values(),
        *(
            f"{beyond[one]} records name deliveries of partition {one} of raw, where the group has committed nothing: "
            "its offsets were reset or forgotten, so nobody can say what it has processed; start dropstream process, "
            "and audit again when it has committed"
            for one in nothing
        ),
    ]


def _verdict(
    snapshot: AuditSnapshot,
    tally: AuditTally,
    plans: Sequence[ReplayPlan],
    unknown: Sequence[str],
    remarks: Sequence[str],
) -> AuditVerdict:
    return AuditVerdict(
        deliveries=tally.deliveries,
        outputs=dict(tally.outputs),
        findings=sorted(tally.findings, key=lambda one: (one.kind, one.position)),
        found=dict(tally.found),
        waiting=snapshot.waiting,
        replays={plan.id: tally.replays[plan.id] for plan in plans},
        beyond_proof=dict(tally.beyond_proof),
        other_rules=dict(tally.other_rules),
        forgotten=tally.forgotten,
        refused=tally.refused,
        unjudged=tally.unjudged,
        gaps_due=tally.gaps_due,
        gaps_unjudged=tally.gaps_unjudged,
        unknown=unknown,
        remarks=remarks,
    )


def _remarks(settings: Settings, snapshot: AuditSnapshot) -> Iterator[str]:
    """A remark where the audit has other rules than the processors had: then it proves little."""
    today = rules_version(settings, settings.endpoints, discover())
    eras = eras_of(today, "raw", snapshot.notes, snapshot.rules)
    others = [partition for partition, one in sorted(eras.items()) if one.today_since is None]
    if others:
        yield (
            f"{len(others)} of {len(snapshot.raw_end)} partitions of raw were judged last by other rules than these: "
            "has it the configuration and the version of the processors? What came of such a delivery otherwise is "
            "only counted"
        )


def _progress(store: ReplayStore, plan: ReplayPlan) -> dict[int, ReplayProgress]:
    return {one.partition: store.progress_of(plan, one) for one in plan.ranges}


async def _unfinished_plans(settings: Settings, store: ReplayStore, scope: AuditScope) -> frozenset[str]:
    """The plans that have not come to their end, of those that were not judged whole before."""
    plans_in_scope = [plan for plan in store.plans.values() if _is_in_scope(plan, scope)]
    return frozenset([plan.id for plan in plans_in_scope if await _is_unfinished(settings, store, plan)])


async def _is_unfinished(settings: Settings, store: ReplayStore, plan: ReplayPlan) -> bool:
    """Whether the plan has records left to judge. Offsets alone do not count: marks of transactions are no records."""
    left = [replace(one, first=store.progress_of(plan, one).next) for one in plan.ranges]
    async for records in read_ranges(settings, full_name(plan.source, settings), left):
        if records:
            return True
    return False


def _is_in_scope(plan: ReplayPlan, scope: AuditScope) -> bool:
    """Whether the plan was made in the scope, or was not judged to its end: its records lie in the scope then."""
    if isinstance(scope.start, Checkpoint):
        return plan.id not in scope.start.replays
    since = scope.since
    return scope.start == "beginning" or (since is not None and begun_at_ms(plan) >= timestamp_ms(since))


def _miscounted(
    plans: Sequence[ReplayPlan], store: ReplayStore, tally: AuditTally, snapshot: AuditSnapshot
) -> Iterator[AuditFinding]:
    """The findings where the events that a replay or redrive has counted are not as many as are there."""
    for plan in plans:
        began_ms = begun_at_ms(plan)
        is_all_there = all(at <= began_ms for at in snapshot.begins_at_ms.values())
        counted, events = store.total_progress(plan).events, tally.replays[plan.id]
        if plan.choice.into is not None or not is_all_there or counted == events:
            continue
        if events < counted and (left := tally.left_out.get(plan.id)):
            for position in left:
                yield AuditFinding(FindingKind.LOST, position, "", f"its events of {plan.id} are missing")
        elif not tally.found:
            kind = FindingKind.LOST if events < counted else FindingKind.DOUBLED
            yield AuditFinding(kind, plan.id, "", f"{events} events are there, {counted} were written")
