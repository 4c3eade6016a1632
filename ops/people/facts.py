"""What topic `acts` says of a replay, a redrive, a reconciliation: names, ids and counts."""

from schemas.notes.acts import DELIVERIES_MAX, NAME_CHARACTERS_MAX, ActFacts
from schemas.notes.reconciliations import ReconcileRun
from schemas.notes.replays import ReplayPlan


def plan_facts(plan: ReplayPlan, count: int | None = None) -> ActFacts:
    """The facts of a replay or redrive; `count` is how many deliveries it takes, where that is known."""
    choice = plan.choice
    others = (choice.provider, ",".join(choice.topics), f"into {choice.into}" if choice.into else "")
    return ActFacts(
        endpoint=choice.endpoint,
        reason=choice.reason,
        run=plan.id,
        span=span_text(choice.begin, choice.until),
        deliveries=choice.deliveries[:DELIVERIES_MAX] or None,
        about=" ".join(filter(None, others))[:NAME_CHARACTERS_MAX] or None,
        counts=None if count is None else {"deliveries": count},
    )


def run_facts(run: ReconcileRun) -> ActFacts:
    """The facts of a reconciliation, with the first gaps that it is for."""
    gaps = " ".join(f"{one.first}-{one.last}" for one in run.gaps)
    return ActFacts(
        endpoint=run.endpoint, run=run.id, span=span_text(run.begin, run.end), about=gaps[:NAME_CHARACTERS_MAX] or None
    )


def span_text(begin: str | None, until: str | None) -> str | None:
    """From where to where, as it was said; None where neither was."""
    return f"{begin or 'beginning'}/{until or 'now'}" if begin or until else None
