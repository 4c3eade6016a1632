"""Opens all that a run needs (the API, `raw`, the store) and runs it to its end, or as far as it comes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from uuid_utils import uuid7

from ops.people.facts import run_facts
from ops.people.writing import recorded_call
from ops.reconcile.known import KnownStates
from ops.reconcile.raw_log import open_raw_log
from ops.reconcile.run import Reconciliation
from ops.reconcile.source import ApiAccess, SourceKind
from ops.reconcile.store import open_run_store
from processors.groups import deliver_rules
from processors.providers import discover
from schemas.errors import DropstreamError
from schemas.notes.acts import ActKind
from schemas.notes.reconciliations import ReconcileRun
from schemas.sections.endpoints import ApiSettings
from schemas.settings import Settings

# A record's time is the ingress's clock, an event's time the provider's.
_CLOCKS_DIFFER = timedelta(minutes=10)


async def carry_out(
    settings: Settings, kind: SourceKind, key: str, run: ReconcileRun, on_page: Callable[[ReconcileRun], None]
) -> ReconcileRun:
    """The run, finished and on record as an act; as `work_out`."""
    async with recorded_call(settings, ActKind.RECONCILE, run_facts(run)) as ending:
        finished = await work_out(settings, kind, key, run, on_page)
        counts = finished.counts
        ending.counts |= {"fetched": counts.fetched, "orders": counts.orders, "skus": counts.skus}
        return finished


async def work_out(
    settings: Settings, kind: SourceKind, key: str, run: ReconcileRun, on_page: Callable[[ReconcileRun], None]
) -> ReconcileRun:
    """The run, finished; a run that was begun before goes on behind its last page.

    Raises:
        DropstreamError: the API or Kafka fails, or another process reconciles this endpoint; the run can be resumed.
    """
    endpoint = settings.endpoints[run.endpoint]
    if endpoint.api is None:
        raise DropstreamError(f"endpoint {run.endpoint} has no API to ask")
    asked = 0

    def count(_request: str) -> None:
        nonlocal asked
        asked += 1

    access = ApiAccess(endpoint.api, key, lambda: datetime.now(UTC), count)
    since = datetime.fromisoformat(run.begin) - _CLOCKS_DIFFER
    async with (
        # The store first: it ends the work of every other process for this endpoint, so that what is read stays true.
        open_run_store(settings, run.endpoint) as store,
        open_raw_log(settings, run.endpoint, since) as log,
        kind.open(access) as source,
    ):
        work = Reconciliation(
            source=source,
            known=KnownStates(run.endpoint, deliver_rules(settings.endpoints, settings, discover())),
            log=log,
            store=store,
            endpoint=endpoint,
            remote=api_host(kind, endpoint.api),
            now=access.now,
            new_id=lambda: str(uuid7()),
            on_page=on_page,
            requests=lambda: asked,
        )
        return await work.run(run)


def api_host(kind: SourceKind, api: ApiSettings) -> str:
    """The host that is asked, for people."""
    return urlsplit(api.url or kind.url).hostname or ""
