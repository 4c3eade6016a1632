"""The changelog of a state store: one partition of a compacted topic, that of the input partition's number.

Memory holds only committed changes; so after a failed transaction, or when a partition comes back to this process,
reading the changelog on from `changelog_offset` makes the store right again. Beside the store's own records it holds
two of the runtime: the input offset, for Kafka forgets what a group committed a week ago, and the digest of the rules.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from processors.runtime.state_store import Change, LocalStoreError, LogExtent, StateStore
from schemas.errors import DropstreamError
from schemas.kafka.arguments import restore_arguments
from schemas.kafka.cancellation import cancellation_kept
from schemas.kafka.cluster_id import cluster_id
from schemas.kafka.high_watermarks import high_watermark
from schemas.late_log import LateLog
from schemas.notes.formats import NewerFormatError
from schemas.records import next_offset
from schemas.settings import Settings

_log = LateLog()

# No store has such a key: theirs are of eight or nine bytes, or JSON.
_INPUT_KEY = b"input"
_RULES_KEY = b"rules"
_FETCH_WAIT_MS = 500
_RECORDS_PER_FETCH = 5_000
# Where the log is longer, so many of its last records are asked how far back it must be read.
_TAIL_RECORDS = 500
_TURN_S = 0.01
_TELL_S = 5.0
# A disk that is given everything at once may be behind for a while.
_DISK_PATIENCE_S = 30.0


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
    """Reads what is committed in the changelog, up to its end at the call; waits for transactions that are open there.

    Call it when no former owner can commit anything that is not there yet.

    The event loop gets its turn every few milliseconds, whatever the size of the store.

    Raises:
        KafkaError, TimeoutError: the cluster is away or silent; the store is right as far as it was read.
        LocalStoreError: the store's disk cannot be used now.
        DropstreamError: a record of the changelog is corrupt, and no tombstone follows it; or a newer version wrote it.
            Nothing is guessed.
    """
    consumer = AIOKafkaConsumer(**restore_arguments(settings))
    timeout_s = settings.process.transaction_timeout_ms / 1000
    try:
        async with asyncio.timeout(timeout_s):
            await consumer.start()
            consumer.assign([changelog])
        restoring = _Restoring(store, changelog, consumer, timeout_s)
        try:
            await restoring.run()
        except LocalStoreError as error:
            if not error.is_damage:
                raise
            await store.discard(str(error))
            await restoring.run()
    finally:
        with cancellation_kept(asyncio.current_task()):
            async with asyncio.timeout(timeout_s):
                await consumer.stop()


@dataclass(slots=True)
class _Restoring:
    """Reads a changelog into a store; `run` begins anew at each call."""

    store: StateStore
    changelog: TopicPartition
    consumer: AIOKafkaConsumer
    timeout_s: float
    _corrupt: dict[bytes | None, str] = field(default_factory=dict)
    _turn_began_at: float = field(default_factory=time.monotonic)
    _told_at: float = field(default_factory=time.monotonic)

    async def run(self) -> None:
        """Restores the store."""
        store, changelog = self.store, self.changelog
        self._corrupt = {}
        log = await self._log()
        begin = await store.open(log)
        if begin == log.first:
            begin = await self._newer_begin(log)
        self.consumer.seek(changelog, begin)
        # What is little waits for nobody.
        async with store.turn_to_restore() if log.end - begin > _TAIL_RECORDS else nullcontext():
            while (records := await self._fetch(log.end)) is not None:
                for record in records:
                    self._restore_record(record)
                    if time.monotonic() - self._turn_began_at > _TURN_S:
                        await self._give_turn(begin, record.offset, log.end)
        for fault in self._corrupt.values():
            raise DropstreamError(f"changelog {changelog.topic}, partition {changelog.partition}, {fault}")
        store.changelog_offset = max(store.changelog_offset, log.end)
        store.restored()
        await store.settle(_DISK_PATIENCE_S)

    async def _log(self) -> LogExtent:
        changelog = self.changelog
        async with asyncio.timeout(self.timeout_s):
            # Compaction may have removed that record; the reader goes on at the next one that is there.
            first = (await self.consumer.beginning_offsets([changelog]))[changelog]
            end = await high_watermark(self.consumer, changelog)
            cluster = await cluster_id(self.consumer)
        return LogExtent(cluster, changelog.topic, changelog.partition, first, end)

    async def _newer_begin(self, log: LogExtent) -> int:
        """Where reading may begin later than with the first record: what the newest records say is not needed any more.

        The changelog is kept longer than the store remembers, so that a group that was away finds what it needs.
        """
        if log.end - log.first <= _TAIL_RECORDS:
            return log.first
        self.consumer.seek(self.changelog, log.end - _TAIL_RECORDS)
        found: list[int] = []
        while (records := await self._fetch(log.end)) is not None:
            told = [self.store.reaches_back_to_ms(one.key or b"", one.value, one.timestamp) for one in records]
            found += [one for one in told if one is not None]
        if not found or min(found) <= 0:
            return log.first
        async with asyncio.timeout(self.timeout_s):
            begins = await self.consumer.offsets_for_times({self.changelog: min(found)})
        begin = begins[self.changelog]
        return log.first if begin is None else max(log.first, begin.offset)

    async def _fetch(self, end: int) -> Sequence[ConsumerRecord] | None:
        """The next records; None where the reader is at the end."""
        # Each step has its time, for a large store takes longer than any one of them.
        async with asyncio.timeout(self.timeout_s):
            if await self.consumer.position(self.changelog) >= end:
                return None
            batches = await self.consumer.getmany(timeout_ms=_FETCH_WAIT_MS, max_records=_RECORDS_PER_FETCH)
        found: Sequence[ConsumerRecord] = batches.get(self.changelog, ())
        return found

    async def _give_turn(self, begin: int, offset: int, end: int) -> None:
        await self.store.settle(_DISK_PATIENCE_S)
        await asyncio.sleep(0)
        self._turn_began_at = now = time.monotonic()
        if now - self._told_at > _TELL_S:
            self._told_at = now
            _log.info(
                "state_restoring",
                topic=self.changelog.topic,
                partition=self.changelog.partition,
                share=round((offset - begin) / max(1, end - begin), 3),
                remembered=self.store.entries,
            )

    def _restore_record(self, record: ConsumerRecord) -> None:
        """Takes one record; a fault is noted under its key, until a tombstone for the key follows."""
        store, corrupt = self.store, self._corrupt
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
        except NewerFormatError as error:
            place = f"changelog {self.changelog.topic}, partition {self.changelog.partition}, offset {record.offset}"
            raise NewerFormatError(f"{place}: {error}") from error
        except ValueError as error:
            corrupt[record.key] = (
                f"offset {record.offset} is corrupt: {error}\n"
                "Something else wrote there. Write a tombstone for the record's key, or begin with a fresh changelog "
                "topic."
            )
        if not corrupt:
            store.changelog_offset = next_offset(record)
