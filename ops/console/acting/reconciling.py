"""What the console does with lost ids: it asks the provider's API what they told of, as `dropstream reconcile` does.

The run's progress comes to the page by topic `reconcile-state`, whoever began it.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ops.reconcile.plan import find_gaps, new_run, parse_gap
from ops.reconcile.sources import api_key, source_of
from ops.reconcile.store import new_run_id
from ops.reconcile.work import api_host, work_out
from ops.suggest import check_name
from schemas.errors import UsageError
from schemas.notes.reconciliations import ReconcileRun
from schemas.settings import Settings

_CONFIGURATION = "the console's configuration"


async def planned_run(settings: Settings, endpoint: str, gap: str) -> ReconcileRun:
    """A run for the lost ids `FIRST-LAST` of the endpoint, which has not begun.

    Raises:
        DropstreamError: the endpoint has no API or its key is not here, none of the ids is lost, Kafka does not answer.
    """
    check_name("endpoint", endpoint, settings.endpoints)
    if not endpoint:
        raise UsageError("say whose ids are lost")
    source_of(settings, endpoint)
    api_key(settings, endpoint, source=_CONFIGURATION)
    found = await find_gaps(settings, endpoint, *parse_gap(gap))
    now = datetime.now(UTC)
    return new_run(new_run_id(now), endpoint, begin=found.begin, end=None, gaps=found.gaps, now=now)


def shown_plan(settings: Settings, run: ReconcileRun) -> dict[str, Any]:
    """What the run would ask for, and what the API cannot give back."""
    kind, api = source_of(settings, run.endpoint), settings.endpoints[run.endpoint].api
    return {
        "endpoint": run.endpoint,
        "gap": f"{run.gaps[0].first}-{run.gaps[-1].last}",
        "provider": kind.provider,
        "host": "" if api is None else api_host(kind, api),
        "since": run.begin,
        "gives": list(kind.gives),
        "cannot_give": list(kind.cannot_give),
    }


async def reconciled(
    settings: Settings, run: ReconcileRun, on_page: Callable[[ReconcileRun], None]
) -> list[tuple[str, str]]:
    """Carries the run out; its outcome in rows.

    Raises:
        DropstreamError: it ended early; the sentence says how to go on.
    """
    kind = source_of(settings, run.endpoint)
    finished = await work_out(settings, kind, api_key(settings, run.endpoint, source=_CONFIGURATION), run, on_page)
    counts = finished.counts
    return [
        ("fetched", str(counts.fetched)),
        ("orders", str(counts.orders)),
        ("skus", str(counts.skus)),
        *(("note", note) for note in finished.notes),
    ]
