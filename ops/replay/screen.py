"""Shows a replay or a redrive: its plan, the result of a dry run, and its counts."""

import json
from dataclasses import asdict

from ops import screen
from ops.replay.dry_run import Differences
from ops.replay.plan import Survey, own_topics, ranges_text
from schemas.notes.replays import ReplayPlan, ReplayProgress
from schemas.settings import Settings


def show_plan(settings: Settings, plan: ReplayPlan, survey: Survey, *, dry_run: bool, as_json: bool) -> None:
    """Shows what the plan reads, and where its events go."""
    choice = plan.choice
    if as_json:
        _write("plan", _plan_for_programs(settings, plan, survey, dry_run=dry_run))
        return
    noun = "deliveries" if plan.source == "raw" else "rejected"
    rows = [
        *([] if dry_run else [("id", plan.id)]),
        ("from", choice.begin or "the beginning"),
        ("to", choice.until or "the present end"),
        ("offsets", ranges_text(plan.ranges) or "none"),
        (noun, f"{survey.count}" + (f" of {survey.count + survey.left_out}" if survey.left_out else "")),
        ("into", ", ".join(one.name for one in own_topics(settings, choice)) or "the live topics"),
    ]
    screen.show_table(("plan", ""), rows)
    if plan.source == "raw":
        screen.show_table(("endpoint", "deliveries"), _sorted(survey, with_reason=False))
    else:
        screen.show_table(("endpoint", "reason", "rejected"), _sorted(survey, with_reason=True))


def show_differences(differences: Differences, *, as_json: bool) -> None:
    """Shows how many deliveries would change, and the first few by offset."""
    if as_json:
        kinds = sorted(differences.counts.items())
        found = [{"kind": kind, "deliveries": count, "first": differences.first.get(kind, [])} for kind, count in kinds]
        _write("differences", found)
        return
    rows = [
        (kind, str(count), ", ".join(differences.first.get(kind, ())))
        for kind, count in sorted(differences.counts.items())
    ]
    screen.show_table(("against the topics now", "deliveries", "first"), rows)


def show_counts(plan: ReplayPlan, counts: ReplayProgress, *, title: str, as_json: bool) -> None:
    """Shows under `title` what became of the records, or would in a dry run; each is counted once."""
    total = sum(one.count for one in plan.ranges)
    if as_json:
        names = ("records", "became", "events", "rejected", "retries", "left_out")
        _write("counts", {name: getattr(counts, name) for name in names} | {"offsets": total})
        return
    raw = plan.source == "raw"
    rows = [
        ("became events", counts.became),
        ("events", counts.events),
        ("rejected" if raw else "still rejected", counts.rejected),
        ("retries" if raw else "events already", counts.retries),
        ("left out", counts.left_out),
    ]
    if raw and counts.records < total:
        rows.append(("deleted unread", total - counts.records))
    screen.show_table((title, "count"), [(name, str(count)) for name, count in rows])


def _write(name: str, value: object) -> None:
    """Writes one JSON object of one key: what the plan is, what would differ, or what became of the records."""
    screen.write_json(json.dumps({name: value}, separators=(",", ":"), ensure_ascii=False))


def _plan_for_programs(settings: Settings, plan: ReplayPlan, survey: Survey, *, dry_run: bool) -> dict[str, object]:
    return {
        "id": None if dry_run else plan.id,
        "source": plan.source,
        "from": plan.choice.begin,
        "to": plan.choice.until,
        "ranges": [asdict(one) for one in plan.ranges],
        "into": [one.name for one in own_topics(settings, plan.choice)],
        "deliveries": survey.count,
        "left_out": survey.left_out,
        "chosen": [
            {"endpoint": endpoint or None, "reason": reason or None, "deliveries": count}
            for (endpoint, reason), count in sorted(survey.chosen.items())
        ],
    }


def _sorted(survey: Survey, *, with_reason: bool) -> list[tuple[str, ...]]:
    return [
        (endpoint or "-", *((reason,) if with_reason else ()), str(count))
        for (endpoint, reason), count in sorted(survey.chosen.items())
    ]
