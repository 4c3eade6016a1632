"""`dropstream trace` on real Kafka: one entity's life, in order, from the partitions that its key names."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from uuid_utils import uuid7

from tests.conftest import SettingsFactory
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, deliveries, prepared, processed, put
from tests.support.replaying import Ended, events, program, replay_id

pytestmark = pytest.mark.kafka


async def test_a_life_is_told_in_order(settings: SettingsFactory, tmp_path: Path) -> None:
    """Deliveries, events, a retry, a rejection that claims to be of it, and a replay; other entities are not told."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    batch = deliveries(60)
    first = next(one for one in batch if one.endpoint == "dropea" and b"order.created" in one.body)
    forged = replace(first, id=str(uuid7()), headers=(("x-dropea-hmac-sha256", b"sha256=bm8="),))
    retry = replace(first, id=str(uuid7()))
    await processed(mine, tmp_path, [*batch, retry, forged])
    dropstream = program(mine, tmp_path)
    replayed = await dropstream.run("replay", "--provider", "dropea", "--in-place", "--yes")
    assert replayed.code == 0, replayed
    order = next(one["subject"] for one in await events(mine, "orders") if one["delivery"] == first.id)
    told = await dropstream.run("trace", order)
    assert told.code == 0, told
    moments = [orjson.loads(line) for line in told.out.splitlines()]
    assert [(one["kind"], one["what"], one["delivery"]) for one in moments] == [
        ("delivery", "order.created", first.id),
        ("event", "dropstream.order.created", first.id),
        ("retry", f"of {first.id}", retry.id),
        ("delivery", "-", forged.id),
        ("rejected", "signature_invalid", forged.id),
        ("replay", "dropstream.order.created", first.id),
    ]
    assert moments[-1]["replay"] == replay_id(replayed.out)
    assert moments[1]["event"]["subject"] == order
    assert await dropstream.run("trace", order, "--endpoint", "dropea") == told


async def test_what_nobody_knows_is_one_line(settings: SettingsFactory, tmp_path: Path) -> None:
    """An entity of which there is nothing, and an endpoint that is none, are told with what to do."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    await put(mine, deliveries(1))
    dropstream = program(mine, tmp_path)
    hint = "dropstream tail orders shows what ids look like"
    assert await dropstream.run("trace", "SO-0") == Ended(
        1, "", f"error: nothing is known of SO-0 at any configured endpoint; {hint}\n"
    )
    assert await dropstream.run("trace", "SO-0", "--endpoint", "dropae") == Ended(
        2, "", "error: no such endpoint: dropae; nearest: dropea\n"
    )
