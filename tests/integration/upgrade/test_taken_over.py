"""What a released version left is taken over by this one: its spool, what it remembered, where it was."""

import shutil
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from ingest.spool.file import SpoolFile
from ops.kafka.reader import read_topic
from processors.deliver.keys.buckets import ENTRY_BYTES, read_bucket
from processors.runtime.changelog import is_of_store
from processors.sequence.state import restore
from schemas.notes.duplicates import read_duplicate
from schemas.notes.gaps import read_gap
from tests.conftest import SettingsFactory
from tests.integration.processors.test_sequence_group import shipped
from tests.integration.upgrade.stored import VERSIONS, put_back, spool_of, stored
from tests.support.processing import ENVIRON, PROCESS, prepared, processors, put
from tests.support.waiting import until_it_is

# However old the fixtures are by the clock, nothing of them is over.
_TIMELESS = """
dedupe_window_hours = 100000
[sequence]
lost_after_hours = 87600
grace_seconds = 1
"""
_ENVIRON = {
    **ENVIRON,
    "DROPSTREAM_PROCESS__DEDUPE_WINDOW_HOURS": "100000",
    "DROPSTREAM_SEQUENCE__LOST_AFTER_HOURS": "87600",
}

every_version = pytest.mark.parametrize("version", VERSIONS)


def numbers(values: list[bytes]) -> list[int]:
    return [orjson.loads(value)["message"]["webhook_increment_id"] for value in values]


def test_a_released_version_is_frozen() -> None:
    """There is one at least."""
    assert VERSIONS == ["0.1.0"]


@every_version
def test_every_delivery_of_an_old_spool_goes_on(version: str, tmp_path: Path) -> None:
    """In its order, with the bytes that were answered 200, and the file is brought up to date once."""
    path = tmp_path / "spool-0.sqlite"
    shutil.copy(spool_of(version), path)
    for _ in range(2):
        file = SpoolFile(path, bytes_max=10_000_000)
        records = [one.record for one in file.oldest(count_max=10, bytes_max=1_000_000)]
        assert numbers([one.value for one in records]) == [9, 10, 11]
        assert {(one.endpoint, one.key) for one in records} == {("shipstream", b"shipstream")}
        assert [dict(one.headers)["dropstream-provider"] for one in records] == [b"shipstream"] * 3
        assert all(earlier.timestamp_ms <= later.timestamp_ms for earlier, later in pairwise(records))
        file.close()


@every_version
def test_every_key_that_was_remembered_is_read(version: str) -> None:
    """Each record of topic `deliver-state` but those of the runtime is a bucket; six deliveries made them."""
    own = [one for one in stored(version, "deliver-state") if is_of_store(one.key)]
    buckets = [read_bucket(one.key or b"", one.value) for one in own]
    entries = b"".join(packed for bucket in buckets if bucket for packed in bucket.groups.values())
    assert len(entries) == 6 * ENTRY_BYTES


@every_version
def test_every_sequence_that_was_followed_is_read(version: str) -> None:
    """Its counter, its hole, and that this was reported."""
    latest = {one.key: one.value for one in stored(version, "sequence-state") if is_of_store(one.key)}
    (state,) = restore({key: value for key, value in latest.items() if key and value}).values()
    (hole,) = state.holes
    assert (state.endpoint, state.epoch, state.baseline, state.highest) == ("shipstream", 1, 1, 8)
    assert (hole.first, hole.last, hole.reported, hole.raw.rpartition("/")[2]) == (5, 6, True, "5")


@pytest.mark.kafka
@every_version
async def test_processors_go_on_where_the_old_ones_stopped(
    version: str, settings: SettingsFactory, tmp_path: Path
) -> None:
    """A retry of what the old ones judged adds nothing, a hole of theirs is filled, and nothing is judged again."""
    mine = await prepared(
        settings(
            PROCESS + _TIMELESS + '[endpoints.shipstream]\nprovider = "shipstream"\nsecrets = ["env:SECRET"]\n',
            environ=ENVIRON,
            partitions=1,
        )
    )
    topics = ("raw", "sequence", "orders", "duplicates", "gaps", "deliver-state", "sequence-state")
    await put_back(mine, version, *topics)
    old = stored(version, "raw")
    received_at = datetime.fromtimestamp(old[-1].timestamp / 1_000, UTC) + timedelta(hours=1)
    made_at = datetime.fromisoformat(orjson.loads(old[0].value or b"")["message"]["event_timestamp"])
    retry, late, new = (shipped(number, made_at + timedelta(seconds=number - 1), received_at) for number in (7, 5, 9))
    assert retry.body == old[5].value
    await put(mine, [retry, late, new])
    async with processors(mine, tmp_path, _ENVIRON) as start:
        await start("processor")

        async def all_came() -> bool:
            wanted = {"orders": 6 + 2, "duplicates": 1 + 1, "gaps": 1 + 1}
            return all([len(await read_topic(mine, name)) >= count for name, count in wanted.items()])

        await until_it_is(all_came)
    events = [orjson.loads(one.value or b"") for one in await read_topic(mine, "orders")]
    assert [event["sequence"] for event in events[6:]] == ["5", "9"]
    dropped = read_duplicate((await read_topic(mine, "duplicates"))[-1].value)
    assert dropped is not None
    raw = f"{mine.kafka.topic_prefix}raw"
    assert (dropped.first, dropped.raw) == (f"{raw}/0/5", f"{raw}/0/7")
    gaps = [read_gap(one.value) for one in await read_topic(mine, "gaps")]
    assert [(gap.state, gap.first, gap.last, gap.epoch) for gap in gaps if gap] == [
        ("open", 5, 6, 1),
        ("filled", 5, 5, 1),
    ]
    assert len({gap.suspected_at for gap in gaps if gap}) == 1
