"""Writes acts to topic `acts`: first that one has begun, then how it ended.

An act whose beginning cannot be written is not done: what nobody can look up later must not happen. Where only its end
cannot be written, it is done, and the log or the screen says that its end is not on record.
"""

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from ops.kafka.writing import write_record
from ops.people.person import Asker, caller
from schemas.errors import DropstreamError
from schemas.late_log import LateLog
from schemas.notes.acts import Act, ActFacts, ActKind, ActStage, act_record
from schemas.settings import Settings
from schemas.times import rfc3339

# One partition, so that the topic has one order.
PARTITION = 0

WriteAct = Callable[[Act], Awaitable[None]]

_log = LateLog()


class NotRecordedError(DropstreamError):
    """The beginning of an act could not be put on record, so it was not done."""


@dataclass(slots=True)
class ActEnding:
    """What came of an act, by name; whoever does it adds the counts."""

    counts: dict[str, int] = field(default_factory=dict)


def begun(kind: ActKind, asker: Asker, facts: ActFacts, now: datetime) -> Act:
    """The act at its beginning, with an id that no other has."""
    return Act(
        id=f"act-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}",
        at=rfc3339(now),
        act=kind,
        stage=ActStage.BEGUN,
        who=asker.person.name,
        known_by=asker.person.known_by,
        place=asker.place or "unknown",
        session=asker.session,
        **asdict(facts),
    )


@asynccontextmanager
async def recorded(write: WriteAct, act: Act) -> AsyncIterator[ActEnding]:
    """Writes that the act has begun, and behind the block how it ended.

    Raises:
        NotRecordedError: the beginning could not be written; the block has not run.
    """
    try:
        await write(act)
    except DropstreamError as error:
        raise NotRecordedError(f"not done, for it cannot be put on record in topic acts: {error}") from error
    ending, stage = ActEnding(), ActStage.FAILED
    failure: str | None = "interrupted"
    try:
        yield ending
        stage, failure = ActStage.DONE, None
    except Exception as error:
        failure = type(error).__name__
        raise
    finally:
        counts = {**(act.counts or {}), **ending.counts} or None
        ended = replace(act, at=rfc3339(datetime.now(UTC)), stage=stage, failure=failure, counts=counts)
        try:
            await write(ended)
        except DropstreamError as error:
            _log.warning("act_end_not_recorded", act=act.act, id=act.id, stage=stage, why=str(error).splitlines()[0])


@asynccontextmanager
async def recorded_call(settings: Settings, kind: ActKind, facts: ActFacts) -> AsyncIterator[ActEnding]:
    """As `recorded`, for a verb that a person calls on this machine.

    Raises:
        NotRecordedError: the beginning could not be written; the block has not run.
    """

    async def write(act: Act) -> None:
        await write_act(settings, act)

    async with recorded(write, begun(kind, caller(os.environ), facts, datetime.now(UTC))) as ending:
        yield ending


async def write_act(settings: Settings, act: Act) -> None:
    """Writes the record; it is on all in-sync replicas on return.

    Raises:
        DropstreamError: the topic is missing, or the cluster does not take it in time.
    """
    record = act_record(act)
    await write_record(settings, record.topic, record.value, key=record.key, partition=PARTITION)
