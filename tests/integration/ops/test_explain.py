"""`dropstream explain` on real Kafka: of a delivery in `raw`, by its place and by its id."""

from dataclasses import replace
from pathlib import Path

import pytest
from uuid_utils import uuid7

from schemas.kafka.partitions import partition_of
from tests.conftest import SettingsFactory
from tests.support.processing import ENDPOINTS, ENVIRON, prepared, put, signed_orders
from tests.support.replaying import program

pytestmark = pytest.mark.kafka


async def test_a_delivery_is_explained_by_its_place_and_by_its_id(settings: SettingsFactory, tmp_path: Path) -> None:
    """Both say the same; one that is rejected says so and ends with 1; what is not there is one line."""
    mine = await prepared(settings(ENDPOINTS, environ=ENVIRON))
    good = next(one for one in signed_orders(20) if one.endpoint == "dreamship")
    forged = replace(good, id=str(uuid7()), body=good.body + b" ")
    await put(mine, [good, forged])
    partition = partition_of(b"dreamship", mine.kafka.partitions)
    dropstream = program(mine, tmp_path)
    by_place = await dropstream.run("explain", f"{partition}:0")
    assert by_place.code == 0, by_place
    assert by_place.out.splitlines()[-1].startswith("records\t1: orders, key dreamship:dreamship:")
    assert await dropstream.run("explain", good.id) == by_place
    rejected = await dropstream.run("explain", forged.id)
    assert rejected.code == 1
    assert "signature\t" in rejected.out
    assert "it is rejected here" in rejected.out
    assert await dropstream.run("explain", f"{partition}:1") == rejected
    beyond = await dropstream.run("explain", f"{partition}:2")
    assert (beyond.code, beyond.out) == (1, "")
    assert f"raw has nothing at {partition}:2; " in beyond.err
    nobody = await dropstream.run("explain", str(uuid7()))
    assert (nobody.code, nobody.out, nobody.err.count("\n")) == (1, "", 1)
