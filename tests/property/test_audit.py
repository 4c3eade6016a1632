"""The audit's judge: whatever was forged into a history, each fault is named by its delivery, and nothing else is."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as budget
from hypothesis import strategies as st
from uuid_utils import uuid7

from ops.audit.judging.ledger import PartitionLedger
from processors.groups import deliver_rules, new_dedupe_store
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.delivery import Delivery, raw_key, record_headers
from schemas.records import Position, RawRecord
from schemas.times import timestamp_ms
from tests.forgery.applied import forge, stage_for
from tests.forgery.faults import OF_DELIVERIES, Fault
from tests.forgery.forges import Forger
from tests.forgery.history import History, Named, Reading, history_of
from tests.forgery.memory import audited_in_memory
from tests.forgery.stages import Stage, Stages
from tests.support.processing import ENDPOINTS, ENVIRON

SETTINGS = read_configuration(
    f'[kafka]\nbootstrap_servers = "127.0.0.1:1"\n{ENDPOINTS}',
    source="test",
    context=Context(environ=ENVIRON, providers=set(discover())),
)
RULES = deliver_rules(SETTINGS.endpoints, SETTINGS, discover())
PARTITIONS = dict.fromkeys(
    ("orders", "inventory", "catalog", "incidents", "other", "rejected", "duplicates", "sequence"), 3
)
# Nothing is made smaller: an example of a few deliveries is small enough, and each run judges all of it.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
faults = st.lists(st.lists(st.sampled_from(OF_DELIVERIES), min_size=1, max_size=3), max_size=6)
readings = st.builds(Reading, slice_ms=st.sampled_from([1, 30, 10**9]), order=st.permutations(range(24)))


def raw_records(deliveries: Sequence[Delivery]) -> list[RawRecord]:
    """The deliveries as they lie in one partition of `raw`."""
    return [
        RawRecord(
            Position(SETTINGS.kafka.topic_prefix + "raw", 0, offset),
            raw_key(one.endpoint, 1, one.body),
            one.body,
            record_headers(one),
            timestamp_ms(one.received_at),
        )
        for offset, one in enumerate(deliveries)
    ]


def clean_history(stages: Stages, per_transaction: int, lag_ms: int = 5) -> History:
    records = raw_records(stages.deliveries)
    memory = new_dedupe_store(SETTINGS)
    return history_of(records, RULES, memory, PARTITIONS, per_transaction=per_transaction, lag_ms=lag_ms)


def audited(history: History, reading: Reading, held_bytes_max: int = 50_000_000) -> PartitionLedger:
    return audited_in_memory(history, SETTINGS, RULES, reading=reading, held_bytes_max=held_bytes_max)


def found(ledger: PartitionLedger) -> set[tuple[str, str]]:
    return {(one.kind, one.raw) for one in ledger.report.findings}


def wanted(named: Sequence[Named]) -> set[tuple[str, str]]:
    topic = SETTINGS.kafka.topic_prefix + "raw"
    return {(one.kind, f"{topic}/{one.raw[0]}/{one.raw[1]}") for one in named if one.raw is not None}


@budget(max_examples=60, suppress_health_check=[HealthCheck.too_slow], phases=PHASES)
@given(faults, st.booleans(), st.integers(1, 40), readings)
def test_every_fault_is_named_and_nothing_else(
    chosen: list[list[Fault]], late: bool, per_transaction: int, reading: Reading
) -> None:
    """Any faults, on one delivery or on neighbours, are named by kind and delivery, however the topics are read.

    Without any, nothing is named.
    """
    stages = Stages()
    made = [(some, stage_for(stages, some)) for some in chosen]
    stages.add(events=2, retry=2, other_body=1, rejected=1)
    history = clean_history(stages, per_transaction)
    assert audited(history, reading).report.findings == []
    forger = Forger(history, late=late)
    named = [one for some, stage in made for one in forge(forger, stage.cases(history), some)]
    assert found(audited(history, reading)) == wanted(named)


@budget(max_examples=40, suppress_health_check=[HealthCheck.too_slow], phases=PHASES)
@given(faults, st.permutations(range(24)), st.booleans())
def test_a_fault_is_named_whole_however_little_memory_is_for_faults(
    chosen: list[list[Fault]], order: Sequence[int], is_cut: bool
) -> None:
    """The bound takes no delivery of which a record may be in the slice that is matched, or in the next one.

    A slice is read lane by lane, and it may end in the middle of a transaction: then some lanes come one slice later.
    """
    stages = Stages()
    made = [(some, stage_for(stages, some)) for some in chosen]
    stages.add(events=2, retry=2, other_body=1, rejected=1)
    history = clean_history(stages, per_transaction=1_000)
    named = [one for some, stage in made for one in forge(Forger(history), stage.cases(history), some)]
    if is_cut:
        for number, lane in enumerate(sorted(history.lanes)):
            for one in history.lanes[lane]:
                one.timestamp_ms += order[number % len(order)] % 2
    reading = Reading(slice_ms=1 if is_cut else 10**9, order=order)
    ledger = audited(history, reading, held_bytes_max=1)
    assert found(ledger) == wanted(named)
    assert ledger.awaited_bytes == 0


# How much of a topic retention has removed; most topics begin where they always began.
shares = st.sampled_from([0.0, 0.0, 0.1, 0.5, 0.9, 1.0])


@budget(max_examples=60, suppress_health_check=[HealthCheck.too_slow], phases=PHASES)
@given(st.data(), st.sampled_from([5, 10_800_000]), st.integers(1, 40), readings)
def test_what_retention_removes_is_never_called_a_fault(
    data: st.DataObject, lag_ms: int, per_transaction: int, reading: Reading
) -> None:
    """Whichever topics begin later than others, and however late they were written, a clean history has no fault."""
    stages = Stages()
    for _ in range(data.draw(st.integers(1, 8), label="stages")):
        stages.add(events=2, retry=2, other_body=1, rejected=1)
    late = [replace(one, id=str(uuid7())) for one in stages.deliveries[::3]]
    stages.made.append(Stage(late, {}))
    history = clean_history(stages, per_transaction, lag_ms)
    first = int(len(history.raw[0]) * data.draw(shares, label="raw"))
    begins_at_ms = {}
    for lane, records in history.lanes.items():
        if count := int(len(records) * data.draw(shares, label=str(lane))):
            begins_at_ms[lane] = history.shorten(lane, count)
    ledger = audited_in_memory(history, SETTINGS, RULES, begins_at_ms=begins_at_ms, reading=reading, first=first)
    assert ledger.report.findings == []
