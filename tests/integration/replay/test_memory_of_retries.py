"""A replay's memory of retries on real Kafka: out of the changelog, and the same out of `raw` where it is not there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from ops.audit.run import audit
from ops.kafka.clients import admin
from ops.kafka.reader import full_name, read_topic
from ops.kafka.topics import apply
from schemas.delivery import Delivery
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.histories import delete_topics
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, deliveries, prepared, processed
from tests.support.replaying import Program, counts, events, program, resigned

pytestmark = pytest.mark.kafka

TOPICS = ("orders", "inventory", "catalog", "incidents", "other")
RANGE = ("--from", "0:70")


def history() -> Sequence[Delivery]:
    """60 deliveries, some unsigned; then retries, other bodies under the same keys, and the unsigned ones signed.

    The last forty of the hundred are the range, which meets all kinds of them again.
    """
    plain = deliveries(60)
    shipstream = [one for one in plain if one.endpoint == "shipstream"]
    others = [resigned(one, one.body.replace(b"{", b"{ ", 1)) for one in shipstream[:10]]
    first = [replace(one, headers=()) if one in shipstream[:5] else one for one in plain]
    return [*first, *others, *plain[:20], *others[:5], *deliveries(5, first=61), *plain[50:60]]


@dataclass(frozen=True, slots=True)
class _Replayed:
    """What one replay told a person, and what it wrote, without its id."""

    told: str
    written: Sequence[str]
    retries: int


async def replayed(dropstream: Program, suffix: str) -> _Replayed:
    done = await dropstream.run("replay", *RANGE, "--into", suffix, "--yes")
    assert done.code == 0, done
    found = await events(dropstream.settings, *(f"{topic}.{suffix}" for topic in TOPICS))
    noted = await read_topic(dropstream.settings, f"duplicates.{suffix}")
    assert len(noted) == counts(done.out)["retries"]
    written = sorted([str({**one, "replay": ""}) for one in found] + [str(one.value) for one in noted])
    return _Replayed(done.err, written, len(noted))


async def test_a_replay_is_the_same_by_the_changelog_and_by_raw(settings: SettingsFactory, tmp_path: Path) -> None:
    """Byte for byte; and where the changelog is of no use, a sentence says why: settings, retention."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
    batch = history()
    assert (await processed(mine, tmp_path, batch)).clean
    dropstream = program(mine, tmp_path)
    redriven = await dropstream.run("redrive", "--yes")
    again = await dropstream.run("replay", "--to", "0:30", "--in-place", "--yes")
    assert (redriven.code, again.code) == (0, 0), (redriven, again)
    by_changelog = await replayed(dropstream, "changelog")
    assert "read from raw" not in by_changelog.told
    assert by_changelog.retries > 20

    other_window = await replayed(replace(dropstream, process="dedupe_window_hours = 119"), "window")
    assert "other settings" in other_window.told
    await delete_oldest(mine, "deliver-state")
    by_raw = await replayed(dropstream, "raw")
    assert "memory of retries: partition 0 read from raw, which takes longer: the changelog was deleted" in by_raw.told
    assert by_changelog.written == by_raw.written == other_window.written
    assert (await audit(mine)).clean


async def test_after_its_changelog_was_made_anew_a_replay_reads_raw(settings: SettingsFactory, tmp_path: Path) -> None:
    """The group has forgotten what was before, and the changelog cannot say it; the sentence says where it begins."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
    batch = deliveries(80)
    await processed(mine, tmp_path, batch[:60])
    await delete_topics(mine, "deliver-state")
    await apply(mine)
    await processed(mine, tmp_path, batch[60:], total=80)
    done = await program(mine, tmp_path).run("replay", *RANGE, "--in-place", "--yes")
    assert done.code == 0, done
    assert "the changelog begins with delivery 60, within the window" in done.err
    assert counts(done.out)["became events"] == 10


async def delete_oldest(settings: Settings, topic: str) -> None:
    """As retention does: the first records go."""
    partition = TopicPartition(full_name(topic, settings), 0)
    async with admin(settings) as client:
        await client.delete_records({partition: RecordsToDelete(before_offset=3)})
