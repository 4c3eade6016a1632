"""Ends a replay or redrive that ran to its end: its plan is kept as finished, and its consumer group is deleted.

The group has nothing that is not in `replay-state`; left there, its lag would grow for ever in every lag exporter.
"""

from dataclasses import replace
from functools import partial

from aiokafka.errors import KafkaError

from ops.kafka.offsets import groups, open_client
from ops.replay.store import keep_plan, read_store
from schemas.errors import DropstreamError
from schemas.kafka.committed_offsets import ask_patiently
from schemas.kafka.group_deletion import delete_group
from schemas.late_log import LateLog
from schemas.notes.replays import ReplayPlan
from schemas.settings import Settings

_log = LateLog()


async def finish(settings: Settings, plan: ReplayPlan) -> None:
    """Keeps the plan as finished, and deletes the groups of every finished plan, those of earlier runs included.

    A group that cannot be deleted now is named in the log; the next replay or redrive deletes it.
    """
    await keep_plan(settings, replace(plan, finished=True))
    try:
        await _delete_groups(settings)
    except (DropstreamError, KafkaError, TimeoutError) as error:
        _log.warning("replay_group_left", plan=plan.id, error=str(error) or type(error).__name__)


async def _delete_groups(settings: Settings) -> None:
    finished = {one.id for one in (await read_store(settings)).plans.values() if one.finished}
    prefix = settings.kafka.topic_prefix
    left = [one for one in await groups(settings) if one.startswith(prefix) and one.removeprefix(prefix) in finished]
    async with open_client(settings) as client:
        for group in left:
            await ask_patiently(partial(delete_group, client, group))
