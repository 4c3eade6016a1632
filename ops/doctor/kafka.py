"""Whether the cluster, its topics and the consumer groups are as they should be."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from ops.doctor.audit import examine_audit, last_audit
from ops.doctor.check_result import CheckResult
from ops.kafka.clients import admin
from ops.kafka.layouts import look_at_layout
from ops.kafka.offsets import GROUP_SOURCES, PartitionOffsets, members_if_known, read_group_offsets
from ops.kafka.reader import full_name
from ops.kafka.topics import Comparison, read_comparisons
from schemas.errors import DropstreamError
from schemas.kafka.codecs import AS_PRODUCED
from schemas.kafka.log_bounds import NotKnown
from schemas.notes.layout_faults import layout_fault
from schemas.notes.layouts import Layout
from schemas.settings import Settings

# As the alert DropstreamProcessorsLag.
_BEHIND_MAX = 10_000


async def examine_cluster(settings: Settings, now: datetime) -> Sequence[CheckResult]:
    """What the cluster says of itself, and of what dropstream keeps there."""
    servers = settings.kafka.bootstrap_servers
    try:
        async with admin(settings) as client:
            brokers = len((await client.describe_cluster())["brokers"])
        comparisons = await read_comparisons(settings)
        layout = await look_at_layout(settings)
        state = await last_audit(settings)
        groups = [await _examine_group(settings, name) for name in GROUP_SOURCES]
    except DropstreamError as error:
        return (CheckResult("failed", "kafka", str(error)),)
    replicas = settings.kafka.replication_factor
    if brokers < replicas:
        sentence = f"{brokers} brokers at {servers} cannot hold {replicas} replicas; set kafka.replication_factor"
        kafka = CheckResult("failed", "kafka", sentence)
    else:
        kafka = CheckResult("ok", "kafka", f"{brokers} broker(s) at {servers}")
    return (
        kafka,
        examine_topics(comparisons),
        examine_layout(layout.layout, layout.counts, settings.kafka.topic_prefix),
        examine_compression(comparisons),
        *groups,
        examine_audit(state, now),
    )


async def _examine_group(settings: Settings, name: str) -> CheckResult:
    group, source = settings.kafka.topic_prefix + name, full_name(GROUP_SOURCES[name], settings)
    try:
        found = await read_group_offsets(settings, group, [source])
    except DropstreamError as error:
        return CheckResult("warning", f"group {name}", f"how far it is, is not known: {str(error).splitlines()[0]}")
    return examine_group(name, await members_if_known(settings, group), found)


def examine_group(name: str, members: int | None, found: Sequence[PartitionOffsets]) -> CheckResult:
    """Whether the group has members and keeps up; `members` is None where that is not known."""
    subject = f"group {name}"
    known = [one.lag for one in found if not isinstance(one.lag, NotKnown)]
    behind = f"{sum(known)} offsets behind"
    if doubts := [one for one in found if one.unknown_why]:
        count = f"{len(doubts)} of {len(found)} partitions"
        sentence = f"how far it is in {count} is not known: {doubts[0].unknown_why}; dropstream offsets show names them"
        return CheckResult("failed", subject, sentence)
    if members is None:
        return CheckResult("warning", subject, f"{behind}; how many members it has is not known, ask again")
    if members == 0:
        return CheckResult("warning", subject, f"{behind}, and it has no member; start dropstream process {name}")
    if sum(known) > _BEHIND_MAX:
        return CheckResult("warning", subject, f"{behind}; watch whether it falls with dropstream offsets show")
    return CheckResult("ok", subject, f"{behind}, {members} member{'s' if members > 1 else ''}")


def examine_topics(comparisons: Sequence[Comparison]) -> CheckResult:
    """Whether the cluster's topics are those of the table."""
    missing = sum(one.verdict == "missing" for one in comparisons)
    differing = sum(one.verdict == "differs" for one in comparisons)
    if not missing and not differing:
        return CheckResult("ok", "topics", f"all {len(comparisons)} agree with the plan")
    level: Literal["failed", "warning"] = "failed" if missing else "warning"
    return CheckResult(level, "topics", f"{missing} missing, {differing} differ; run dropstream topics apply")


def examine_layout(layout: Layout | None, counts: Mapping[str, int], prefix: str) -> CheckResult:
    """Whether keys are placed among as many partitions as there are, and whether a migration is under way."""
    if layout is not None and layout.phase is not None:
        sentence = (
            f"a migration from {layout.partitions} to {layout.target} partitions is under way, and the ingress spools; "
            "where nobody runs it: dropstream topics apply --migrate goes on with it"
        )
        return CheckResult("warning", "partitions", sentence)
    if fault := layout_fault(layout, counts, prefix):
        return CheckResult("failed", "partitions", fault.replace("\n", ". "))
    if layout is None:
        return CheckResult("warning", "partitions", "nobody noted how many there are; run dropstream topics apply")
    return CheckResult("ok", "partitions", f"keys are placed among the {layout.partitions} that are there")


def examine_compression(comparisons: Sequence[Comparison]) -> CheckResult:
    """Whether the records of every topic can be read here, and which topics their broker compresses."""
    kinds: dict[str, list[str]] = {}
    for one in comparisons:
        if one.compression not in {"", AS_PRODUCED}:
            kinds.setdefault(one.compression, []).append(one.plan.name)
    told = "; ".join(f"{kind} on {', '.join(names)}" for kind, names in sorted(kinds.items()))
    if not all(one.is_readable for one in comparisons):
        sentence = f"compression.type is {told}; not all of it can be read here: install cramjam, or set it to producer"
        return CheckResult("failed", "compression", sentence)
    if told:
        return CheckResult("ok", "compression", f"compression.type is {told}; all of it can be read here")
    return CheckResult("ok", "compression", "every topic keeps batches as their producers compress them")
