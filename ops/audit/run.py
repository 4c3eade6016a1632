"""The whole audit: one look, the parts side by side, and their findings as one verdict."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from aiokafka import TopicPartition

from ops.audit.checkpoint import checkpoint_of
from ops.audit.partitions import audit_part
from ops.audit.reading.audited_writer import begun_at_ms
from ops.audit.reading.committed import committed_by_partition
from ops.audit.reading.eras import eras_of
from ops.audit.reading.gap_snapshot import look_at_gaps
from ops.audit.reading.snapshot import Limits, Look, look
from ops.audit.reading.writer_opener import Part
from ops.audit.tally import PartFound
from ops.audit.verdict import AuditFinding, AuditVerdict, FindingKind
from ops.audit.workers import audit_in_processes
from ops.kafka.ranges import read_ranges
from ops.kafka.reader import Start, full_name
from ops.replay.store import Store, read_store
from processors.providers import discover
from processors.rules_version import rules_version
from schemas.notes.audits import Checkpoint
from schemas.notes.replays import ReplayPlan, ReplayProgress
from schemas.settings import Settings
from schemas.times import timestamp_ms

MEMORY_BYTES_MAX = 256_000_000


def _nobody(_count: int) -> None:
    return


@dataclass(frozen=True, slots=True)
class AuditProgress:
    """Who is told how far it is: how many offsets there are to judge, then how many more deliveries are judged."""

    on_total: Callable[[int], None] = _nobody
    on_deliveries: Callable[[int], None] = _nobody


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be audited, by how many processes, each with about so much memory."""

    limits: Limits
    workers: int
    memory_bytes_max: int


async def audit(
    settings: Settings,
    start: Start = "beginning",
    end_ms: int | None = None,
    *,
    workers: int = 1,
    watch: AuditProgress = AuditProgress(),
    memory_bytes_max: int = MEMORY_BYTES_MAX,
) -> AuditVerdict:
    """The verdict on the deliveries from `start` on, up to those received at `end_ms` (milliseconds since 1970).

    Each of the `workers` processes takes about `memory_bytes_max`.

    Raises:
        DropstreamError: the cluster or a topic cannot be read.
    """
    asked = Asked(Limits(start, end_ms), workers=workers, memory_bytes_max=memory_bytes_max)
    return (await audit_within(settings, asked, watch))[0]


async def audit_within(settings: Settings, asked: Asked, watch: AuditProgress) -> tuple[AuditVerdict, Checkpoint]:
    """The verdict on what was asked about, and where the next audit goes on."""
    limits = asked.limits
    store = await read_store(settings)
    seen = await look(settings, limits, store)
    # What has moved meanwhile has written more than `store` says.
    later = await read_store(settings)
    seen = replace(seen, replays=frozenset(later.plans), unsettled=await _unsettled(settings, later, limits))
    gaps, gaps_unknown = await look_at_gaps(settings, limits, seen)
    asked_about = [plan for plan in later.plans.values() if _is_asked_about(plan, limits)]
    plans = [plan for plan in asked_about if _progress(store, plan) == _progress(later, plan)]
    watch.on_total(sum(one.count for one in seen.ranges))
    progress = [(plan, _progress(store, plan)) for plan in plans]
    whole = Part(settings, seen, (), asked.memory_bytes_max, progress, gaps=gaps)
    found = await _found(_parts(whole, asked.workers), watch)
    for finding in _of_plans(plans, store, found, seen):
        found.say(finding)
    unknown = [*seen.unknown, *gaps_unknown, *found.unknown, *await _forgotten(settings, seen, found)]
    going_on = [f"{one.id} goes on; what it writes is for the next audit" for one in asked_about if one not in plans]
    verdict = _verdict(seen, found, plans, unknown, [*_remarks(settings, seen), *going_on])
    return verdict, checkpoint_of(seen, found.first_unjudged)


async def _found(parts: Sequence[Part], watch: AuditProgress) -> PartFound:
    if len(parts) == 1:
        return await audit_part(parts[0], watch.on_deliveries)
    return await audit_in_processes(parts, watch.on_deliveries)


async def _forgotten(settings: Settings, seen: Look, found: PartFound) -> list[str]:
    """A sentence for each partition where records came of deliveries, and the group has committed nothing.

    Asked once more at the end: a group may have committed for the first time between the look at its offsets and that
    at its outputs.
    """
    beyond = {one: number for one, number in sorted(found.beyond.items()) if seen.reached.get(one) == 0}
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
    seen: Look, found: PartFound, plans: Sequence[ReplayPlan], unknown: Sequence[str], remarks: Sequence[str]
) -> AuditVerdict:
    return AuditVerdict(
        deliveries=found.deliveries,
        outputs=dict(found.outputs),
        findings=sorted(found.findings, key=lambda one: (one.kind, one.place)),
        found=dict(found.found),
        waiting=seen.waiting,
        replays={plan.id: found.replays[plan.id] for plan in plans},
        beyond_proof=dict(found.beyond_proof),
        other_rules=dict(found.other_rules),
        forgotten=found.forgotten,
        unjudged=found.unjudged,
        gaps_due=found.gaps_due,
        gaps_unjudged=found.gaps_unjudged,
        unknown=unknown,
        remarks=remarks,
    )


def _remarks(settings: Settings, seen: Look) -> Iterator[str]:
    """What a person should know of the rules: an audit by others than those of the processors proves little."""
    today = rules_version(settings, settings.endpoints, discover())
    eras = eras_of(today, "raw", seen.notes, seen.rules)
    others = [partition for partition, one in sorted(eras.items()) if one.today_since is None]
    if others:
        yield (
            f"{len(others)} of {len(seen.raw_end)} partitions of raw were judged last by other rules than these: "
            "has it the configuration and the version of the processors? What came of such a delivery otherwise is "
            "only counted"
        )


def _parts(whole: Part, workers: int) -> list[Part]:
    """The partitions of `raw` dealt out, the largest first, so that no process has much more to do than another."""
    ranges = whole.look.ranges
    shares: list[list[int]] = [[] for _ in range(max(1, min(workers, len(ranges))))]
    sizes = [0] * len(shares)
    for one in sorted(ranges, key=lambda one: -one.count):
        index = sizes.index(min(sizes))
        shares[index].append(one.partition)
        sizes[index] += one.count
    sequences = sorted(whole.gaps.observations) if whole.gaps else []
    return [
        replace(
            whole,
            partitions=sorted(share),
            sequences=frozenset(sequences[index :: len(shares)]),
            is_first=index == 0,
        )
        for index, share in enumerate(shares)
    ]


def _progress(store: Store, plan: ReplayPlan) -> dict[int, ReplayProgress]:
    return {one.partition: store.progress_in(plan, one) for one in plan.ranges}


async def _unsettled(settings: Settings, store: Store, limits: Limits) -> frozenset[str]:
    """The plans that have not come to their end, of those that were not judged whole before."""
    asked_about = [plan for plan in store.plans.values() if _is_asked_about(plan, limits)]
    return frozenset([plan.id for plan in asked_about if await _is_unsettled(settings, store, plan)])


async def _is_unsettled(settings: Settings, store: Store, plan: ReplayPlan) -> bool:
    """Whether records are left to it. Offsets may be left to one that is done: marks of transactions are no records."""
    left = [replace(one, first=store.progress_in(plan, one).next) for one in plan.ranges]
    async for records in read_ranges(settings, full_name(plan.source, settings), left):
        if records:
            return True
    return False


def _is_asked_about(plan: ReplayPlan, limits: Limits) -> bool:
    """Whether the plan was begun in the range, or was not judged to its end: what it wrote lies there then."""
    if isinstance(limits.start, Checkpoint):
        return plan.id not in limits.start.replays
    since = limits.since
    return limits.start == "beginning" or (since is not None and begun_at_ms(plan) >= timestamp_ms(since))


def _of_plans(plans: Sequence[ReplayPlan], store: Store, found: PartFound, seen: Look) -> Iterator[AuditFinding]:
    """What the progress of replays and redrives, committed with their events, says against the count of these."""
    for plan in plans:
        began_ms = begun_at_ms(plan)
        is_whole = all(at <= began_ms for at in seen.begins_at_ms.values())
        counted, events = store.sum_of(plan).events, found.replays[plan.id]
        if plan.choice.into is not None or not is_whole or counted == events:
            continue
        if events < counted and (left := found.left_out.get(plan.id)):
            for place in left:
                yield AuditFinding(FindingKind.LOST, place, "", f"its events of {plan.id} are missing")
        elif not found.found:
            kind = FindingKind.LOST if events < counted else FindingKind.DOUBLED
            yield AuditFinding(kind, plan.id, "", f"{events} events are there, {counted} were written")
