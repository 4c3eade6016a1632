"""Reads and writes the topic `reconcile-state`: how far each run is, and what the next run of an endpoint is to know.

One process at a time works for an endpoint: its transactional producer fences every older one.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerFenced

from ops.kafka.clients import CLOSE_TIMEOUT_S, checked_client_arguments, kafka_failures_explained
from ops.kafka.reader import full_name, read_written
from ops.suggest import nearest
from schemas.errors import DropstreamError, UsageError
from schemas.kafka.arguments import transactional_producer_arguments
from schemas.kafka.cancellation import stopped_within
from schemas.kafka.producers import stop_producer
from schemas.notes.formats import NewerFormatError
from schemas.notes.gaps import GapState, gap_record
from schemas.notes.reconciliations import (
    ReconcileRun,
    memory_endpoint,
    memory_key,
    read_memory,
    read_run,
    write_run,
)
from schemas.records import RawRecord
from schemas.settings import Settings

_PARTITION = 0
_RECENT_MAX = 20


@dataclass(frozen=True, slots=True)
class ReconcileState:
    """The runs by id, in the order in which they began, and what is known of each endpoint; read at one moment."""

    runs: Mapping[str, ReconcileRun] = field(default_factory=dict)
    memory: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def find(self, run: str) -> ReconcileRun:
        """The run of this id.

        Raises:
            UsageError: no run has this id; names the nearest.
        """
        if run in self.runs:
            return self.runs[run]
        raise UsageError(f"no run of the id {run} was begun{nearest(run, self.runs)}")

    def newest_of(self, endpoint: str) -> ReconcileRun | None:
        """The run of the endpoint that began last."""
        return next((one for one in reversed(list(self.runs.values())) if one.endpoint == endpoint), None)


@dataclass(slots=True)
class RecentRuns:
    """The newest runs, by the records of `reconcile-state`, which are added in order."""

    _runs: dict[str, ReconcileRun] = field(default_factory=dict)

    def add(self, record: RawRecord) -> None:
        """Adds the next record; a run of a newer version is left out."""
        try:
            run = read_run(record.value) if memory_endpoint(record.key) is None else None
        except NewerFormatError:
            run = None
        if run is not None:
            self._runs[run.id] = run
            if len(self._runs) > _RECENT_MAX:
                del self._runs[min(self._runs)]

    def all(self) -> list[ReconcileRun]:
        """The runs, the newest first."""
        return sorted(self._runs.values(), key=attrgetter("id"), reverse=True)


async def read_reconcile_state(settings: Settings) -> ReconcileState:
    """All that was committed before this call.

    Raises:
        DropstreamError: the topic is missing or the cluster away.
    """
    runs: dict[str, ReconcileRun] = {}
    memory: dict[str, Mapping[str, str]] = {}
    async for record in read_written(settings, "reconcile-state"):
        endpoint = memory_endpoint(record.key)
        if endpoint is not None:
            memory[endpoint] = read_memory(record.value)
        elif (run := read_run(record.value)) is not None:
            runs[run.id] = run
    return ReconcileState(dict(sorted(runs.items())), memory)


def new_run_id(now: datetime) -> str:
    """An id that no other has: `reconcile-20260521T140000Z-3fa9c1`."""
    return f"reconcile-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@dataclass(slots=True)
class KafkaRunStore:
    """Keeps the progress of an endpoint's run; made by `open_run_store`."""

    settings: Settings
    producer: AIOKafkaProducer

    async def keep(self, run: ReconcileRun) -> None:
        """Keeps the run as it is now; with its end, what the next one is to know, and that its gaps are reconciled.

        Raises:
            DropstreamError: another process works for this endpoint now.
        """
        topic = full_name("reconcile-state", self.settings)
        try:
            async with (
                asyncio.timeout(self.settings.process.transaction_timeout_ms / 1000),
                self.producer.transaction(),
            ):
                await self.producer.send_and_wait(topic, write_run(run), key=run.id.encode(), partition=_PARTITION)
                if run.finished:
                    await self._end(run, topic)
        except ProducerFenced as error:
            raise DropstreamError(f"another process reconciles {run.endpoint} now; this one ends") from error

    async def _end(self, run: ReconcileRun, topic: str) -> None:
        if run.memory:
            known = orjson.dumps(run.memory)
            await self.producer.send_and_wait(topic, known, key=memory_key(run.endpoint), partition=_PARTITION)
        for gap in run.gaps:
            reconciled = replace(
                gap,
                state=GapState.RECONCILED,
                changed_at=run.changed_at,
                run=run.id,
                orders=run.counts.orders,
                skus=run.counts.skus,
            )
            record = gap_record(reconciled)
            await self.producer.send_and_wait(full_name("gaps", self.settings), record.value, key=record.key)


@asynccontextmanager
async def open_run_store(settings: Settings, endpoint: str) -> AsyncIterator[KafkaRunStore]:
    """The store of the endpoint's runs; every other process that has it open can write nothing from now on."""
    checked_client_arguments(settings.kafka)
    name = f"{settings.kafka.topic_prefix}reconcile-{endpoint}"
    with kafka_failures_explained(settings.kafka):
        producer = AIOKafkaProducer(**transactional_producer_arguments(settings, transactional_id=name))
        try:
            async with asyncio.timeout(settings.process.transaction_timeout_ms / 1000):
                await producer.start()
            yield KafkaRunStore(settings, producer)
        finally:
            await stopped_within(CLOSE_TIMEOUT_S, stop_producer(producer))
