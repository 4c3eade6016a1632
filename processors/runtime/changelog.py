"""The changelog of a state store: one partition of a compacted topic, that of the input partition's number.

Memory holds only committed changes; so after a failed transaction, or when a partition comes back to this process,
reading the changelog on from `changelog_offset` makes the store right again. Beside the store's own records it holds
two of the runtime: the input offset, for Kafka forgets what a group committed a week ago, and the digest of the rules.
"""

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from processors.runtime.state_store import Change, StateStore
from schemas.errors import DropstreamError
from schemas.kafka.arguments import restore_arguments
from schemas.kafka.cancellation import cancellation_kept
from schemas.records import next_offset
from schemas.settings import Settings

# No store has such a key: theirs are of eight bytes, or JSON.
_INPUT_KEY = b"input"
_RULES_KEY = b"rules"
_FETCH_WAIT_MS = 500
_RECORDS_PER_FETCH = 5_000


def input_offset_change(offset: int) -> Change:
    """The changelog record that says up to which offset of the input the store has taken it in."""
    return _INPUT_KEY, str(offset).encode()


def rules_change(digest: str) -> Change:
    """The changelog record that says by which rules the partition was judged last."""
    return _RULES_KEY, digest.encode()


def is_of_store(key: bytes | None) -> bool:
    """Whether a changelog record of this key is the store's own, and not one of the runtime."""
    return key is not None and key not in {_INPUT_KEY, _RULES_KEY}


async def restore_store(store: StateStore, changelog: TopicPartition, settings: Settings) -> None:
    """Reads the changelog on to its end; call it when the former owner is fenced and can write nothing more.

    Raises:
        KafkaError, TimeoutError: the cluster is away or silent; the store is right as far as it was read.
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
            # Compaction may have removed that record; the reader goes on at the next one that is there.
            first = (await consumer.beginning_offsets([changelog]))[changelog]
            consumer.seek(changelog, max(store.changelog_offset, first))
        while True:
            # Each step has its time, for a large store takes longer than any one of them.
            async with asyncio.timeout(timeout_s):
                if await consumer.position(changelog) >= end:
                    break
                batches = await consumer.getmany(timeout_ms=_FETCH_WAIT_MS, max_records=_RECORDS_PER_FETCH)
            for record in batches.get(changelog, ()):
                _restore_record(store, record, corrupt)
    finally:
        with cancellation_kept(asyncio.current_task()):
            async with asyncio.timeout(timeout_s):
                await consumer.stop()
    for fault in corrupt.values():
        raise DropstreamError(f"changelog {changelog.topic}, partition {changelog.partition}, {fault}")
    store.changelog_offset = max(store.changelog_offset, end)


def _restore_record(store: StateStore, record: ConsumerRecord, corrupt: dict[bytes | None, str]) -> None:
    """Takes one record into the store; a fault into `corrupt` under its key, until a tombstone for the key follows."""
    try:
        if record.value is None and record.key in corrupt:
            del corrupt[record.key]
        elif record.key == _INPUT_KEY:
            store.input_offset = int(record.value or b"0")
        elif record.key == _RULES_KEY:
            store.rules_digest = (record.value or b"").decode()
        elif record.key is None:
            raise ValueError("it has no key")  # noqa: TRY301 one message for every fault of a record
        else:
            store.restore(record.key, record.value)
    except ValueError as error:
        corrupt[record.key] = (
            f"offset {record.offset} is corrupt: {error}\n"
            "Something else wrote there. Write a tombstone for the record's key, or begin with a fresh changelog topic."
        )
    if not corrupt:
        store.changelog_offset = next_offset(record)
