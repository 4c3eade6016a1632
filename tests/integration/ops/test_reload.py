"""SIGHUP: endpoints and secrets are read again while deliveries come, and nothing that is wrong with them does harm."""

import asyncio
import os
import signal
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from ops.endpoints.running import find_reload_problems
from ops.kafka.reader import read_topic
from processors.providers import discover
from schemas.delivery import Delivery
from schemas.kafka.arguments import producer_arguments
from schemas.kafka.partitions import partition_of
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.ports import free_ports
from tests.support.processing import audited, prepared, send, signed
from tests.support.programs import Program, eventually, load, program
from tests.support.raw_http import RawClient, post
from tests.support.serving import create_raw, read_raw
from tests.support.waiting import PATIENCE_S, UNHURRIED_MS

pytestmark = pytest.mark.kafka


def write(folder: Path, settings: Settings, tables: str, *endpoints: str) -> None:
    """The configuration: `tables`, and these endpoints, each a name and more lines."""
    kafka = settings.kafka
    blocks = []
    for name, _, lines in (endpoint.partition("\n") for endpoint in endpoints):
        secrets = "" if "secrets" in lines else 'secrets = ["env:SECRET"]'
        blocks.append(f'[endpoints.{name}]\nprovider = "shipstream"\n{secrets}\n{lines}\n')
    (folder / "dropstream.toml").write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\ntopic_prefix = "{kafka.topic_prefix}"\n'
        f"replication_factor = 1\npartitions = {kafka.partitions}\n{tables}\n" + "".join(blocks)
    )


async def reloaded(running: Program, workers: int, result: str, count: int) -> None:
    """Returns once the configuration was read again so often, with this result, by whoever reads it."""
    if workers == 1:
        await running.shows(f'dropstream_config_reloads_total{{result="{result}"}} {count}.0')
        return
    readers = ["parent"] if result == "failed" else ["parent", *map(str, range(workers))]
    await running.shows(
        *(f'dropstream_config_reloads_total{{result="{result}",worker="{reader}"}} {count}.0' for reader in readers)
    )


async def statuses(port: int, *paths: str) -> dict[str, set[int]]:
    """What each path is answered, asked on so many connections that no worker is left out."""
    found: dict[str, set[int]] = {path: set() for path in paths}
    for path in paths:
        for _ in range(12):
            async with RawClient(port) as client:
                await client.send(post(f"/webhooks/{path}", b"0123456789"))
                found[path].add((await client.answer()).status)
    return found


@pytest.mark.parametrize("workers", [1, 2])
async def test_an_ingress_takes_new_endpoints_without_dropping_a_delivery(
    settings: SettingsFactory, tmp_path: Path, workers: int
) -> None:
    """New ones answer, removed ones and old tokens do not; a broken file and another table's setting change nothing."""
    mine = settings()
    await create_raw(mine)
    port = free_ports(2)
    admin_port = port + 1
    tables = (
        f'[ingest]\nhost = "127.0.0.1"\nport = {port}\nadmin_port = {admin_port}\nkafka_deadline_ms = {UNHURRIED_MS}\n'
    )
    (tmp_path / "token").write_text("old-token")
    guarded = f'guarded\ntoken = "file:{tmp_path / "token"}"'
    write(tmp_path, mine, tables, "acme", "gone", guarded)
    async with program(tmp_path, "ingest", "--workers", str(workers), admin_port=admin_port) as ingress:
        await ingress.ready()
        async with load(f"http://127.0.0.1:{port}/webhooks/acme") as sent:
            await sent.more(20)
            (tmp_path / "token").write_text("new-token")
            write(tmp_path, mine, tables, "acme", "fresh", guarded)
            ingress.signal(signal.SIGHUP)
            await reloaded(ingress, workers, "ok", 1)
            answers = await statuses(port, "fresh", "gone", "guarded/new-token", "guarded/old-token")
            assert list(answers.values()) == [{200}, {404}, {200}, {404}]
            told = ingress.lines("configuration_reloaded")
            assert [(line["added"], line["removed"], line["changed"]) for line in told] == [
                (["fresh"], ["gone"], ["guarded"])
            ] * (workers if workers == 1 else workers + 1)

            write(tmp_path, mine, tables, 'acme\nsecrets = ["a-literal"]\nlane = 2', "other")
            ingress.signal(signal.SIGHUP)
            await reloaded(ingress, workers, "failed", 1)
            (refusal,) = ingress.lines("configuration_refused")
            assert refusal["faults"] == [
                "endpoints.acme.secrets[0].value: "
                "a secret is a reference: env:NAME or file:PATH, never the secret itself",
                "endpoints.acme.lane: no such setting; nearest valid name: lanes",
            ]
            assert list((await statuses(port, "fresh", "other")).values()) == [{200}, {404}]
            await check_what_a_person_is_told(mine, tmp_path / "dropstream.toml", admin_port)

            write(tmp_path, mine, tables + "body_bytes_max = 5", "acme", "other")
            for _ in range(2):
                ingress.signal(signal.SIGHUP)
            # Two in a row are one or two readings.
            warnings = await ingress.said("restart_needed")
            assert {tuple(warning["keys"]) for warning in warnings} == {("ingest.body_bytes_max",)}
            await eventually(lambda: len(ingress.lines("configuration_reloaded")) >= 2 * len(told))
            assert list((await statuses(port, "fresh", "other")).values()) == [{404}, {200}]
            await sent.more(20)
        if workers > 1:
            await check_a_restart(tmp_path, ingress, port)
        ingress.signal(signal.SIGHUP)
        ingress.signal(signal.SIGTERM)
        assert await ingress.ended() == 0
        text = ingress.log.read_text(encoding="utf-8")
    assert (sent.refused, sent.lost_connections) == ([], 0)
    raw = {record.value for record in await read_raw(mine, len(sent.acknowledged))}
    assert set(sent.acknowledged) <= raw
    assert [secret for secret in ("old-token", "new-token", "a-literal") if secret in text] == []


async def check_what_a_person_is_told(settings: Settings, file: Path, admin_port: int) -> None:
    """Who checks the file is told that the running ingress refused it, and why, by whoever reads it for the workers."""
    ingest = settings.ingest.model_copy(update={"admin_host": "127.0.0.1", "admin_port": admin_port})
    process = settings.process.model_copy(update={"admin_host": "127.0.0.1", "admin_port": 1})
    theirs = settings.model_copy(update={"ingest": ingest, "process": process})
    (problem,) = await find_reload_problems(theirs, str(file), "what they see")
    assert (problem.level, problem.endpoint) == ("error", "ingress")
    assert problem.sentence.endswith(
        "; endpoints.acme.lane: no such setting; nearest valid name: lanes; solve it, then send it SIGHUP"
    )


async def check_a_restart(folder: Path, ingress: Program, port: int) -> None:
    """A worker that dies while the file is broken comes back with what the other one has."""
    (folder / "dropstream.toml").write_text("broken")
    os.kill(ingress.pids()[0], signal.SIGKILL)
    await ingress.shows('dropstream_worker_restarts_total{worker="0"} 1.0')
    await ingress.ready()
    assert list((await statuses(port, "fresh", "other")).values()) == [{404}, {200}]


@pytest.mark.parametrize("verb", ["ingest", "console"])
async def test_a_reload_that_is_asked_for_too_early_is_not_lost(
    settings: SettingsFactory, tmp_path: Path, verb: str
) -> None:
    """SIGHUP while the configuration is read for the first time: it is read again, and nothing ends."""
    mine = settings()
    port = free_ports(3)
    tables = f'[ingest]\nhost = "127.0.0.1"\nport = {port}\nadmin_port = {port + 1}\n[console]\nport = {port + 2}\n'
    file = tmp_path / "dropstream.toml"
    write(tmp_path, mine, tables, "acme", "fresh")
    second = file.rename(tmp_path / "second.toml")
    write(tmp_path, mine, tables, "acme")
    first = file.read_bytes()
    file.unlink()
    os.mkfifo(file)
    async with program(tmp_path, verb, admin_port=port + 1, environ={"SECRET": "made-up"}) as running:
        # Opened for writing only when the other end reads.
        with await asyncio.to_thread(file.open, "wb") as pipe:
            running.signal(signal.SIGHUP)
            second.replace(file)
            pipe.write(first)
        (told,) = await running.said("configuration_reloaded")
        assert told["added"] == ["fresh"]


async def test_a_stop_does_not_wait_for_a_file_that_hangs(settings: SettingsFactory, tmp_path: Path) -> None:
    """TERM while SIGHUP reads a file that never ends: the end is as orderly and as fast as ever."""
    mine = settings()
    port = free_ports(2)
    tables = f'[ingest]\nhost = "127.0.0.1"\nport = {port}\nadmin_port = {port + 1}\n'
    write(tmp_path, mine, tables, "acme")
    async with program(tmp_path, "ingest", admin_port=port + 1) as ingress:
        await ingress.shows('dropstream_config_reloads_total{result="ok"} 0.0')
        (tmp_path / "dropstream.toml").unlink()
        os.mkfifo(tmp_path / "dropstream.toml")
        ingress.signal(signal.SIGHUP)
        # Opened for writing only when the other end reads.
        file = await asyncio.to_thread((tmp_path / "dropstream.toml").open, "wb")
        ingress.signal(signal.SIGTERM)
        assert await ingress.ended() == 0
        file.close()
        # The reading was not waited for: it would have been given up, and told so.
        assert ingress.lines("configuration_refused") == []


async def test_processors_take_new_secrets_in_the_middle_of_a_rebalance(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """Two workers and a third that joins: what is signed with the new secret is verified after SIGHUP, nothing else."""
    port = free_ports(2)
    (tmp_path / "secret").write_text("made-up-secret")
    acme = f'acme\nsecrets = ["file:{tmp_path / "secret"}"]'
    mine = await prepared(
        settings(f'[endpoints.acme]\nprovider = "shipstream"\nsecrets = ["file:{tmp_path / "secret"}"]')
    )
    table = "[process]\nadmin_port = {}\nsession_timeout_ms = 6000\ntransaction_timeout_ms = 5000"
    write(tmp_path, mine, table.format(port), acme)
    async with (
        AIOKafkaProducer(**producer_arguments(mine)) as producer,
        program(tmp_path, "process", "--workers", "2", admin_port=port) as processors,
    ):
        await send(producer, mine, order_deliveries(1, 200))
        await processors.ready()
        await asyncio.gather(audited(mine, 200), processors.shows('dropstream_worker_up{worker="1"} 1.0'))
        (tmp_path / "secret").write_text("another-secret")
        write(tmp_path, mine, table.format(port + 1), acme, "fresh")
        environ = {"SECRET": "made-up-secret"}
        async with program(tmp_path, "process", admin_port=port + 1, environ=environ) as third:
            await third.said("partitions_assigned")
            write(tmp_path, mine, table.format(port), acme)
            for _ in range(3):
                processors.signal(signal.SIGHUP)
            await asyncio.gather(third.ready(), processors.ready())
            await eventually(lambda: len(processors.lines("configuration_reloaded")) >= 3)
            await send(producer, mine, order_deliveries(201, 200))
            verdict = await audited(mine, 400)
        processors.signal(signal.SIGTERM)
        assert await processors.ended() == 0
    assert verdict.clean, verdict
    assert Counter(dict(one.headers)["dropstream-reason"] for one in await read_topic(mine, "rejected")) == {
        b"signature_invalid": 200
    }


async def test_a_delivery_waits_for_an_endpoint_that_the_processors_do_not_know_yet(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """The ingress was reloaded first: nothing is rejected, other partitions go on, and the order is as it came."""
    near, far = endpoints_beside("fresh", partitions=3)
    every = "".join(
        f'[endpoints.{name}]\nprovider = "shipstream"\nsecrets = ["env:SECRET"]\n' for name in ("fresh", near, far)
    )
    mine = await prepared(settings(every, environ={"SECRET": "made-up-secret"}))
    port = free_ports(1)
    table = f"[process]\nadmin_port = {port}\nendpoint_wait_seconds = 600\n"
    write(tmp_path, mine, table, near, far)
    environ = {"SECRET": "made-up-secret"}
    async with (
        AIOKafkaProducer(**producer_arguments(mine)) as producer,
        program(tmp_path, "process", "deliver", admin_port=port, environ=environ) as processors,
    ):
        await send(producer, mine, [received_now("fresh", 1), received_now(near, 2), received_now(far, 3)])
        (told,) = await processors.said("endpoint_awaited")
        assert (told["endpoint"], told["wait_s"]) == ("fresh", 600)
        await processors.shows("dropstream_process_endpoints_awaited 1.0")
        # What is not behind it goes on, in the same partition before it and in others, again and again.
        await send(producer, mine, [received_now(far, 4)])
        assert await endpoints_of_events(mine, 2) == [far, far]
        write(tmp_path, mine, table, near, far, "fresh")
        processors.signal(signal.SIGHUP)
        verdict = await audited(mine, 4)
        assert len(processors.lines("endpoint_known")) == 1
    assert verdict.clean, verdict
    assert await read_topic(mine, "rejected") == []
    assert sorted(await endpoints_of_events(mine, 4)) == sorted(["fresh", near, far, far])


async def test_an_endpoint_that_stays_unknown_is_waited_for_once(settings: SettingsFactory, tmp_path: Path) -> None:
    """After the bound its deliveries are rejected, the later ones at once, and what lay behind them goes on."""
    near, _ = endpoints_beside("fresh", partitions=3)
    table = f'[endpoints.{near}]\nprovider = "shipstream"\nsecrets = ["env:SECRET"]\n'
    mine = await prepared(settings(table, environ={"SECRET": "made-up-secret"}))
    port = free_ports(1)
    write(tmp_path, mine, f"[process]\nadmin_port = {port}\nendpoint_wait_seconds = 1\n", near)
    async with (
        AIOKafkaProducer(**producer_arguments(mine)) as producer,
        program(tmp_path, "process", admin_port=port, environ={"SECRET": "made-up-secret"}) as processors,
    ):
        await processors.ready()
        await send(producer, mine, [received_now("fresh", 1), received_now(near, 2)])
        assert (await audited(mine, 2)).clean
        await send(producer, mine, [received_now("fresh", 3)])
        assert (await audited(mine, 3)).clean
        assert len(processors.lines("endpoint_awaited")) == 1
    reasons = [dict(one.headers)["dropstream-reason"] for one in await read_topic(mine, "rejected")]
    assert reasons == [b"endpoint_unknown"] * 2


def endpoints_beside(name: str, *, partitions: int) -> tuple[str, str]:
    """An endpoint whose deliveries lie in the same partition of `raw` as those of `name`, and one of another."""
    there = partition_of(name.encode(), partitions)
    names = [f"acme-{number}" for number in range(100)]
    near = next(one for one in names if partition_of(one.encode(), partitions) == there)
    return near, next(one for one in names if partition_of(one.encode(), partitions) != there)


async def endpoints_of_events(settings: Settings, count: int) -> list[str]:
    """The endpoints of the first events in `orders`, once there are so many."""
    found: list[str] = []

    async def are_there() -> bool:
        records = await read_topic(settings, "orders")
        found[:] = [(dict(one.headers)["endpoint"] or b"").decode() for one in records]
        return len(found) >= count

    async with asyncio.timeout(PATIENCE_S):
        while not await are_there():  # noqa: ASYNC110 another process writes them
            await asyncio.sleep(0.05)
    return found


def received_now(endpoint: str, number: int) -> Delivery:
    """A delivery to the endpoint that has just come."""
    sample = discover()["shipstream"].samples[0]
    return replace(signed(sample, "shipstream", endpoint, number), received_at=datetime.now(UTC))


def order_deliveries(first: int, count: int) -> list[Delivery]:
    """ShipStream's deliveries to `acme`, signed with the first secret."""
    sample = discover()["shipstream"].samples[0]
    return [signed(sample, "shipstream", "acme", number) for number in range(first, first + count)]
