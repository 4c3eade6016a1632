"""Writes to the topic `audit-state` how the last audit ended, and where the last clean one did."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer

from ops.audit.judging.records import OutputPartition
from ops.audit.reading.snapshot import AuditSnapshot
from ops.audit.state import PARTITION
from ops.audit.verdict import AuditVerdict
from ops.kafka.clients import checked_client_arguments, kafka_failures_explained
from ops.kafka.reader import full_name
from schemas.kafka.arguments import producer_arguments
from schemas.kafka.cancellation import cancellation_kept
from schemas.notes.audits import CHECKPOINT_KEY, RESULT_KEY, AuditResult, Checkpoint, write
from schemas.settings import Settings
from schemas.times import rfc3339


async def keep(settings: Settings, verdict: AuditVerdict, checkpoint: Checkpoint, *, accept: bool = False) -> None:
    """Writes how the audit ended and, where it was clean, where the next one goes on.

    `accept` where a person has judged the exceptions: then the next one goes on behind them, unless something is not
    known.

    Raises:
        DropstreamError: the topic is missing or the cluster away.
    """
    result = AuditResult(
        finished_at=rfc3339(datetime.now(UTC)),
        status=verdict.status,
        deliveries=verdict.deliveries,
        pending=verdict.pending,
        exceptions={str(kind): count for kind, count in verdict.found.items()},
    )
    records = [(RESULT_KEY, write(result))]
    if verdict.clean or (accept and not verdict.unknown):
        records.append((CHECKPOINT_KEY, write(checkpoint)))
    checked_client_arguments(settings.kafka)
    with cancellation_kept(asyncio.current_task()), kafka_failures_explained(settings.kafka):
        async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
            for key, value in records:
                await producer.send_and_wait(full_name("audit-state", settings), value, key=key, partition=PARTITION)


def checkpoint_of(snapshot: AuditSnapshot, first_unjudged: Mapping[OutputPartition, int]) -> Checkpoint:
    """Where an audit of `snapshot` ended; `first_unjudged` is the next audit's first record, by output partition."""
    begins: dict[str, dict[int, int]] = {}
    ends: dict[str, dict[int, int]] = {}
    for (topic, partition), one in snapshot.outputs.items():
        if "." not in topic:
            begins.setdefault(topic, {})[partition] = first_unjudged.get((topic, partition), one.end)
            ends.setdefault(topic, {})[partition] = one.end
    return Checkpoint(
        looked_at=rfc3339(snapshot.looked_at),
        raw={one.partition: one.end for one in snapshot.ranges},
        begins=begins,
        ends=ends,
        replays=sorted(snapshot.replays - snapshot.unfinished),
    )
