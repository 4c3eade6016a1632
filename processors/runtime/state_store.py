"""What a step remembers of one input partition: memory, an overlay for the running transaction, a changelog in Kafka.

Changes go to the changelog partition of the input partition's number, in the transaction of the outputs and the offset:
all four move together or not at all. Memory holds only what is known to be committed; so after a failure, or when a
partition comes back, reading the changelog on from where memory ends makes it right again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from schemas.errors import DropstreamError
from schemas.kafka.arguments import restore_arguments
from schemas.kafka.cancellation import cancellation_kept
from schemas.settings import Settings

Change = tuple[bytes, bytes | None]

# No state has such a key: theirs are of eight bytes, or JSON.
_INPUT_KEY = b"input"
_RULES_KEY = b"rules"
_FETCH_WAIT_MS = 500
_RECORDS_PER_FETCH = 5_000


class StateStore(Protocol):
    """A step's memory. A change counts for the step at once, and for good when it is committed."""

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Takes one changelog record, in the order of the log; taking one again changes nothing.

        Raises:
            ValueError: the record cannot be what this state wrote.
        """

    def changes(self) -> Sequence[Change]:
        """The running transaction's changelog records; None as value is a tombstone."""

    def commit(self) -> None:
        """The running transaction is committed: its changes are memory now."""

    def roll_back(self) -> None:
        """The running transaction's fate is unknown: its changes are forgotten, for the changelog knows."""

    @property
    def entries(self) -> int:
        """How much is remembered."""

    @property
    def evicted(self) -> int:
        """How much was forgotten early, for want of room, since this process began."""


StoreT = TypeVar("StoreT", bound=StateStore)


@dataclass(slots=True)
class Kept(Generic[StoreT]):
    """A state, up to where it has taken its changelog in, and up to which offset of the input it stands for.

    `rules` is the digest of the rules that topic `rules` says last of this partition.
    """

    state: StoreT
    offset_next: int = 0
    input_next: int = 0
    rules: str = ""


def input_position(offset_next: int | None) -> Sequence[Change]:
    """The changelog record that says up to which offset of the input the state stands; none where it did not move."""
    return () if offset_next is None else ((_INPUT_KEY, str(offset_next).encode()),)


def noted_rules(digest: str) -> Sequence[Change]:
    """The changelog record that says by which rules the partition was judged last."""
    return ((_RULES_KEY, digest.encode()),)


async def catch_up(kept: Kept[StoreT], changelog: TopicPartition, settings: Settings) -> None:
    """Reads the changelog on to its end; call it fenced, so that nobody else can write there any more.

    Raises:
        KafkaError, TimeoutError: the cluster is away or silent; `kept` is right as far as it came.
        DropstreamError: a record of the changelog is corrupt, and no tombstone follows it. Nothing is guessed.
    """
    consumer = AIOKafkaConsumer(**restore_arguments(settings))
    timeout_s = settings.process.transaction_timeout_ms / 1000
    corrupt: dict[bytes | None, str] = {}
    try:
        async with asyncio.timeout(timeout_s):
            await consumer.start()
            consumer.assign([changelog])
            end = (await consumer.end_offsets([changelog]))[changelog]
            # Compaction may have removed what was there; the reader goes on at the next record that is.
            first = (await consumer.beginning_offsets([changelog]))[changelog]
            consumer.seek(changelog, max(kept.offset_next, first))
        while True:
            # Each step has its time, for a large state takes longer than any one of them.
            async with asyncio.timeout(timeout_s):
                if await consumer.position(changelog) >= end:
                    break
                batches = await consumer.getmany(timeout_ms=_FETCH_WAIT_MS, max_records=_RECORDS_PER_FETCH)
            for record in batches.get(changelog, ()):
                _take(kept, record, corrupt)
    finally:
        with cancellation_kept(asyncio.current_task()):
            async with asyncio.timeout(timeout_s):
                await consumer.stop()
    for fault in corrupt.values():
        raise DropstreamError(f"changelog {changelog.topic}, partition {changelog.partition}, {fault}")
    kept.offset_next = max(kept.offset_next, end)


def _take(kept: Kept[StoreT], record: ConsumerRecord, corrupt: dict[bytes | None, str]) -> None:
    """One record into memory; a fault into `corrupt` under its key, until a tombstone for that key takes it back."""
    try:
        if record.value is None and record.key in corrupt:
            del corrupt[record.key]
        elif record.key == _INPUT_KEY:
            kept.input_next = int(record.value or b"0")
        elif record.key == _RULES_KEY:
            kept.rules = (record.value or b"").decode()
        elif record.key is None:
            raise ValueError("it has no key")  # noqa: TRY301 one message for all that is wrong with a record
        else:
            kept.state.restore(record.key, record.value)
    except ValueError as error:
        corrupt[record.key] = (
            f"offset {record.offset} is corrupt: {error}\n"
            "Something else wrote there. Write a tombstone for the record's key, or begin with a fresh changelog topic."
        )
    if not corrupt:
        kept.offset_next = record.offset + 1
