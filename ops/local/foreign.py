"""Keeps `dropstream up` away from the topics and groups of another dropstream on a Kafka that runs already.

Its processors would take part of the live deliveries and judge them by other secrets; its samples would be live events.
What `up` itself made there is noted in a file, by the cluster's id and the prefix, so that a second `up` may use it.
"""

import asyncio
from pathlib import Path

from ops.kafka.clients import admin
from ops.kafka.offsets import GROUP_SOURCES, members_if_known, read_group_offsets
from ops.kafka.reader import full_name
from ops.kafka.topics import existing
from ops.local.broker.local import Broker
from schemas.errors import DropstreamError
from schemas.kafka.log_bounds import NotKnown
from schemas.settings import Settings

_POLL_S = 0.5
# After a kill -9 the members of the `up` before stay in the group until their session ends, and a moment.
_MOMENT_S = 3.0


async def claim_prefix(settings: Settings, broker: Broker, notes: Path) -> None:
    """Returns where nobody else uses the topics and groups of these settings; notes them in `notes` as made by `up`.

    Raises:
        DropstreamError: somebody does, or that is not known; says how to choose other ones.
    """
    mark = f"{await _cluster_id(settings)} {settings.kafka.topic_prefix}"
    known = _read(notes)
    if why := await _use(settings, is_ours=mark in known):
        raise DropstreamError(
            f"{why}, so another dropstream works on Kafka at {broker.bootstrap_servers}; up would take deliveries from "
            f"it, and send samples into its topics\nGive it a prefix of its own: DROPSTREAM_KAFKA__TOPIC_PREFIX=up. "
            f"dropstream up. Or let it start a broker of its own: {broker.named_by} says to use this one."
        )
    if mark not in known:
        _add(notes, mark)


async def _use(settings: Settings, *, is_ours: bool) -> str:
    """What shows that somebody else uses the topics or groups, as the beginning of a sentence; empty where nobody does.

    Where `up` made them (`is_ours`), members that only have not been forgotten yet are waited for.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (settings.process.session_timeout_ms / 1_000 + _MOMENT_S if is_ours else 0)
    while members := await _members(settings):
        if loop.time() >= deadline:
            return members
        await asyncio.sleep(_POLL_S)
    return "" if is_ours else await _records(settings)


async def _members(settings: Settings) -> str:
    for name in GROUP_SOURCES:
        group = settings.kafka.topic_prefix + name
        count = await members_if_known(settings, group)
        if count is None:
            return f"whether group {group} has members is not known"
        if count:
            return f"group {group} has {count} member{'s' if count > 1 else ''}"
    return ""


async def _records(settings: Settings) -> str:
    raw = full_name("raw", settings)
    if not await existing(settings, [raw]):
        return ""
    logs = [one.log for one in await read_group_offsets(settings, settings.kafka.topic_prefix + "deliver", [raw])]
    if any(isinstance(one, NotKnown) or one.end for one in logs):
        return f"topic {raw} holds deliveries"
    return ""


def _read(notes: Path) -> list[str]:
    return notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []


def _add(notes: Path, mark: str) -> None:
    notes.parent.mkdir(parents=True, exist_ok=True)
    with notes.open("a", encoding="utf-8") as file:
        file.write(f"{mark}\n")


async def _cluster_id(settings: Settings) -> str:
    async with admin(settings) as client:
        return str((await client.describe_cluster())["cluster_id"])
