"""Reads from the topic `audit-state` how the last audit ended, and where the last clean one did."""

from dataclasses import dataclass, replace

from aiokafka import TopicPartition

from ops.kafka.clients import consumer
from ops.kafka.ranges import read_ranges
from ops.kafka.reader import full_name
from schemas.notes.audits import CHECKPOINT_KEY, RESULT_KEY, AuditResult, Checkpoint, read_checkpoint, read_result
from schemas.notes.replays import Range
from schemas.settings import Settings

# The topic holds two keys; both lie here, whatever their partitioner would say.
PARTITION = 0


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
        DropstreamError: the topic is missing or the cluster away.
    """
    source = TopicPartition(full_name("audit-state", settings), PARTITION)
    async with consumer(settings) as client:
        end = (await client.end_offsets([source]))[source]
    if known.next > end:
        known = AuditState()  # The topic was made anew.
    values: dict[bytes | None, bytes | None] = {}
    async for records in read_ranges(settings, source.topic, [Range(PARTITION, known.next, end)]):
        values.update((record.key, record.value) for record in records)
    state = replace(known, next=end)
    if RESULT_KEY in values:
        result = read_result(values[RESULT_KEY])
        # A record without a value says that there is nothing to keep.
        state = replace(state, result=result, is_readable=result is not None or values[RESULT_KEY] is None)
    if CHECKPOINT_KEY in values:
        state = replace(state, checkpoint=read_checkpoint(values[CHECKPOINT_KEY]))
    return state
