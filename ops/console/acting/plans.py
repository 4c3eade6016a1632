"""What an act would do, for the person to see before: the plan of a redrive or a replay, kept until it is confirmed."""

import asyncio
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from ops.console.acting.reconciling import planned_run, shown_plan
from ops.console.acting.selection import plan_selection, read_selection
from ops.kafka.ranges import parse_span
from ops.replay.dry_run import rehearse
from ops.replay.plan import make_plan, survey
from ops.replay.store import new_id
from ops.suggest import check_name
from processors.groups import deliver_rules
from processors.providers import discover
from schemas.errors import DropstreamError, UsageError
from schemas.notes.rejections import Reason
from schemas.notes.replays import Choice, ReplayPlan
from schemas.settings import Settings

_PLANS_KEPT = 10
_PLAN_WITHIN_S = 60.0


@dataclass(slots=True)
class Plans:
    """Makes plans, and keeps the newest of them, each with how many records it takes."""

    _kept: OrderedDict[str, tuple[ReplayPlan, int]] = field(default_factory=OrderedDict)

    async def redrive(self, settings: Settings, endpoint: str | None, reason: str | None) -> dict[str, Any]:
        """Plans a redrive: its id, the rejected deliveries by endpoint and reason, and what would become of them.

        Raises:
            DropstreamError: the names are wrong, or the cluster cannot be read.
        """
        check_name("endpoint", endpoint, settings.endpoints)
        check_name("reason", reason, [one.value for one in Reason])
        choice = Choice(endpoint=endpoint, reason=reason)
        rules = deliver_rules(settings.endpoints, settings, discover())
        try:
            async with asyncio.timeout(_PLAN_WITHIN_S):
                plan = await make_plan(
                    settings, new_id("redrive", datetime.now(UTC)), "rejected", choice, parse_span(None, None)
                )
                found = await survey(settings, plan, rules)
                counts = await rehearse(settings, plan, rules)
        except TimeoutError as error:
            raise _too_slow("redrive") from error
        self._keep(plan, found.count)
        chosen = [[name, why, count] for (name, why), count in sorted(found.chosen.items())]
        return {"plan": plan.id, "count": found.count, "chosen": chosen, "would": asdict(counts)}

    async def selection(self, settings: Settings, act: str | None, deliveries: str | None) -> dict[str, Any]:
        """Plans a redrive or a replay in place of selected deliveries; its id, and what it would write.

        Raises:
            DropstreamError: the selection is wrong, or the cluster cannot be read.
        """
        selection = read_selection(act, deliveries)
        rules = deliver_rules(settings.endpoints, settings, discover())
        try:
            async with asyncio.timeout(_PLAN_WITHIN_S):
                planned = await plan_selection(settings, selection, rules)
        except TimeoutError as error:
            raise _too_slow(selection.act) from error
        self._keep(planned.plan, planned.count)
        return planned.shown

    def take(self, plan_id: str) -> tuple[ReplayPlan, int]:
        """Returns the plan and how many records it takes, once.

        Raises:
            UsageError: the plan is not kept any more.
        """
        if plan_id not in self._kept:
            raise UsageError("this plan is no longer known; look again")
        return self._kept.pop(plan_id)

    def _keep(self, plan: ReplayPlan, count: int) -> None:
        self._kept[plan.id] = (plan, count)
        while len(self._kept) > _PLANS_KEPT:
            self._kept.popitem(last=False)


async def plan_reconcile(settings: Settings, endpoint: str, gap: str) -> dict[str, Any]:
    """What fetching the lost ids back would ask for; asks the provider nothing.

    Raises:
        DropstreamError: it cannot be done; the sentence says why.
    """
    return shown_plan(settings, await planned_run(settings, endpoint, gap))


def _too_slow(verb: str) -> DropstreamError:
    return DropstreamError(f"looking took longer than {_PLAN_WITHIN_S:.0f} s; use dropstream {verb} --dry-run")
