"""`dropstream offsets` on real Kafka: where a group stands, and moving it only while nobody consumes."""

import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.kafka.reader import read_topic
from schemas.kafka.arguments import group_consumer_arguments
from tests.conftest import ClusterFactory, SettingsFactory
from tests.integration.ingest.test_partition_without_leader import leader_of
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, STARTED_AT, deliveries, prepared, put
from tests.support.replaying import Ended, program

pytestmark = pytest.mark.kafka


async def test_a_group_is_shown_and_set(settings: SettingsFactory, prefix: str, tmp_path: Path) -> None:
    """From and to per partition: the end, a time, an offset; what is not there is refused."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
    await put(mine, deliveries(50))
    raw, group = f"{prefix}raw", f"{prefix}billing"
    run = program(mine, tmp_path).run
    target = ("--group", "billing", "--topic", "raw")
    aimed = ("--group", group, "--topic", "raw")
    looked = await run("offsets", "set", *aimed, "--to", "latest", "--dry-run")
    assert looked == Ended(0, f"{raw}\t0\t-\t50\n", "")
    assert await run("offsets", "set", *aimed, "--to", "latest", "--yes") == Ended(0, f"{raw}\t0\t-\t50\nset\n", "")
    tenth = (STARTED_AT + timedelta(milliseconds=11)).isoformat()
    assert await run("offsets", "set", *target, "--to", tenth, "--yes") == Ended(0, f"{raw}\t0\t50\t10\nset\n", "")
    moved = await run("offsets", "set", *target, "--to", "33", "--partition", "0", "--yes")
    assert moved == Ended(0, f"{raw}\t0\t10\t33\nset\n", "")
    shown = await run("offsets", "show", "--group", "billing")
    assert shown == Ended(0, f"{group}\t{raw}\t0\t33\t50\t17\t0\n", "")
    outside = await run("offsets", "set", *target, "--to", "51", "--yes")
    assert outside == Ended(1, "", f"error: offset 51 is not there: partition 0 of {raw} has 0 to 50\n")


async def test_a_group_with_members_is_not_moved(settings: SettingsFactory, prefix: str, tmp_path: Path) -> None:
    """While somebody consumes as the group it is refused, with how many; nothing is committed."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
    await put(mine, deliveries(5))
    raw, group = f"{prefix}raw", f"{prefix}billing"
    consumer = AIOKafkaConsumer(raw, **group_consumer_arguments(mine, group=group))
    await consumer.start()
    try:
        await consumer.commit({TopicPartition(raw, 0): 3})
        refused = await program(mine, tmp_path).run(
            "offsets", "set", "--group", "billing", "--topic", "raw", "--to", "earliest", "--yes"
        )
        assert refused.code == 1
        assert refused.out == f"{raw}\t0\t3\t0\n"
        assert refused.err == (f"error: group {group} has 1 member; stop what consumes as this group, then try again\n")
        assert await consumer.committed(TopicPartition(raw, 0)) == 3
    finally:
        await consumer.stop()


async def test_every_partition_stands_there_and_unknown_is_unknown(
    settings: SettingsFactory, cluster: ClusterFactory, prefix: str, tmp_path: Path
) -> None:
    """A partition without leader is unknown, with the reason; one that never committed is behind by all that it has."""
    broker = await cluster(nodes=3)
    mine = settings(ENDPOINTS + PROCESS, environ=ENVIRON, bootstrap_servers=broker.bootstrap_servers, partitions=3)
    raw, group = f"{prefix}raw", f"{prefix}deliver"
    await prepared(mine)
    await put(mine, deliveries(40))
    held = Counter(record.position.partition for record in await read_topic(mine, "raw"))
    assert held[1] > 0
    async with AIOKafkaConsumer(**group_consumer_arguments(mine, group=group)) as member:
        member.assign([TopicPartition(raw, 0)])
        await member.commit({TopicPartition(raw, 0): held[0]})
    run = program(mine, tmp_path).run
    whole = await run("offsets", "show", "--group", "deliver")
    assert (whole.code, whole.out.splitlines()) == (
        0,
        [
            f"{group}\t{raw}\t0\t{held[0]}\t{held[0]}\t0\t0",
            f"{group}\t{raw}\t1\t-\t{held[1]}\t{held[1]}\t0",
            f"{group}\t{raw}\t2\t-\t{held[2]}\t{held[2]}\t0",
        ],
    )
    await (await leader_of(mine, broker, 1)).kill()
    partly = await run("offsets", "show", "--group", "deliver")
    assert f"{group}\t{raw}\t1\t-\tunknown\tunknown\t" in partly.out
    assert f"{group}\t{raw}\t0\t{held[0]}\t{held[0]}\t0\t" in partly.out
    assert partly.code == 1
    assert f"partition 1 of {raw}: the partition has no leader" in partly.err
    audited = await run("audit")
    assert audited.code == 1
    # The first topic that it reads and that lay on this broker too; where that is `audit-state`, no record is kept.
    assert re.search(r"^unknown\tpartition \d+ of \S+ has no leader", audited.out, re.MULTILINE), audited
    assert audited.out.endswith("verdict\tunknown\n")
    assert audited.err == "" or audited.err.startswith("error: the verdict is not recorded in audit-state: Kafka at ")
