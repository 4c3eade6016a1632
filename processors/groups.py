"""The two consumer groups, `deliver` and `sequence`: topics, step, store and rules of each."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from processors.deliver.awaited_endpoints import AwaitedEndpoints
from processors.deliver.dedupe import DedupeStore
from processors.deliver.deliver_step import DeliverStep
from processors.deliver.keys.disk import DISK_KEY_BYTES
from processors.deliver.keys.local import KeyPlace
from processors.deliver.keys.rocksdb import DiskMemory
from processors.deliver.keys.segments import KeyBudget
from processors.deliver.keys.table import MEMORY_KEY_BYTES
from processors.deliver.provider import Provider
from processors.deliver.step import Rules
from processors.deliver.times import TimeBounds
from processors.metrics import ProcessMetrics
from processors.rules_version import gap_rules_version, rules_version
from processors.runtime.byte_account import ByteAccount
from processors.runtime.clock.upstream import Upstream
from processors.runtime.clock.witness import ClockWitness
from processors.runtime.group import Group
from processors.runtime.group_spec import GroupSpec, StepTracing
from processors.sequence.step import observe, punctuate
from processors.sequence.store import SequenceStore
from processors.sequence.tracker import GapRules
from schemas.notes.rejections import refused_record
from schemas.notes.rules import RulesVersion
from schemas.records import RawRecord, Record
from schemas.sections.endpoints import EndpointSettings
from schemas.settings import Settings
from schemas.topics import record_bytes_max
from schemas.vocabulary import EVENT_TOPICS

_HOUR_S = 3_600
# Most deliveries are remembered under one key, those that are known by their body alone under three.
KEYS_PER_DELIVERY = 3
# Of a partition whose keys are in memory alone.
_MEMORY_BYTES_MAX = 268_435_456
# Every topic that a delivery can lead to.
DELIVER_OUTPUTS = (*EVENT_TOPICS, "rejected", "duplicates", "sequence")


def deliver_rules(
    endpoints: Mapping[str, EndpointSettings], settings: Settings, providers: Mapping[str, Provider]
) -> Rules:
    """The rules by which a delivery is judged where these are the endpoints."""
    return Rules(
        endpoints=endpoints,
        providers=providers,
        record_bytes_max=record_bytes_max(settings),
        redact_personal_data=settings.process.redact_personal_data,
        time_bounds=TimeBounds(
            ahead=timedelta(hours=settings.process.event_time_ahead_hours_max),
            behind=timedelta(days=settings.process.event_time_behind_days_max),
        ),
    )


def new_dedupe_store(settings: Settings, place: KeyPlace | None = None) -> DedupeStore:
    """The store of one partition of `raw`, empty; in memory alone without the `place` that a process has."""
    place = place or KeyPlace()
    return DedupeStore(
        window_s=settings.process.dedupe_window_hours * _HOUR_S,
        budget=key_budget(settings, on_disk=place.state_dir is not None),
        place=place,
    )


def key_place(settings: Settings) -> KeyPlace:
    """Where a process keeps the keys of its partitions."""
    process = settings.process
    return KeyPlace(
        memory_keys_max=process.dedupe_memory_keys_max,
        state_dir=Path(process.state_dir) if process.state_dir else None,
        disk_memory=DiskMemory(),
    )


def key_budget(settings: Settings, *, on_disk: bool) -> KeyBudget:
    """How many keys these settings allow a partition and an endpoint."""
    process = settings.process
    bytes_max = (process.dedupe_endpoint_bytes_max, process.dedupe_partition_bytes_max)
    if on_disk:
        return KeyBudget(*(one // DISK_KEY_BYTES for one in bytes_max))
    return KeyBudget(*(min(one, _MEMORY_BYTES_MAX) // MEMORY_KEY_BYTES for one in bytes_max))


def deliver_group(
    settings: Settings,
    providers: Mapping[str, Provider],
    metrics: ProcessMetrics,
    stopping: asyncio.Event,
    *,
    endpoints: Callable[[], Mapping[str, EndpointSettings]] | None = None,
    account: ByteAccount | None = None,
    tracing: StepTracing | None = None,
) -> Group[DedupeStore]:
    """Group `deliver`: `raw` to events, rejections and dropped retries, until `stopping` is set.

    `endpoints` is asked at the start of each transaction; without it those of the settings stay. `account` is that of
    the process; without it the group has one of its own.
    """
    known = endpoints or (lambda: settings.endpoints)
    awaited = AwaitedEndpoints(settings.process.endpoint_wait_seconds)

    def new_step() -> DeliverStep:
        endpoints = known()
        awaited.learn(endpoints, time.monotonic())
        return DeliverStep(deliver_rules(endpoints, settings, providers), awaited)

    metrics.deliver.endpoints_awaited.set_function(lambda: awaited.count(time.monotonic()))
    place = key_place(settings)
    metrics.groups.expect_group("deliver")
    metrics.deliver.secrets.watch(known)
    metrics.deliver.expect_endpoints(known())
    spec = GroupSpec(
        name="deliver",
        source="raw",
        changelog="deliver-state",
        new_step=new_step,
        rules=_current_rules(settings, known, providers),
        outputs=DELIVER_OUTPUTS,
        new_store=lambda: new_dedupe_store(settings, place),
        settings=settings,
        metrics=metrics.groups,
        refused=partial(_refused_records, bytes_max=record_bytes_max(settings)),
        account=account or ByteAccount(settings.process.bytes_in_hand_max),
        count_outputs=metrics.deliver.count_outputs,
        tracing=tracing,
    )
    return Group(spec, stopping)


def _refused_records(raw: RawRecord, error: str, *, bytes_max: int) -> Sequence[Record]:
    return (refused_record(raw, error, bytes_max),)


def _current_rules(
    settings: Settings, known: Callable[[], Mapping[str, EndpointSettings]], providers: Mapping[str, Provider]
) -> Callable[[], RulesVersion]:
    """Gives the version of the current rules; made anew only when the endpoints were read anew."""
    last: list[tuple[Mapping[str, EndpointSettings], RulesVersion]] = []

    def current() -> RulesVersion:
        endpoints = known()
        if not last or last[0][0] is not endpoints:
            last[:] = [(endpoints, rules_version(settings, endpoints, providers))]
        return last[0][1]

    return current


def gap_rules(settings: Settings) -> GapRules:
    """When a hole in a sequence is reported under these settings."""
    return GapRules(
        grace=timedelta(seconds=settings.sequence.grace_seconds),
        lost_after=timedelta(hours=settings.sequence.lost_after_hours),
    )


def sequence_group(
    settings: Settings,
    metrics: ProcessMetrics,
    stopping: asyncio.Event,
    *,
    account: ByteAccount | None = None,
    tracing: StepTracing | None = None,
) -> Group[SequenceStore]:
    """Group `sequence`: observations to gaps, until `stopping` is set."""
    metrics.groups.expect_group("sequence")
    metrics.sequence.expect_endpoints(settings.endpoints)
    rules = gap_rules(settings)
    version = gap_rules_version(settings)
    prefix = settings.kafka.topic_prefix

    def new_store() -> SequenceStore:
        store = SequenceStore(rules)
        metrics.sequence.holes.watch(store)
        return store

    spec = GroupSpec(
        name="sequence",
        source="sequence",
        changelog="sequence-state",
        new_step=lambda: observe,
        rules=lambda: version,
        outputs=("gaps",),
        punctuate=punctuate,
        upstream=Upstream(group=f"{prefix}deliver", topic=f"{prefix}raw"),
        witness=ClockWitness(f"{prefix}raw"),
        newest_receipt=SequenceStore.newest_receipt,
        new_store=new_store,
        settings=settings,
        metrics=metrics.groups,
        account=account or ByteAccount(settings.process.bytes_in_hand_max),
        count_outputs=metrics.sequence.count_outputs,
        tracing=tracing,
    )
    return Group(spec, stopping)
