"""What one transaction is to write: the outputs of some records, or what time alone has made due.

A batch ends itself before it outgrows its transaction, and gives the event loop its turn while it computes.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Generic

from aiokafka import ConsumerRecord

from processors.runtime.group_spec import GroupSpec
from processors.runtime.state_store import StoreT
from schemas.records import Record, raw_record

# The step is computation; after this time the heartbeat and the admin port get their turn.
_TURN_S = 0.02
# A transaction is not to grow past this, nor the step past this share of the transaction's time.
_OUTPUT_BYTES_MAX = 16_777_216
_STEP_SHARE = 3


@dataclass(slots=True)
class Batch(Generic[StoreT]):
    """The outputs of `records`, made while they are iterated over; `taken` says how many records it went through."""

    work: GroupSpec[StoreT]
    state: StoreT
    records: Sequence[ConsumerRecord]
    taken: int = 0

    @property
    def offset_first(self) -> int:
        """The offset of the first record."""
        offset: int = self.records[0].offset
        return offset

    @property
    def offset_next(self) -> int:
        """The offset behind the last record that was taken."""
        offset: int = self.records[self.taken - 1].offset
        return offset + 1

    async def __aiter__(self) -> AsyncIterator[Sequence[Record]]:
        """The outputs, as many at a time as one turn makes."""
        began = turned = time.monotonic()
        step_s = self.work.settings.process.transaction_timeout_ms / 1000 / _STEP_SHARE
        step = self.work.new_step()
        outputs: list[Record] = []
        bytes_count = 0
        for record in self.records:
            self.taken += 1
            for output in step(raw_record(record), self.state):
                outputs.append(output)
                bytes_count += output.bytes_count
            now = time.monotonic()
            if bytes_count > _OUTPUT_BYTES_MAX or now - began > step_s:
                break
            if now - turned > _TURN_S:
                yield outputs
                outputs = []
                await asyncio.sleep(0)
                turned = time.monotonic()
        yield outputs


@dataclass(frozen=True, slots=True)
class Due:
    """Outputs that time alone made due; they belong to no offset."""

    outputs: Sequence[Record]
    offset_first: int | None = None
    offset_next: int | None = None

    async def __aiter__(self) -> AsyncIterator[Sequence[Record]]:
        yield self.outputs
