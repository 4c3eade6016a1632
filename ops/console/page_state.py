"""Makes the JSON of everything that the page shows at a moment; bounded, whatever the topics hold."""

from collections import Counter
from dataclasses import asdict
from operator import attrgetter
from typing import Any

import orjson

from ops.console.acting.shown_acts import ShownActs
from ops.console.concerns import ConcernFacts, concerns
from ops.console.flow import BUCKET_MS, FlowKind
from ops.console.memory import UNKNOWN, RecentRecords, ShownRejection
from ops.console.watch import Watch
from ops.inspect.gaps import MissingRun
from schemas.notes.gaps import GapState
from schemas.notes.reconciliations import ReconcileRun
from schemas.settings import Settings

_ENDPOINTS_MAX = 100
_RUNS_MAX = 100
_REJECTED_MAX = 60
_SELECTIONS_MAX = 40
_EVENTS_MAX = 9
_RECONCILED_MAX = 5
_NAMED_GAPS_MAX = 5
# A browser does not hold larger numbers exactly.
_SAFE_INTEGER = 2**53


def page_state(settings: Settings, watch: Watch, acts: ShownActs, *, now_ms: int) -> bytes:
    """The state of the page as JSON."""
    memory = watch.memory
    runs = memory.missing.runs()
    latency = memory.latencies.of(None, now_ms=now_ms)
    sources, groups = sorted(watch.sources.all(), key=attrgetter("name")), list(watch.groups.values())
    found = concerns(
        ConcernFacts(sources, groups, watch.metrics, latency, runs, memory.rejections.all()), now_ms=now_ms
    )
    return orjson.dumps(
        {
            "now": now_ms,
            "bucket_ms": BUCKET_MS,
            "caught_up": watch.caught_up,
            "whole_since": memory.whole_since_ms,
            "delivered_at": newest(memory.delivered_at_ms, watch.metrics.delivered_at_ms),
            "concerns": [asdict(one) for one in found],
            "sources": sources,
            "endpoints": _endpoints(settings, watch, now_ms),
            "latency": latency,
            "groups": groups,
            "spool": watch.metrics.spool,
            "gaps": _gaps(runs, settings) | {"suspected": _suspected(watch)},
            "reconciliations": [_reconciliation(one) for one in watch.reconciliations.all()[:_RECONCILED_MAX]],
            "rejections": _rejections(memory.rejections),
            "events": memory.events.all()[:_EVENTS_MAX],
            "acts": acts.all(),
        }
    )


def newest(*times_ms: int | None) -> int | None:
    """The latest of the times that are known: a delivery counts whether Kafka has it or the ingress's disk."""
    return max((one for one in times_ms if one is not None), default=None)


def _endpoints(settings: Settings, watch: Watch, now_ms: int) -> list[dict[str, Any]]:
    memory, budgets = watch.memory, {one.endpoint: one.left for one in watch.metrics.budgets}
    names = list(settings.endpoints)[:_ENDPOINTS_MAX]
    if UNKNOWN in memory.flow.endpoints():
        names.append(UNKNOWN)
    return [
        {
            "name": name,
            "provider": settings.endpoints[name].provider if name in settings.endpoints else "",
            "enabled": name not in settings.endpoints or settings.endpoints[name].enabled,
            "series": {kind.value: memory.flow.series(name, kind, now_ms=now_ms) for kind in FlowKind},
            "latency": memory.latencies.of(name, now_ms=now_ms),
            "budget": budgets.get(name),
        }
        for name in names
    ]


def _reconciliation(run: ReconcileRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "endpoint": run.endpoint[:200],
        "gaps": " ".join(f"{one.first}-{one.last}" for one in run.gaps[:_NAMED_GAPS_MAX]),
        "step": run.step[:40],
        "finished": run.finished,
        "at": run.changed_at,
        "fetched": run.counts.fetched,
        "orders": run.counts.orders,
        "skus": run.counts.skus,
    }


def _offered(run: MissingRun, settings: Settings) -> dict[str, Any]:
    """The command that fetches it back, and whether the console can do so itself: where it knows of an API."""
    offer, endpoint = _offer(run, settings), settings.endpoints.get(run.endpoint)
    can_fetch = offer is not None and endpoint is not None and endpoint.api is not None
    return {"offer": offer, "can_fetch": can_fetch}


def _offer(run: MissingRun, settings: Settings) -> str | None:
    """The command that fetches what lost ids told of; None where it cannot, or a person wants none."""
    endpoint = settings.endpoints.get(run.endpoint)
    if run.state is not GapState.LOST or endpoint is None or endpoint.reconcile == "off":
        return None
    return f"dropstream reconcile --endpoint {run.endpoint} --gap {run.first}-{run.last}"


def _gaps(runs: list[MissingRun], settings: Settings) -> dict[str, Any]:
    shown = {}
    for state in (GapState.OPEN, GapState.LOST):
        chosen = sorted((run for run in runs if run.state is state), key=attrgetter("since"), reverse=True)
        shown[state.value] = {
            "runs": len(chosen),
            "ids": min(sum(run.count for run in chosen), _SAFE_INTEGER),
            "newest": [_run(one) | _offered(one, settings) for one in chosen[:_RUNS_MAX]],
        }
    return shown


def _suspected(watch: Watch) -> dict[str, Any]:
    """What did not come and is in its grace time; the processors tell how much, `dropstream gaps` which ids.

    Where one of them does not answer there may be more: `known` is false.
    """
    ids = watch.metrics.suspected
    shown = sorted(ids.items())[:_RUNS_MAX]
    return {
        "known": watch.suspected_known,
        "ids": min(sum(ids.values()), _SAFE_INTEGER),
        "endpoints": [{"endpoint": one[:200], "count": min(count, _SAFE_INTEGER)} for one, count in shown],
    }


def _run(run: MissingRun) -> dict[str, Any]:
    return {
        "endpoint": run.endpoint[:200],
        "epoch": run.epoch if run.epoch < _SAFE_INTEGER else str(run.epoch),
        "first": str(run.first),
        "last": str(run.last),
        "count": min(run.count, _SAFE_INTEGER),
        "since": run.since,
    }


def _rejections(rejections: RecentRecords[ShownRejection]) -> dict[str, Any]:
    newest_first = rejections.all()
    selections = Counter((one.endpoint, one.reason) for one in newest_first)
    return {
        "kept": len(newest_first),
        "is_full": rejections.is_full,
        "selections": [
            {"endpoint": endpoint, "reason": reason, "count": count}
            for (endpoint, reason), count in selections.most_common(_SELECTIONS_MAX)
        ],
        "newest": [_rejection(one) for one in newest_first[:_REJECTED_MAX]],
    }


def _rejection(one: ShownRejection) -> dict[str, Any]:
    return {"place": one.place, "at": one.at_ms, "endpoint": one.endpoint, "reason": one.reason, "detail": one.detail}
