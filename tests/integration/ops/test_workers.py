"""`dropstream ingest --workers 2` as a real program: one port, one admin port, and no worker without its parent."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from ops.kafka.topics import apply
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.ports import free_ports
from tests.support.programs import Program, answering, eventually, load, program, refusing, runs
from tests.support.raw_http import RawClient, post
from tests.support.serving import create_raw, read_raw
from tests.support.waiting import UNHURRIED_MS, until_it_is

_NOWHERE = 'bootstrap_servers = "127.0.0.1:1"'


def ports() -> Sequence[int]:
    """Two free ports, for deliveries and for the admin."""
    return free_ports(1), free_ports(1)


def write(folder: Path, kafka: str, port: int, admin_port: int, more: str = "") -> None:
    """The configuration in `folder`."""
    (folder / "dropstream.toml").write_text(
        f'[kafka]\n{kafka}\n[ingest]\nhost = "127.0.0.1"\nport = {port}\nadmin_port = {admin_port}\n{more}\n'
        '[endpoints.acme]\nprovider = "shipstream"\nsecrets = ["env:NOT_KNOWN_HERE"]\n'
    )


def kafka_table(settings: Settings) -> str:
    kafka = settings.kafka
    return (
        f'bootstrap_servers = "{kafka.bootstrap_servers}"\ntopic_prefix = "{kafka.topic_prefix}"\n'
        f"replication_factor = 1\npartitions = {kafka.partitions}"
    )


async def stored(settings: Settings, count: int) -> set[bytes | None]:
    return {record.value for record in await read_raw(settings, count)}


@pytest.mark.kafka
async def test_two_workers_share_a_port_and_one_may_die(settings: SettingsFactory, tmp_path: Path) -> None:
    """Both take deliveries; one is killed under load and comes back; every 200 is in `raw`; TERM ends all with 0."""
    mine = settings()
    await create_raw(mine)
    port, admin_port = ports()
    write(tmp_path, kafka_table(mine), port, admin_port, f"kafka_deadline_ms = {UNHURRIED_MS}")
    async with program(tmp_path, "ingest", "--workers", "2", admin_port=admin_port) as ingress:
        await ingress.ready()
        async with load(f"http://127.0.0.1:{port}/webhooks/acme") as sent:
            await sent.more(200)
            assert not sent.refused
            await figures_of_both(ingress)
            before = ingress.pids()
            os.kill(before[0], signal.SIGKILL)
            await stands(ingress, 503, False, True)
            await ingress.shows('dropstream_worker_restarts_total{worker="0"} 1.0')
            await ingress.ready()
            await sent.more(200)
        assert ingress.pids()[1] == before[1]
        assert ingress.pids()[0] != before[0]
        (death,) = ingress.lines("worker_died")
        assert (death["worker"], death["exit_code"], death["restart_in_s"]) == (0, -9, 0.5)
        ingress.signal(signal.SIGTERM)
        assert await ingress.ended() == 0
        assert not any(map(runs, [*before.values(), *ingress.pids().values()]))
        assert list((tmp_path / "rooms").iterdir()) == []
    assert set(sent.acknowledged) <= await stored(mine, len(sent.acknowledged))


async def figures_of_both(ingress: Program) -> None:
    """Each worker has stored some, and each name is explained once."""
    status, text = await ingress.page("/metrics")
    lines = text.splitlines()
    assert status == 200
    assert lines.count("# TYPE dropstream_ingest_requests_total counter") == 1
    assert len(lines) == len(set(lines))
    for worker in ("0", "1"):
        (line,) = [
            line
            for line in lines
            if line.startswith(f'dropstream_ingest_requests_total{{endpoint="acme",outcome="stored",worker="{worker}"')
        ]
        assert float(line.split()[-1]) > 0
        assert f'dropstream_worker_up{{worker="{worker}"}} 1.0' in lines


async def stands(ingress: Program, *wanted: int | bool) -> None:
    """Returns once `/livez` has this status, and each worker lives or not: one that is slow may be asked again."""

    async def is_so() -> bool:
        status, body = await ingress.page("/livez")
        workers = orjson.loads(body)["workers"] if body else {}
        return wanted == (status, *(workers[number]["live"] for number in sorted(workers)))

    await until_it_is(is_so, every_s=0.01)


async def test_a_parent_killed_leaves_nothing(tmp_path: Path) -> None:
    """After kill -9 of the parent its workers end in good order, and port and folder are free again."""
    port, admin_port = ports()
    write(tmp_path, _NOWHERE, port, admin_port)
    async with program(tmp_path, "ingest", "--workers", "2", admin_port=admin_port) as ingress:
        # Kafka is nowhere, and each has its spool.
        await ingress.ready()
        workers = ingress.pids().values()
        assert len(workers) == 2
        ingress.signal(signal.SIGKILL)
        await eventually(lambda: not any(map(runs, workers)))
        await eventually(lambda: not list((tmp_path / "rooms").iterdir()))
        with pytest.raises(ConnectionRefusedError):
            await RawClient(port).__aenter__()


async def test_a_second_signal_ends_all_at_once(tmp_path: Path) -> None:
    """While a body still arrives, TERM waits for it; TERM again ends parent and workers, with 130."""
    port, admin_port = ports()
    # The first signal alone would wait past all patience: the grace time is as long as the body's.
    limits = "".join(f"{name} = {UNHURRIED_MS}\n" for name in ("stop_grace_ms", "header_timeout_ms", "body_timeout_ms"))
    write(tmp_path, _NOWHERE, port, admin_port, f"{limits}body_bytes_per_second_min = 0")
    async with program(tmp_path, "ingest", "--workers", "2", admin_port=admin_port) as ingress:
        await answering(port)
        async with RawClient(port) as client:
            await client.send(post("/webhooks/acme", b"whole")[:-2])
            await eventually(lambda: len(ingress.pids()) == 2)
            ingress.signal(signal.SIGTERM)
            await refusing(port)
            assert ingress.process.returncode is None
            ingress.signal(signal.SIGTERM)
            assert await ingress.ended() == 130
            await eventually(lambda: not any(map(runs, ingress.pids().values())))


async def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    """A second ingress does not creep in beside the first, though both could share the port."""
    port, admin_port = ports()
    write(tmp_path, _NOWHERE, port, admin_port)
    async with program(tmp_path, "ingest", "--workers", "2", admin_port=admin_port):
        await answering(port)
        async with program(tmp_path, "ingest", "--workers", "2", admin_port=free_ports(1)) as second:
            assert await second.ended() == 1
            text = second.log.read_text(encoding="utf-8")
            assert text.startswith(f"error: ingest.port: cannot listen on 127.0.0.1:{port}: Address already in use\n")
            assert not second.pids()


async def test_a_configuration_that_fails_the_first_worker_ends_all(tmp_path: Path) -> None:
    """A token that the parent could read and its workers cannot: the fault is told, and all ends with 2."""
    port, admin_port = ports()
    write(tmp_path, _NOWHERE, port, admin_port)
    (tmp_path / "token").write_text("a-token")
    with (tmp_path / "token").open() as token, (tmp_path / "dropstream.toml").open("a") as file:
        # A file for the parent; for a worker the pipe from its parent, which cannot be opened by name.
        file.write('token = "file:/dev/stdin"\n')
        file.flush()
        async with program(
            tmp_path, "ingest", "--workers", "2", admin_port=admin_port, stdin=token.fileno()
        ) as ingress:
            assert await ingress.ended() == 2
            assert "endpoints.acme.token: cannot read /dev/stdin: " in ingress.log.read_text(encoding="utf-8")
            assert not any(map(runs, ingress.pids().values()))


async def test_a_worker_that_hangs_at_its_start_goes_with_its_parent(tmp_path: Path) -> None:
    """Its configuration lies where reading never ends; the parent is killed, and it is gone all the same."""
    port, admin_port = ports()
    write(tmp_path, _NOWHERE, port, admin_port)
    os.mkfifo(tmp_path / "token")
    with (tmp_path / "dropstream.toml").open("a") as file:
        file.write('token = "file:token"\n')
    async with program(tmp_path, "ingest", "--workers", "2", admin_port=admin_port) as ingress:
        # Whoever opens it next waits for somebody who writes.
        await asyncio.to_thread((tmp_path / "token").write_text, "a-token")
        await ingress.said("worker_started", 2)
        workers = ingress.pids().values()
        assert all(map(runs, workers))
        ingress.signal(signal.SIGKILL)
        await eventually(lambda: not any(map(runs, workers)))


async def test_a_frozen_worker_is_not_live_and_is_ended_all_the_same(tmp_path: Path) -> None:
    """It does not answer within a second, the other is still shown; TERM waits for it inside the grace time only."""
    port, admin_port = ports()
    write(tmp_path, _NOWHERE, port, admin_port, "stop_grace_ms = 0")
    async with program(tmp_path, "ingest", "--workers", "2", admin_port=admin_port) as ingress:
        await answering(port)
        await ingress.shows('dropstream_worker_up{worker="0"} 1.0', 'dropstream_worker_up{worker="1"} 1.0')
        os.kill(ingress.pids()[1], signal.SIGSTOP)
        await stands(ingress, 503, True, False)
        await ingress.shows('dropstream_worker_up{worker="0"} 1.0', 'dropstream_worker_up{worker="1"} 0.0')
        ingress.signal(signal.SIGTERM)
        assert await ingress.ended() == 0
        assert [line["worker"] for line in ingress.lines("worker_hung")] == [1]


@pytest.mark.kafka
async def test_a_worker_that_cannot_work_is_tried_ever_more_seldom(settings: SettingsFactory, tmp_path: Path) -> None:
    """While there are no topics the pauses grow, and each end is told with its reason; then all become ready."""
    mine = settings()
    _, admin_port = ports()
    (tmp_path / "dropstream.toml").write_text(
        f"[kafka]\n{kafka_table(mine)}\n[process]\nadmin_port = {admin_port}\n[endpoints]\n"
    )
    async with program(tmp_path, "process", "sequence", "--workers", "2", admin_port=admin_port) as processors:
        await eventually(lambda: len(processors.lines("worker_died")) >= 4)
        deaths = [line for line in processors.lines("worker_died") if line["worker"] == 1]
        assert [(one["exit_code"], one["restart_in_s"]) for one in deaths][:2] == [(1, 0.5), (1, 1.0)]
        assert "error: there is no topic" in processors.log.read_text(encoding="utf-8")
        await apply(mine)
        await processors.ready()
        facts = orjson.loads((await processors.page("/readyz"))[1])["workers"]
        assert sum(one["sequence_partitions_open"] for one in facts.values()) == 3
        processors.signal(signal.SIGINT)
        assert await processors.ended() == 0


async def test_a_closed_terminal_ends_what_it_showed(tmp_path: Path) -> None:
    """SIGHUP asks for a reload, but not where it says that the person who watched has gone."""
    port, admin_port = ports()
    write(tmp_path, _NOWHERE, port, admin_port)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ops", "ingest", "--workers", "2"]
    with subprocess.Popen(command, cwd=tmp_path, preexec_fn=lambda: os.login_tty(theirs)) as ingress:  # noqa: PLW1509, ASYNC220 its own terminal
        os.close(theirs)
        await answering(port)
        os.close(ours)
        await eventually(lambda: ingress.poll() is not None)
        assert ingress.returncode == 0
        await refusing(port)
