"""The deliveries that a person selected on the page, and the plan of what is to be done with them."""

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ops.replay.dry_run import compare, rehearse
from ops.replay.plan import make_plan_of_places, survey
from ops.replay.store import new_id
from processors.deliver.step import Rules
from schemas.errors import UsageError
from schemas.notes.replays import Choice, ReplayPlan
from schemas.settings import Settings

SELECTED_MAX = 200
_ONE = re.compile(r"(\d{1,9}):(\d{1,18})(?:@(\d{1,9}):(\d{1,18}))?", re.ASCII)

SelectionAct = Literal["redrive", "replay"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Places (partition, offset) in `raw`, and for a redrive those of the same deliveries in `rejected`."""

    act: SelectionAct
    deliveries: tuple[str, ...]
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class PlannedSelection:
    """A plan, how many deliveries it takes, and the JSON by which a person decides."""

    plan: ReplayPlan
    count: int
    shown: dict[str, Any]


def read_selection(act: str | None, text: str | None) -> Selection:
    """The selection that the page sends: places in `raw` with commas between, for a redrive each `RAW@REJECTED`.

    Raises:
        UsageError: nothing is selected, too much, or nothing that the act can be done with.
    """
    if act not in {"redrive", "replay"}:
        raise UsageError("a selection can be redriven or replayed")
    found = [_ONE.fullmatch(one) for one in (text or "").split(",")]
    if not text or len(found) > SELECTED_MAX:
        raise UsageError(f"select 1 to {SELECTED_MAX} deliveries")
    places = []
    for one in found:
        if one is None:
            raise UsageError("this is no selection of deliveries")
        if act == "redrive" and one[3] is None:
            raise UsageError("a redrive takes rejected deliveries only")
        places.append((int(one[3]), int(one[4])) if act == "redrive" else (int(one[1]), int(one[2])))
    deliveries = tuple(f"{int(one[1])}:{int(one[2])}" for one in found if one)
    return Selection("redrive" if act == "redrive" else "replay", deliveries, tuple(places))


async def plan_selection(settings: Settings, selection: Selection, rules: Rules) -> PlannedSelection:
    """The plan for the selected deliveries, and what it would write; nothing is written.

    Raises:
        DropstreamError: one of them is deleted already, or the cluster cannot be read.
    """
    source = "rejected" if selection.act == "redrive" else "raw"
    choice = Choice(deliveries=selection.deliveries)
    plan_id = new_id(selection.act, datetime.now(UTC))
    plan = await make_plan_of_places(settings, plan_id, source, choice, selection.places)
    found = await survey(settings, plan, rules)
    shown: dict[str, Any] = {"plan": plan.id, "count": found.count}
    if selection.act == "redrive":
        chosen = [[name, why, count] for (name, why), count in sorted(found.chosen.items())]
        shown |= {"chosen": chosen, "would": asdict(await rehearse(settings, plan, rules))}
    else:
        differences = await compare(settings, plan, rules)
        shown["differences"] = [
            [kind, count, differences.first.get(kind, [])] for kind, count in sorted(differences.counts.items())
        ]
    return PlannedSelection(plan, found.count, shown)
