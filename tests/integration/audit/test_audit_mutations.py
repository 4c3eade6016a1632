"""The audit on real topics: every fault that is forged into a copy of a clean history is named, alone and in pairs."""

import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations_with_replacement, islice
from pathlib import Path

import pytest
from uuid_utils import uuid7

from ops.audit.run import audit
from ops.audit.verdict import AuditVerdict
from schemas.configuration import Context, read_configuration
from schemas.delivery import Delivery
from schemas.settings import Settings
from tests.conftest import KafkaUnderTest
from tests.forgery.applied import forge, stage_for
from tests.forgery.faults import FAULTS, OF_EVENTS, Fault
from tests.forgery.forges import Forger
from tests.forgery.history import Named, Unfit
from tests.forgery.stages import Cast, Stage, Stages
from tests.support.forging import (
    Topics,
    caught_up,
    commit_deliver,
    found,
    in_a_thread,
    read_topics,
    wanted,
    write_copy,
)
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, deliveries, prepared, processors, put

pytestmark = pytest.mark.kafka

PAIRS = list(combinations_with_replacement(FAULTS, 2))
# Those that a delivery of one event can have.
SIMPLE = [one for one in OF_EVENTS if one.partners == 1]


@dataclass(frozen=True, slots=True)
class Processed:
    """One clean history of all providers, processed by a real program, with stages for every fault and every pair.

    The stages for pairs come last; `others` are the ids of deliveries of every provider, by endpoint.
    """

    topics: Topics
    others: dict[str, list[str]]
    singles: Sequence[tuple[bool, Fault, Stage]]
    pairs: Sequence[tuple[tuple[Fault, Fault], Stage]]
    before_pairs: int


def settings_of(kafka: KafkaUnderTest) -> Settings:
    """Settings with a prefix that no other test has, as long as every other."""
    text = (
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\ntopic_prefix = "test-{str(uuid7())[-12:]}."\n'
        f"replication_factor = 1\npartitions = 3\n{ENDPOINTS}{PROCESS}"
    )
    providers = {"dreamship", "shipstream", "modern_dropship", "dropea"}
    return read_configuration(text, source="test", context=Context(environ=ENVIRON, providers=providers))


@pytest.fixture(scope="module")
def processed(kafka: KafkaUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Processed:
    """The history that all tests here forge copies of."""
    made: Processed = in_a_thread(partial(_process, settings_of(kafka), tmp_path_factory.mktemp("clean")))
    return made


async def _process(mine: Settings, folder: Path) -> Processed:
    mixed = deliveries(900)
    again = [replace(one, id=str(uuid7())) for one in mixed[::13]]
    unsigned = [replace(one, id=str(uuid7()), headers=()) for one in mixed[::17] if one.endpoint != "dropea"]
    others: dict[str, list[str]] = {}
    for one in mixed[1:]:
        others.setdefault(one.endpoint, []).append(one.id)
    stages = Stages(received_ms=len(mixed))
    singles = [(late, fault, stage_for(stages, [fault])) for late in (False, True) for fault in FAULTS]
    before: list[Delivery] = [*mixed, *again, *unsigned, *stages.deliveries]
    staged = len(stages.made)
    pairs = [(pair, stage_for(stages, pair)) for pair in PAIRS]
    await prepared(mine)
    await put(mine, [*before, *(one for stage in stages.made[staged:] for one in stage.deliveries)])
    async with processors(mine, folder) as start:
        processor = await start("processor")
        await caught_up(mine)
        processor.signal(signal.SIGTERM)
        await processor.ended()
    return Processed(await read_topics(mine), others, singles, pairs, len(before))


@asynccontextmanager
async def copied(topics: Topics) -> AsyncIterator[Settings]:
    """Settings of a prefix of its own, with empty topics."""
    mine = settings_of(KafkaUnderTest(topics.settings.kafka.bootstrap_servers))
    yield await prepared(mine)


async def test_a_real_history_and_a_faithful_copy_of_it_are_clean(processed: Processed) -> None:
    """What the processor wrote is clean, and so is a copy by another producer: what is named below was forged."""
    whole = processed.topics
    verdict = await audit(whole.settings, workers=2)
    assert (verdict.status, verdict.findings, verdict.pending) == ("clean", [], 0)
    part = replace(whole, history=whole.history.until(_of_first(processed)))
    async with copied(whole) as mine:
        await write_copy(part, part.history.copy(), mine)
        verdict = await audit(mine)
    assert (verdict.status, verdict.findings, verdict.pending) == ("clean", [], 0)
    assert verdict.deliveries == processed.before_pairs
    assert strict(verdict)


async def test_every_fault_is_named_by_its_kind_and_place(processed: Processed) -> None:
    """All single faults in one history, on deliveries of every provider: each is named, and nothing else is."""
    history = processed.topics.history.until(_of_first(processed)).copy()
    named: list[Named] = []
    for late, fault, stage in processed.singles:
        named += forge(Forger(history, late=late), stage.cases(history), [fault])
    done: set[tuple[str, str]] = set()
    for endpoint, ids in processed.others.items():
        left = iter(ids)
        for fault in SIMPLE:
            # A delivery of another kind may have what this one has not: stock, or an observation.
            for delivery in islice(left, 2):
                case = history.case(delivery)
                try:
                    named += fault.forge(Forger(history), case, Cast({"events": [case]}))
                except Unfit:
                    continue
                done.add((endpoint, fault.name))
                break
    assert {endpoint for endpoint, _ in done} == set(processed.others)
    async with copied(processed.topics) as mine:
        await write_copy(processed.topics, history, mine)
        verdict = await audit(mine)
    _compare(verdict, wanted(named, history, mine))


async def test_every_pair_of_faults_is_named_whole(processed: Processed) -> None:
    """Each pair on one delivery, or on neighbours where they exclude each other: both are named, nothing else is."""
    history = processed.topics.history.copy()
    named: list[Named] = []
    for number, (pair, stage) in enumerate(processed.pairs):
        named += forge(Forger(history, late=number % 2 == 1), stage.cases(history), pair)
    async with copied(processed.topics) as mine:
        await write_copy(processed.topics, history, mine)
        verdict = await audit(mine, workers=2)
    _compare(verdict, wanted(named, history, mine))


async def test_without_committed_offsets_nothing_is_called_clean(processed: Processed) -> None:
    """Where the group never committed, or its offsets are reset, the verdict is unknown, lost records or not."""
    history = processed.topics.history.until(_of_first(processed)).copy()
    for records in history.lanes.values():
        del records[::2]
    async with copied(processed.topics) as mine:
        await write_copy(processed.topics, history, mine, commit=False)
        verdict = await audit(mine)
        assert (verdict.status, verdict.deliveries) == ("unknown", 0)
        assert any("has committed nothing" in one for one in verdict.unknown), verdict.unknown
        assert {one.partition for one in verdict.waiting} == {one for one, raw in history.raw.items() if raw}
        await commit_deliver(mine, dict.fromkeys(history.raw, 0))
        assert (await audit(mine)).status == "unknown"
        await commit_deliver(mine, {partition: len(records) for partition, records in history.raw.items()})
        assert (await audit(mine)).status == "exceptions"


def _of_first(processed: Processed) -> dict[int, int]:
    """Where each partition of `raw` comes to the stages for pairs."""
    first = {delivery.id for _, stage in processed.pairs for delivery in stage.deliveries}
    return {
        partition: next((n for n, one in enumerate(records) if _id(one.headers) in first), len(records))
        for partition, records in processed.topics.history.raw.items()
    }


def _id(headers: Sequence[tuple[str, bytes | None]]) -> str:
    return (dict(headers)["dropstream-delivery"] or b"").decode()


def _compare(verdict: AuditVerdict, right: set[tuple[str, str]]) -> None:
    """Fails with what was not named and with what was named and is not so."""
    names = found(verdict)
    assert verdict.status == "exceptions"
    surplus = [one for one in verdict.findings if (one.kind, one.position) not in right]
    assert (sorted(right - names), surplus) == ([], [])
    assert strict(verdict)


def strict(verdict: AuditVerdict) -> bool:
    """Whether every delivery was judged by its rules, and nothing was excused."""
    excused = verdict.other_rules, verdict.unjudged, verdict.forgotten, verdict.beyond_proof, verdict.unknown
    return not any(excused)
