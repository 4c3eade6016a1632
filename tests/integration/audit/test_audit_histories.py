"""What honest programs and administrators do to the topics is clean for the audit; a fault forged into it is not."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
from uuid_utils import uuid7

from ops.audit.run import audit
from ops.audit.verdict import FindingKind
from ops.kafka.reader import parse_start, read_topic
from processors.providers import discover
from schemas.delivery import Delivery
from schemas.settings import Settings
from schemas.times import rfc3339
from tests.conftest import SettingsFactory
from tests.integration.replay.test_replay import with_a_bug
from tests.support.forging import Topics, caught_up, read_topics, write_copy
from tests.support.histories import (
    audited_clean,
    delete_before,
    delete_topics,
    grow,
    last_of,
    process,
    processing,
    write_again,
)
from tests.support.ports import free_ports
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    PROCESS,
    SECRET,
    STARTED_AT,
    deliveries,
    prepared,
    put,
)
from tests.support.programs import program as running
from tests.support.replaying import counts, kill, more_events, program, replay_id

pytestmark = pytest.mark.kafka

REDACTING = f"{PROCESS}redact_personal_data = true\n"
WRONG = {"SECRET": "monday-s-wrong-secret"}


def again(batch: list[Delivery]) -> list[Delivery]:
    """The provider's retries of these."""
    return [replace(one, id=str(uuid7())) for one in batch]


async def assert_named(settings: Settings, kind: FindingKind, record: str) -> None:
    """The audit names the forged record at this place, and nothing else."""
    verdict = await audit(settings)
    assert [(one.kind, one.record) for one in verdict.findings] == [(kind, record)], verdict


async def test_replays_are_clean_in_place_and_into_topics_that_are_gone(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """In place, into a suffix, of a range behind first tries; with the suffix's topics and without."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=2))
    batch = deliveries(60)
    await put(mine, [*batch, *again(batch[:20]), *deliveries(20, first=61)])
    await process(mine)
    dropstream = program(mine, tmp_path)
    whole = await dropstream.run("replay", "--in-place", "--yes")
    part = await dropstream.run("replay", "--from", "0:40", "--in-place", "--yes")
    copied = await dropstream.run("replay", "--into", "fixed", "--yes")
    assert (whole.code, part.code, copied.code) == (0, 0, 0), (whole, part, copied)
    verdict = await audited_clean(mine)
    assert {verdict.replays[replay_id(one.out)] > 0 for one in (whole, part)} == {True}
    told = await dropstream.run("audit")
    assert (told.code, "verdict\tclean" in told.out) == (0, True), told
    double = await last_of(mine, "orders.fixed", replay_id(copied.out))
    await assert_named(mine, FindingKind.DOUBLED, await write_again(mine, "orders.fixed", double))
    topics = ("orders", "inventory", "catalog", "incidents", "other", "rejected", "duplicates")
    await delete_topics(mine, *(f"{topic}.fixed" for topic in topics))
    await audited_clean(mine)
    double = await last_of(mine, "orders", replay_id(part.out))
    await assert_named(mine, FindingKind.DOUBLED, await write_again(mine, "orders", double))


async def test_a_killed_replay_is_clean_and_what_it_did_not_write_is_not(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """A replay that died counts as far as it came; an event with its mark of what it has not reached is unexplained."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
    await put(mine, deliveries(60))
    await process(mine)
    running = await program(mine, tmp_path).start("replay", "--in-place", "--yes", "--rate", "1")
    await more_events(mine, 1, marked=True)
    await kill(running)
    verdict = await audited_clean(mine)
    ((name, count),) = verdict.replays.items()
    assert 0 < count < 60
    late = await last_of(mine, "orders")
    value = (late.value or b"").replace(b',"datacontenttype"', f',"replay":"{name}","datacontenttype"'.encode(), 1)
    forged = replace(late, value=value, headers=(*late.headers, ("replay", name.encode())))
    await assert_named(mine, FindingKind.UNEXPLAINED, await write_again(mine, "orders", forged))


async def test_redrives_are_clean_and_so_are_retries_behind_them(settings: SettingsFactory, tmp_path: Path) -> None:
    """A wrong secret, its redrive, another redrive, and the provider's retry of what was redriven, under one id."""
    monday = settings(ENDPOINTS + PROCESS, environ=WRONG, partitions=2)
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=2))
    batch = deliveries(60)
    await put(mine, [*batch, *again(batch[:5])])
    await process(monday)
    await put(mine, deliveries(20, first=61))
    await process(mine)
    verdict = await audited_clean(mine)
    assert sum(verdict.other_rules.values()) > 0
    dropstream = program(mine, tmp_path)
    first = await dropstream.run("redrive", "--yes")
    second = await dropstream.run("redrive", "--yes")
    assert (first.code, second.code, counts(second.out)["became events"]) == (0, 0, 0), (first, second)
    assert (await audited_clean(mine)).replays[replay_id(first.out)] > 0
    await put(mine, again(batch[10:20]))
    await process(mine)
    told = await dropstream.run("audit", "--workers", "2")
    assert (told.code, "verdict\tclean" in told.out) == (0, True), told
    double = await last_of(mine, "orders", replay_id(first.out))
    await assert_named(mine, FindingKind.DOUBLED, await write_again(mine, "orders", double))


async def test_what_retention_removes_is_no_loss(settings: SettingsFactory, tmp_path: Path) -> None:
    """Outputs that begin later than raw, raw later than outputs, emptied partitions, marked events of a replay."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
    batch = deliveries(80)
    await put(mine, [*batch, *again(batch[:10])])
    await process(mine)
    kept = await read_topics(mine)
    done = await program(mine, tmp_path).run("replay", "--in-place", "--yes")
    assert done.code == 0, done
    lanes = {lane: len(records) for lane, records in kept.history.lanes.items()}
    await delete_before(mine, {("sequence", 0): lanes["sequence", 0] // 2})
    await audited_clean(mine)
    halves = {lane: count // 2 for lane, count in lanes.items() if count > 1 and lane[0] != "sequence"}
    await delete_before(mine, halves)
    assert (await audited_clean(mine)).beyond_proof
    await delete_before(mine, {("raw", 0): 20})
    await audited_clean(mine)
    # Behind the originals: now events of the replay are gone too, and one partition is empty.
    await delete_before(mine, {("orders", 0): lanes["orders", 0] + 10, ("incidents", 0): -1})
    await audited_clean(mine)
    for start in (rfc3339(STARTED_AT), "0:50"):
        assert (await audit(mine, parse_start(start))).clean
    double = await last_of(mine, "inventory")
    await assert_named(mine, FindingKind.DOUBLED, await write_again(mine, "inventory", double))


async def test_a_loss_behind_what_retention_removed_is_found(settings: SettingsFactory) -> None:
    """Where a topic begins later than raw, what is missing behind its first record is still lost."""
    original = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
    await put(original, deliveries(80))
    await process(original)
    kept = await read_topics(original)
    mine = await prepared(another_prefix(original))
    history = kept.history.copy()
    lost = history.lanes["orders", 0][-3]
    history.remove(lost)
    await write_copy(kept, history, mine)
    await delete_before(mine, {("orders", 0): 5, ("raw", 0): 2, ("inventory", 0): -1})
    verdict = await audit(mine)
    assert [(one.kind, one.raw) for one in verdict.findings] == [(FindingKind.LOST, origin(kept, lost.value, mine))]
    assert verdict.beyond_proof["orders"] >= 1


def another_prefix(settings: Settings) -> Settings:
    """The same settings, with another prefix of the same length."""
    prefix = settings.kafka.topic_prefix
    kafka = settings.kafka.model_copy(update={"topic_prefix": f"copy{prefix[4:]}"})
    return settings.model_copy(update={"kafka": kafka})


def origin(topics: Topics, value: bytes | None, mine: Settings) -> str:
    """The place of the delivery that an event names, under the prefix of `mine`."""
    (place,) = [
        one.position
        for one in topics.history.raw[0]
        if f'"rawoffset":"{one.position.offset}"'.encode() in (value or b"")
    ]
    return f"{mine.kafka.topic_prefix}raw/{place.partition}/{place.offset}"


async def test_other_settings_and_versions_are_told_and_are_no_fault(settings: SettingsFactory) -> None:
    """Another version, another secret, redaction: what each judged is told by name, and today's rules stay strict."""
    before = settings(ENDPOINTS + PROCESS, environ=WRONG, partitions=1)
    mine = await prepared(settings(ENDPOINTS + REDACTING, environ=ENVIRON, partitions=1))
    await put(mine, deliveries(20))
    await process(before)
    await put(mine, deliveries(20, first=21))
    plain = settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1)
    await process(plain, {**discover(), "dropea": with_a_bug(discover()["dropea"])})
    await put(mine, [*deliveries(20, first=41), *again(deliveries(5, first=41))])
    await process(plain)
    await put(mine, deliveries(20, first=61))
    await process(mine)
    verdict = await audited_clean(mine)
    assert (verdict.deliveries, sum(verdict.other_rules.values()) > 0) == (85, True)
    double = await last_of(mine, "orders")
    await assert_named(mine, FindingKind.DOUBLED, await write_again(mine, "orders", double))


async def test_a_secret_rotated_by_sighup_is_no_fault(settings: SettingsFactory, tmp_path: Path) -> None:
    """What a running processor rejected under the old secret is judged loosely, what it took later is not."""
    secret = tmp_path / "secret"
    secret.write_text(WRONG["SECRET"])
    told = ENDPOINTS.replace("env:SECRET", f"file:{secret}")
    mine = await prepared(settings(told + PROCESS, partitions=1))
    port = free_ports(1)
    kafka = mine.kafka
    (tmp_path / "dropstream.toml").write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\ntopic_prefix = "{kafka.topic_prefix}"\n'
        f"replication_factor = 1\npartitions = 1\n{PROCESS.replace('admin_port = 0', f'admin_port = {port}')}{told}"
    )
    await put(mine, deliveries(20))
    async with running(tmp_path, "process", "deliver", admin_port=port) as processor:
        await caught_up(mine)
        secret.write_text(SECRET.decode())
        processor.signal(signal.SIGHUP)
        await processor.shows('dropstream_config_reloads_total{result="ok"} 1.0')
        await put(mine, deliveries(20, first=21))
        await caught_up(mine)
        processor.signal(signal.SIGTERM)
        assert await processor.ended() == 0
    today = settings(told + PROCESS, partitions=1)
    verdict = await audited_clean(today)
    assert sum(verdict.other_rules.values()) > 0
    double = await last_of(mine, "orders")
    await assert_named(today, FindingKind.DOUBLED, await write_again(mine, "orders", double))


async def test_outputs_that_grew_are_clean(settings: SettingsFactory) -> None:
    """Outputs that got partitions while the processor ran, and after it started anew: no key is misplaced."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
    await put(mine, deliveries(30))
    async with processing(mine):
        await caught_up(mine)
        await grow(mine, 3, "orders", "inventory", "rejected")
        await put(mine, deliveries(30, first=31))
    await put(mine, deliveries(30, first=61))
    await process(mine)
    verdict = await audited_clean(mine)
    assert (verdict.deliveries, verdict.pending) == (90, 0)
    grown = [one for one in await read_topic(mine, "orders") if one.position.partition]
    moved = replace(grown[-1], position=replace(grown[-1].position, partition=0))
    await write_again(mine, "orders", moved)
    assert FindingKind.MISPLACED in (await audit(mine)).found


async def test_what_a_full_memory_forgot_is_told_and_is_no_fault(settings: SettingsFactory) -> None:
    """Retries that came after their keys had to make room were processed again: that is counted, and clean."""
    small = f"{PROCESS}records_per_round_max = 5\ndedupe_partition_bytes_max = 480\n"
    mine = await prepared(settings(ENDPOINTS + small, environ=ENVIRON, partitions=1))
    batch = deliveries(40)
    await put(mine, [*batch, *again(batch[:10]), *again(batch[:3]), *again(batch[38:])])
    await process(mine)
    verdict = await audited_clean(mine)
    assert verdict.forgotten >= 10
    double = await last_of(mine, "orders")
    await assert_named(mine, FindingKind.DOUBLED, await write_again(mine, "orders", double))


async def test_nothing_and_nobody_are_clean_and_say_why(settings: SettingsFactory) -> None:
    """Empty topics are clean; so are deliveries that no member of the group has read yet, and the reason is told."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=2))
    verdict = await audited_clean(mine)
    assert (verdict.deliveries, verdict.pending, verdict.waiting) == (0, 0, [])
    await put(mine, deliveries(20))
    await process(mine)
    await put(mine, deliveries(20, first=21))
    verdict = await audited_clean(mine)
    assert (verdict.deliveries, verdict.pending) == (20, 20)
    assert all("has no members: start dropstream process" in one.why for one in verdict.waiting)
