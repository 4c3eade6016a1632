"""The audit of one partition of `raw` without Kafka: its judge and its ledger over a history in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ops.audit.judging.judge import Judge
from ops.audit.judging.ledger import PartitionLedger
from ops.audit.judging.origin import origin_reader
from ops.audit.judging.sightings import DiskSightings, SightingsFile
from ops.audit.reading.eras import Eras
from processors.deliver.step import Rules
from processors.groups import key_budget
from processors.providers import discover
from processors.rules_version import rules_version
from schemas.records import RawRecord
from schemas.settings import Settings
from tests.forgery.history import AT_ONCE, History, Lane, Reading, slices_of


@dataclass(slots=True)
class ReadBack:
    """A record as a client of Kafka gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


def audited_in_memory(
    history: History,
    settings: Settings,
    rules: Rules,
    *,
    begins_at_ms: Mapping[Lane, float] | None = None,
    reading: Reading = AT_ONCE,
    first: int = 0,
    held_bytes_max: int = 50_000_000,
) -> PartitionLedger:
    """The ledger of partition 0, finished; what lies in `raw` before `first` is deleted."""
    seen = SightingsFile()
    process = settings.process
    memory = DiskSightings(
        seen,
        0,
        window_s=process.dedupe_window_hours * 3_600,
        keys_max=key_budget(settings, on_disk=False).keys_kept,
        bucket_max=process.records_per_round_max,
    )
    today = rules_version(settings, settings.endpoints, discover())
    raw_topic = settings.kafka.topic_prefix + "raw"
    ledger = PartitionLedger(
        judge=Judge(rules, memory, Eras(today), history.partitions),
        raw_topic=raw_topic,
        partition=0,
        first=first,
        knows_all_before=first == 0,
        begins_at_ms=begins_at_ms or {},
        held_bytes_max=held_bytes_max,
    )
    _match(history, ledger, raw_topic, reading)
    raw_of: dict[int, RawRecord] = {one.position.offset: one for one in history.raw[0][first:]}
    there = {offset: raw_of[offset] for offset in ledger.late_offsets if offset in raw_of}
    ledger.finish(there, deleted_before=first)
    seen.close()
    return ledger


def _match(history: History, ledger: PartitionLedger, raw_topic: str, reading: Reading) -> None:
    readers = {topic: origin_reader(topic, raw_topic) for topic in history.partitions}
    deliveries = iter(history.raw[0][ledger.first :])
    for moment, some in slices_of(history, reading):
        placed = []
        for lane, index, one in some:
            place = readers[lane[0]](one.value or b"", one.headers)
            assert place is not None, "what names no delivery is not a ledger's business"
            record = ReadBack(lane[0], lane[1], index, one.timestamp_ms, one.key, one.value, one.headers)
            if place[1] >= ledger.first:
                placed.append((place[1], lane, record))
        for offset, lane, _ in placed:
            ledger.announce(lane, offset)
        while placed and ledger.next <= max(offset for offset, _, _ in placed):
            ledger.expect(next(deliveries))
        for offset, lane, record in placed:
            ledger.match(offset, lane, record)
        ledger.settle(moment)
    for left in deliveries:
        ledger.expect(left)
