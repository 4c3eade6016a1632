"""The ingress in front of three nodes of which some die; and two of its bounds over real HTTP: bytes, and time."""

import asyncio
import hmac
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient

from ops.kafka.topics import apply
from ops.local.broker.cluster import BrokerCluster
from ops.local.broker.node import BrokerNode
from schemas.settings import Settings
from tests.conftest import ClusterFactory, SettingsFactory
from tests.support.raw_http import RawAnswer, RawClient, post
from tests.support.serving import Serving, create_raw, read_raw, serving, serving_settings
from tests.support.waiting import PATIENCE_S, until

_ACME = """
[ingest]
host = "127.0.0.1"
port = 0
spool_bytes_max = 0

[endpoints.acme]
provider = "shipstream"
secrets = ["env:SECRET"]
"""
# Nothing listens there: port 1 of the loopback.
_NOWHERE = "127.0.0.1:1"


async def leader_of_acme(settings: Settings, broker: BrokerCluster) -> BrokerNode:
    """The node that leads the partition of `raw` where the key `acme` belongs: 0 of three, by murmur2."""
    name = f"{settings.kafka.topic_prefix}raw"
    client = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    found = await asyncio.to_thread(client.list_topics, name, timeout=PATIENCE_S)
    leader = found.topics[name].partitions[0].leader
    (node,) = (node for node in broker.nodes if node.plan.id == leader)
    return node


async def stored_again(running: Serving, body: bytes) -> None:
    """Returns once the body is answered 200; every answer before that is a 503 that says when to come again."""
    async with asyncio.timeout(PATIENCE_S):
        while (answer := await running.ask(post("/webhooks/acme", body))).status != 200:
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            await asyncio.sleep(0.05)


async def test_200_needs_two_of_three_nodes(settings: SettingsFactory, cluster: ClusterFactory) -> None:
    """One node killed, the leader even: 200. Two: 503 and when to come again. Back: 200, and every 200 is in `raw`."""
    broker = await cluster(nodes=3)
    mine = settings(
        _ACME, environ={"SECRET": "x"}, bootstrap_servers=broker.bootstrap_servers, replication_factor=3, partitions=3
    )
    await apply(mine)
    async with serving(mine) as running:
        await stored_again(running, b"three nodes")
        leader = await leader_of_acme(mine, broker)
        await leader.kill()
        await stored_again(running, b"two nodes")
        await stored_again(running, b"two nodes still")

        # Not the new leader: it would take the delivery, and alone it must not be enough.
        alone = await leader_of_acme(mine, broker)
        (second,) = (node for node in broker.nodes if node not in {leader, alone})
        await second.kill()
        refused = await running.ask(post("/webhooks/acme", b"one node"))
        assert (refused.status, refused.headers["retry-after"], refused.body) == (503, "5", b"")
        assert "dropstream-delivery" not in refused.headers

        await broker.restart(second)
        await broker.restart(leader)
        await stored_again(running, b"three nodes again")
        await until(lambda: running.ingress.health().ready)
        records = {record.value for record in await read_raw(mine, 4)}
    assert {b"three nodes", b"two nodes", b"two nodes still", b"three nodes again"} <= records


@pytest.mark.kafka
async def test_bodies_that_still_arrive_are_bounded(settings: SettingsFactory) -> None:
    """While 60 kB of unfinished bodies are held, 60 more get 503 and when to come again; after them, 200."""
    mine = serving_settings(settings, "in_flight_bytes_max = 100_000\nbody_bytes_max = 65_000")
    await create_raw(mine)
    async with serving(mine) as running, RawClient(running.port) as slow:
        await slow.send(post("/webhooks/acme", bytes(60_000))[:-1])
        await until(lambda: running.ingress.budget.held_bytes >= 59_999)
        refused = await running.ask(post("/webhooks/acme", bytes(60_000)))
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert running.requests("acme", "in_flight_full") == 1
        await slow.send(bytes(1))
        assert (await slow.answer()).status == 200
        await until(lambda: running.ingress.budget.held_bytes == 0)
        assert (await running.ask(post("/webhooks/acme", bytes(60_000)))).status == 200


async def compared(
    running: Serving, path: str, compare: Callable[[bytes, bytes], bool]
) -> tuple[RawAnswer, list[tuple[int, int]]]:
    """The answer to a delivery to `path`, and the lengths of what was compared in constant time meanwhile."""
    lengths: list[tuple[int, int]] = []

    def observed(one: bytes, other: bytes) -> bool:
        lengths.append((len(one), len(other)))
        return compare(one, other)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.endpoints.hmac.compare_digest", observed)
        answer = await running.ask(post(path, b"body"))
    return answer, lengths


async def test_every_token_is_compared_in_constant_time(settings: SettingsFactory) -> None:
    """Known, unknown, disabled, right or wrong: two comparisons of digests, for two tokens, and one answer else."""
    mine = serving_settings(settings, bootstrap_servers=_NOWHERE)
    answers: dict[str, bytes] = {}
    async with serving(mine, connected=False) as running:
        for path, status in (
            ("/webhooks/guarded/a-token", 503),
            ("/webhooks/rotating/a-token", 503),
            ("/webhooks/rotating/an-older-token", 503),
            ("/webhooks/rotating/wrong", 404),
            ("/webhooks/acme", 503),
            ("/webhooks/guarded/wrong", 404),
            ("/webhooks/guarded", 404),
            ("/webhooks/acme/surplus", 404),
            ("/webhooks/off", 404),
            ("/webhooks/off/a-token", 404),
            ("/webhooks/nobody", 404),
            ("/webhooks/nobody/a-token", 404),
            ("/elsewhere", 404),
        ):
            answer, lengths = await compared(running, path, hmac.compare_digest)
            # The full path judges again what the fast path refuses; only the full path reads paths outside /webhooks/.
            times = 2 if status == 404 and path.startswith("/webhooks/") else 1
            assert (path, answer.status, lengths) == (path, status, [(32, 32), (32, 32)] * times)
            lines = answer.head.split(b"\r\n")
            answers[path] = b"\n".join(line for line in lines if not line.startswith(b"Date:"))
    assert len({head for path, head in answers.items() if head.startswith(b"HTTP/1.1 404")}) == 1
