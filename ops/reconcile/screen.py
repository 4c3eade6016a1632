"""Shows a reconciliation: what would be fetched, what its API cannot give back, how far it is, and what came of it."""

from ops import screen
from ops.reconcile.source import SourceKind
from ops.reconcile.work import api_host
from schemas.notes.reconciliations import ReconcileRun
from schemas.settings import Settings


def show_plan(settings: Settings, kind: SourceKind, run: ReconcileRun, *, dry_run: bool) -> None:
    """Shows the run, what the provider's API gives of its window, and what it cannot give back."""
    api = settings.endpoints[run.endpoint].api
    gaps = " ".join(f"{one.first}-{one.last}" for one in run.gaps)
    rows = [
        ("id", "none, for this is a dry run" if dry_run else run.id),
        ("endpoint", f"{run.endpoint}, {kind.provider}"),
        ("asks", api_host(kind, api) if api else "nobody: the endpoint has no table api"),
        ("for changes from", run.begin),
        ("to", run.end or "the present"),
        ("gaps", gaps or "none named"),
        *(("gives", one) for one in kind.gives),
        *(("cannot give back", one) for one in kind.cannot_give),
    ]
    screen.show_table(("plan", ""), rows)


def show_progress(run: ReconcileRun) -> None:
    """Shows how far the run is, in one line."""
    screen.note(f"{run.id} {run.step}: {run.counts.fetched} fetched, {run.counts.published} published")


def show_result(run: ReconcileRun) -> None:
    """Shows what came of the run."""
    counts = run.counts
    rows = [
        ("fetched", str(counts.fetched)),
        ("published", f"{counts.published}: {counts.orders} orders, {counts.skus} SKUs"),
        ("of these overtaken", str(counts.overtaken)),
        ("known already", str(counts.known)),
        ("unreadable", str(counts.unreadable)),
        ("requests", str(counts.requests)),
        ("gaps", " ".join(f"{one.first}-{one.last} reconciled" for one in run.gaps) or "none named"),
        *(("note", one) for one in run.notes),
    ]
    screen.show_table(("reconciled", ""), rows)
