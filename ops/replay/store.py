"""Reads and writes the topic `replay-state`: the plans of replays and redrives, and how far each is."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ops.kafka.reader import full_name, open_reader
from ops.kafka.writing import write_record
from ops.suggest import nearest
from schemas.errors import DropstreamError, UsageError
from schemas.notes.replays import (
    Choice,
    Range,
    ReplayPlan,
    ReplayProgress,
    progress_key,
    read_plan,
    read_progress,
    write,
)
from schemas.settings import Settings

_PLANS_PARTITION = 0


@dataclass(frozen=True, slots=True)
class ReplayStore:
    """The plans and their progress, read at one moment."""

    plans: Mapping[str, ReplayPlan] = field(default_factory=dict)
    progress: Mapping[bytes, ReplayProgress] = field(default_factory=dict)

    def progress_of(self, plan: ReplayPlan, one: Range) -> ReplayProgress:
        """The progress of the plan in one of its ranges."""
        return self.progress.get(progress_key(plan.id, one.partition)) or ReplayProgress(next=one.first)

    def total_progress(self, plan: ReplayPlan) -> ReplayProgress:
        """The counts of the plan over all partitions."""
        total = ReplayProgress(next=0)
        for one in plan.ranges:
            total = total.plus(self.progress_of(plan, one))
        return total

    def offsets_done(self, plan: ReplayPlan) -> int:
        """How many offsets of the plan's ranges are behind it: those of records, and those of transactions' marks."""
        return sum(self.progress_of(plan, one).next - one.first for one in plan.ranges)

    def find(self, replay: str) -> ReplayPlan:
        """The plan of this id.

        Raises:
            UsageError: no plan has this id; names the nearest.
        """
        if replay in self.plans:
            return self.plans[replay]
        raise UsageError(f"nothing of the id {replay} was begun{nearest(replay, self.plans)}")


def new_id(kind: Literal["replay", "redrive"], now: datetime) -> str:
    """An id that no other has: `replay-20260521T140000Z-3fa9c1`."""
    return f"{kind}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


async def read_store(settings: Settings) -> ReplayStore:
    """All plans and progress that were committed before this call.

    Raises:
        DropstreamError: the topic is missing or the cluster away.
    """
    plans: dict[str, ReplayPlan] = {}
    progress: dict[bytes, ReplayProgress] = {}
    # Settled: another replay's open transaction in the same partition must not hide what was committed.
    async with open_reader(settings, [full_name("replay-state", settings)], "beginning", settled=True) as reader:
        while not await reader.is_at_end():
            for record in await reader.fetch():
                if b"/" in (record.key or b""):
                    if (counted := read_progress(record.value)) is not None:
                        progress[record.key or b""] = counted
                elif (plan := read_plan(record.value)) is not None:
                    plans[plan.id] = plan
    return ReplayStore(plans, progress)


async def keep_plan(settings: Settings, plan: ReplayPlan) -> None:
    """Writes the plan; it is on all in-sync replicas on return.

    Raises:
        DropstreamError: the topic is missing, or the cluster does not take the plan in time.
    """
    await write_record(settings, "replay-state", write(plan), key=plan.id.encode(), partition=_PLANS_PARTITION)


def check_same_choice(plan: ReplayPlan, asked: Choice) -> None:
    """Returns where the choice given with --resume is that of the plan, or empty.

    Raises:
        UsageError: names what differs.
    """
    options = {"begin": "--from", "until": "--to", "into": "--into", "reason": "--reason", "topics": "--topics"}
    for name in Choice.__dataclass_fields__:
        wanted, begun = getattr(asked, name), getattr(plan.choice, name)
        if wanted and wanted != begun:
            shown = ",".join(begun) if isinstance(begun, tuple) else begun
            raise UsageError(
                f"{plan.id} was begun with {options.get(name, f'--{name}')} {shown or 'not given'}; "
                "--resume needs no other option, or the same ones"
            )


def check_unused_suffix(store: ReplayStore, suffix: str) -> None:
    """Returns where no replay has written to topics of this suffix.

    Raises:
        DropstreamError: names the replay.
    """
    for plan in store.plans.values():
        if plan.choice.into == suffix:
            raise DropstreamError(
                f"the topics of suffix {suffix!r} hold the data of {plan.id}; choose another suffix"
                + ("" if plan.finished else f", or finish that one: --resume {plan.id}")
            )
