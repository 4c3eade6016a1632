"""Lists what is not well, since when, and what to do about it; pure. The worst comes first, then the oldest.

Alarms are Prometheus rules; these sentences are for the person at the page.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ops.console.flow import WINDOW_MS, Latency
from ops.console.groups import GroupState
from ops.console.memory import ShownRejection
from ops.console.scraped_metrics import ScrapedMetrics
from ops.console.sources import SourceState
from ops.inspect.gaps import MissingRun
from schemas.notes.gaps import GapState
from schemas.notes.rejections import Reason

ConcernLevel = Literal["bad", "warn"]

# The groups are asked every few seconds; what was asked longer ago says nothing of now.
STALE_MS = 15_000
_BEHIND_MS = 60_000
_BEHIND_RECORDS = 10_000
_SLOW_MS = 10_000
_BUDGET_LOW = 0.5
_DAY_MS = 86_400_000
_NAMED_MAX = 3

_OF_SOURCE = {
    "Kafka": "Is the broker up, and is its address right? Run: dropstream doctor. What is shown of the topics stays.",
    "ingress": "Deliveries may be refused. Start dropstream ingest, or see its log; then dropstream doctor.",
    "processors": "Nothing is lost: deliveries wait in raw. Start dropstream process, or see its log.",
}
_OF_REASON = {
    Reason.SIGNATURE_INVALID: "Compare the endpoint's secret with the provider's; then redrive.",
    Reason.SIGNATURE_MISSING: "Ask who sends without a signature; the provider's settings may have lost the secret.",
    Reason.SECRET_EXPIRED: "The provider still signs with the old secret: extend it, or change it there; then redrive.",
    Reason.TIMESTAMP_OUTSIDE_TOLERANCE: "Compare the clocks, or widen timestamp_tolerance_seconds; then redrive.",
    Reason.ENDPOINT_UNKNOWN: "Configure the endpoint again, or have the provider stop; then redrive.",
    Reason.BODY_NOT_JSON: "Look at one: a proxy or a test may send something else.",
    Reason.BODY_UNRECOGNISED: "Look at one: the provider may have a new format.",
    Reason.KAFKA_REFUSED: "Look at max.message.bytes of the topics and the brokers; then redrive.",
}


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that is not well; `section` is the part of the page that shows it."""

    level: ConcernLevel
    what: str
    since_ms: int | None
    todo: str
    section: str


@dataclass(frozen=True, slots=True)
class ConcernFacts:
    """The facts by which `concerns` judges."""

    sources: Collection[SourceState]
    groups: Collection[GroupState]
    metrics: ScrapedMetrics
    latency: Latency | None
    runs: Sequence[MissingRun]
    rejections: Sequence[ShownRejection]


def concerns(facts: ConcernFacts, *, now_ms: int) -> list[Concern]:
    """Everything that a person should see to."""
    found = [
        *_away(facts.sources),
        *_groups(facts.groups, now_ms),
        *_spool(facts.metrics, now_ms),
        *_overdue(facts.metrics),
        *_gaps(facts.runs, now_ms),
        *_rejections(facts.rejections, now_ms),
        *_slow(facts.latency),
        *_budgets(facts.metrics),
    ]
    return sorted(found, key=lambda one: (one.level != "bad", one.since_ms or now_ms))


def _away(sources: Collection[SourceState]) -> list[Concern]:
    away = {one.name: one for one in sources if one.state == "away"}
    if "Kafka" in away:
        away.pop("Kafka topics", None)  # The line of Kafka says it already.
    return [
        Concern("bad", f"{one.name}: {one.detail}", one.since_ms, _OF_SOURCE[one.name.partition(" ")[0]], "sources")
        for one in away.values()
    ]


def _groups(groups: Collection[GroupState], now_ms: int) -> list[Concern]:
    found = []
    for one in groups:
        if now_ms - one.asked_at_ms > STALE_MS:
            todo = "Its figures are as old as that. Does Kafka answer? Run: dropstream doctor"
            found.append(Concern("bad", f"What group {one.name} does is not known", one.asked_at_ms, todo, "groups"))
            continue
        if one.unknown:
            where = _count(one.unknown, "partition", "partitions")
            what = f"How far group {one.name} is in {where} is not known: {one.why}"
            todo = "Look at the brokers; dropstream offsets show names the partitions."
            found.append(Concern("bad", what, None, todo, "groups"))
        # A group that is behind only by records of the last moments is at work.
        if one.members == 0:
            todo = f"Nothing is lost. Start: dropstream process {one.name}"
            what = f"Group {one.name} has no member; {_records(one.waiting)} wait"
            found.append(Concern("bad", what, one.oldest_ms, todo, "groups"))
        elif one.waiting > _BEHIND_RECORDS or (one.oldest_ms is not None and now_ms - one.oldest_ms > _BEHIND_MS):
            todo = "Watch whether it falls. If not: start more processors, or see their log."
            what = f"Group {one.name} is behind by {_records(one.waiting)}"
            found.append(Concern("warn", what, one.oldest_ms, todo, "groups"))
    return found


def _spool(metrics: ScrapedMetrics, now_ms: int) -> list[Concern]:
    spool, found = metrics.spool, []
    if spool is None:
        return []
    since_ms = now_ms - int(spool.oldest_seconds * 1000)
    if spool.hung:
        todo = "Kafka takes the deliveries meanwhile; endpoints with deliveries on that disk get 503. Look at the disk."
        found.append(Concern("bad", "The ingress's disk does not answer", None, todo, "spool"))
    elif spool.bytes_max and not spool.usable:
        todo = (
            "While Kafka is there nothing is lost; without it the answer is 503. Look at ingest.spool_dir and its disk."
        )
        found.append(Concern("bad", "The ingress's disk takes no deliveries", None, todo, "spool"))
    if spool.deliveries:
        what = f"{_count(spool.deliveries, 'delivery waits', 'deliveries wait')} on the ingress's disk"
        todo = "Kafka did not take them in time; they go there by themselves. Keep the machine and its disk."
        found.append(Concern("warn", what, since_ms, todo, "spool"))
    if spool.refused:
        what = f"Kafka refuses {_count(spool.refused, 'spooled delivery', 'spooled deliveries')}"
        todo = "A person must look: dropstream doctor, and the ingress's log for the reason."
        found.append(Concern("bad", what, None, todo, "spool"))
    if spool.damaged:
        what = f"The ingress's disk damaged {_count(spool.damaged, 'spooled delivery', 'spooled deliveries')}"
        todo = "They are not sent, and their files are kept. The runbook says what can be saved; then replace the disk."
        found.append(Concern("bad", what, None, todo, "spool"))
    if spool.unread_files:
        what = f"The ingress cannot read {_count(spool.unread_files, 'file', 'files')} of its spool"
        todo = "Deliveries may lie in them: keep the files, and see the ingress's log for the reason."
        found.append(Concern("bad", what, None, todo, "spool"))
    return found


def _overdue(metrics: ScrapedMetrics) -> list[Concern]:
    if not metrics.partitions_overdue:
        return []
    what = f"Kafka does not take deliveries in time on {_count(metrics.partitions_overdue, 'partition', 'partitions')}"
    todo = "Nothing is lost: the spool takes them. Do the partitions of raw have a leader, and enough in-sync replicas?"
    return [Concern("warn", what, None, todo, "spool")]


def _gaps(runs: Sequence[MissingRun], now_ms: int) -> list[Concern]:
    found = []
    for state, noun, todo in (
        (GapState.OPEN, "missing", "ShipStream tries again for 104 h. Is its webhook still enabled?"),
        (GapState.LOST, "lost in the last day", "Fetch what ShipStream can still tell of them: dropstream reconcile."),
    ):
        chosen = [run for run in runs if run.state is state]
        if state is GapState.LOST:
            chosen = [run for run in chosen if _ms(run.since) > now_ms - _DAY_MS]
        if chosen:
            names = ", ".join(sorted({run.endpoint for run in chosen})[:_NAMED_MAX])
            what = f"{_count(sum(run.count for run in chosen), 'sequence id', 'sequence ids')} {noun}: {names}"
            found.append(Concern("warn", what, min(_ms(run.since) for run in chosen), todo, "gaps"))
    mixed = [run for run in runs if run.state is GapState.MIXED]
    if mixed:
        names = ", ".join(sorted({run.endpoint for run in mixed})[:_NAMED_MAX])
        what = f"Two ShipStream webhooks share one URL, so what is missing cannot be known: {names}"
        todo = "Give each webhook an endpoint of its own (dropstream endpoints add), and change its URL at ShipStream."
        found.append(Concern("warn", what, min(_ms(run.since) for run in mixed), todo, "gaps"))
    return found


def _rejections(rejections: Sequence[ShownRejection], now_ms: int) -> list[Concern]:
    recent: dict[str, list[ShownRejection]] = defaultdict(list)
    for one in rejections:
        if one.at_ms > now_ms - WINDOW_MS:
            recent[one.reason].append(one)
    found = []
    for reason, ones in recent.items():
        whose = Counter(one.endpoint or "unknown endpoint" for one in ones).most_common(_NAMED_MAX)
        named = ", ".join(f"{endpoint} {count:,}" for endpoint, count in whose)
        what = f"{_count(len(ones), 'delivery', 'deliveries')} rejected, {reason}: {named}"
        todo = _OF_REASON[Reason(reason)] if reason in set(Reason) else "Look at one."
        found.append(Concern("warn", what, min(one.at_ms for one in ones), todo, "rejections"))
    return found


def _slow(latency: Latency | None) -> list[Concern]:
    if latency is None or latency.p99_ms < _SLOW_MS:
        return []
    what = f"One event in a hundred takes {latency.p99_ms / 1000:.0f} s or more from receipt until written"
    return [Concern("warn", what, None, "Is a group behind, or was the spool just drained?", "groups")]


def _budgets(metrics: ScrapedMetrics) -> list[Concern]:
    return [
        Concern(
            "bad" if one.left <= 0 else "warn",
            f"{one.endpoint} has {max(0, round(100 * one.left))} % of its failure budget left",
            None,
            "Its provider switches the webhook off when it is used up: find what answers other than 200.",
            "endpoints",
        )
        for one in metrics.budgets
        if one.left < _BUDGET_LOW
    ]


def _records(count: int) -> str:
    return _count(count, "record", "records")


def _count(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"


def _ms(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)
