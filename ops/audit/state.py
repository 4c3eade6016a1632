"""Reads and writes the topic `audit-state`: how the last audit ended, and where the last clean one did."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from aiokafka import TopicPartition

from ops.audit.verdict import AuditVerdict
from ops.kafka.clients import consumer
from ops.kafka.ranges import read_ranges
from ops.kafka.reader import full_name
from ops.kafka.writing import write_record
from schemas.notes.audits import (
    CHECKPOINT_KEY,
    RESULT_KEY,
    AuditResult,
    Checkpoint,
    read_checkpoint,
    read_result,
    write,
)
from schemas.notes.replays import Range
from schemas.settings import Settings
from schemas.times import rfc3339

# The topic holds two keys; both lie here, whatever their partitioner would say.
_PARTITION = 0


@dataclass(frozen=True, slots=True)
class AuditState:
    """The last result and checkpoint; None where no audit of everything has ended, or none that was clean.

    `is_readable` is False where the record of the last audit is none of ours, or a newer version's. `next` is the
    offset up to which the topic was read.
    """

    result: AuditResult | None = None
    checkpoint: Checkpoint | None = None
    is_readable: bool = True
    next: int = 0


async def read_state(settings: Settings, known: AuditState = AuditState()) -> AuditState:
    """The state now; where `known` was read before, only the records that came since are read.

    Raises:
        DropstreamError: the topic is missing or the cluster away; or a newer version wrote what is there.
    """
    partition = TopicPartition(full_name("audit-state", settings), _PARTITION)
    async with consumer(settings) as client:
        end = (await client.end_offsets([partition]))[partition]
    if known.next > end:
        known = AuditState()  # The topic was made anew.
    values: dict[bytes | None, bytes | None] = {}
    async for records in read_ranges(settings, partition.topic, [Range(_PARTITION, known.next, end)]):
        values.update((record.key, record.value) for record in records)
    state = replace(known, next=end)
    if RESULT_KEY in values:
        result = read_result(values[RESULT_KEY])
        # A record without a value says that there is nothing to keep.
        state = replace(state, result=result, is_readable=result is not None or values[RESULT_KEY] is None)
    if CHECKPOINT_KEY in values:
        state = replace(state, checkpoint=read_checkpoint(values[CHECKPOINT_KEY]))
    return state


async def write_state(
    settings: Settings, verdict: AuditVerdict, checkpoint: Checkpoint | None, *, accept: bool = False
) -> None:
    """Writes how the audit ended and, where it was clean, where the next one goes on.

    `accept` where a person has judged the exceptions: then the next one goes on behind them, unless something is not
    known.

    Raises:
        DropstreamError: the topic is missing or the cluster away; or a newer version wrote what is there.
    """
    await read_state(settings)
    result = AuditResult(
        finished_at=rfc3339(datetime.now(UTC)),
        status=verdict.status,
        deliveries=verdict.deliveries,
        pending=verdict.pending,
        exceptions={str(kind): count for kind, count in verdict.found.items()},
    )
    records = [(RESULT_KEY, write(result))]
    if checkpoint is not None and (verdict.clean or (accept and not verdict.unknown)):
        # First: whoever reads between the two never finds a clean audit without the time up to which all was clean.
        records.insert(0, (CHECKPOINT_KEY, write(checkpoint)))
    for key, value in records:
        await write_record(settings, "audit-state", value, key=key, partition=_PARTITION)
