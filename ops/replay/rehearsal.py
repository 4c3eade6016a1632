"""What a redrive would do, without doing it."""

from collections.abc import Sequence

from ops.kafka.ranges import read_ranges
from ops.kafka.reader import full_name
from ops.replay.history import ground_of, open_state
from processors.deliver.step import Rules
from processors.replay import Task, redrive_step
from schemas.notes.replays import Range, ReplayPlan, ReplayProgress
from schemas.settings import Settings


async def rehearse(settings: Settings, plan: ReplayPlan, rules: Rules) -> ReplayProgress:
    """The counts that the redrive would end with; writes nothing."""
    ranges: Sequence[Range] = plan.ranges
    ground = await ground_of(settings, plan, rules, ranges)
    task = Task(plan, rules, ground.known)
    total = ReplayProgress(next=0)
    for one in ranges:
        state = await open_state(settings, task, ground, one, ReplayProgress(next=0))
        async for records in read_ranges(settings, full_name(plan.source, settings), [one]):
            for record in records:
                redrive_step(record, state, task)
            state.commit()
        total = total.plus(state.progress)
    return total
