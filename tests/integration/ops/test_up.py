"""`dropstream up` as a person runs it: the tour is complete, and nothing stays behind however it ends."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from ops.kafka.reader import read_topic
from ops.kafka.topics import create, existing
from ops.local.broker.install import Unavailable
from ops.local.broker.local import any_broker
from ops.local.broker.runtime import Runtime
from ops.local.configuration import local_file
from schemas.kafka.arguments import group_consumer_arguments
from schemas.notes.sequence_observations import read_observation
from schemas.topics import plan
from tests.conftest import KafkaUnderTest, SettingsFactory
from tests.support.ports import free_ports
from tests.support.processing import deliveries, put
from tests.support.skipped import missing
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kafka

CONTRACTS = ("Dreamship advanced", "Dreamship basic", "ShipStream", "Modern Dropship", "Dropea v1", "Dropea v2")


def environment(kafka: KafkaUnderTest, prefix: str) -> dict[str, str]:
    """The environment of a system on this broker, on ports of its own."""
    port = free_ports(4)
    return {
        **os.environ,
        "KAFKA": kafka.bootstrap_servers,
        "DROPSTREAM_KAFKA__TOPIC_PREFIX": prefix,
        "DROPSTREAM_INGEST__PORT": str(port),
        "DROPSTREAM_INGEST__ADMIN_PORT": str(port + 1),
        "DROPSTREAM_PROCESS__ADMIN_PORT": str(port + 2),
        "DROPSTREAM_CONSOLE__PORT": str(port + 3),
    }


def system(
    environ: dict[str, str], folder: Path, *options: str
) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """`dropstream up` in a folder of its own."""
    return program(environ, folder, "up", *options)


@pytest.fixture(autouse=True)
def _no_file_is_left(prefix: str) -> Iterator[None]:
    """The file that `up` writes for the ports of a test goes with it."""
    yield
    for file in local_file().parent.glob("dropstream-*.toml"):
        if prefix in file.read_text():
            file.unlink()


@asynccontextmanager
async def program(environ: dict[str, str], folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`dropstream` in a folder of its own; killed at the end where it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops", *arguments),
        cwd=folder,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def output(process: asyncio.subprocess.Process, *, until: str) -> str:
    """What it says up to the line that holds `until`, or to its end."""
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(PATIENCE_S):
        while until not in said and (line := await process.stdout.readline()):
            said += line.decode()
    return said


async def nothing_left_of(prefix: str) -> bool:
    """Whether every process that carries the prefix in its environment has ended, waited for."""
    async with asyncio.timeout(PATIENCE_S):
        while _carriers(prefix):  # noqa: ASYNC110 the processes are not ours to wait for
            await asyncio.sleep(0.05)
    return True


def _carriers(prefix: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if prefix.encode() in (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                found.append(folder.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_tour_shows_every_contract(kafka: KafkaUnderTest, prefix: str, tmp_path: Path, host: str) -> None:
    """Each of the six wire contracts is answered 200, its events arrive with UTC times, and the exit code is 0."""
    hosts = ("INGEST__HOST", "INGEST__ADMIN_HOST", "PROCESS__ADMIN_HOST", "CONSOLE__HOST")
    environ = environment(kafka, prefix) | {f"DROPSTREAM_{name}": host for name in hosts}
    async with system(environ, tmp_path, "--once") as process:
        said = await output(process, until="\0")
        assert await process.wait() == 0, said
    for contract in CONTRACTS:
        stop = said.partition(f"\n{contract}  POST ")[2].partition("\n\n")[0]
        assert re.search(r"  200 in \d+ ms  delivery [0-9a-f-]{36}\n", stop), (contract, said)
        assert re.search(r"\n  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z  \w+", stop), contract
    assert await nothing_left_of(prefix)


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for left processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_nothing_is_left_behind(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C, kill and kill -9 of `dropstream up` end ingress and processors too; the first two end well."""
    async with system(environment(kafka, prefix), tmp_path) as process:
        assert "Ctrl-C ends everything" in await output(process, until="Ctrl-C ends everything")
        process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            code = await process.wait()
    assert code == (-number if number is signal.SIGKILL else 0)
    assert await nothing_left_of(prefix)


async def test_the_invitation_works_as_it_is_printed(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """Another terminal that knows the printed variables alone reaches the ingress and the topics of this system."""
    async with system(environment(kafka, prefix), tmp_path) as process:
        said = await output(process, until="Ctrl-C ends everything")
        exports = dict(re.findall(r"^  export (\w+)=(\S+)$", said, re.MULTILINE))
        assert list(exports) == ["DROPSTREAM_CONFIG"]
        elsewhere = {"PATH": os.environ["PATH"], **exports}
        for verb in (["send", "dreamship-basic"], ["topics", "plan"]):
            async with program(elsewhere, tmp_path, *verb) as told:
                text = await output(told, until="\0")
                assert await told.wait() == 0, text
        assert f"{prefix}orders\t3\t1\tproducer\tagrees" in text


@pytest.mark.parametrize("own", [True, False])
async def test_where_kafka_is_may_be_said_in_three_ways(prefix: str, tmp_path: Path, own: bool) -> None:
    """A broker that the person's file or environment names is used, and where it is away that source is named."""
    environ = {**os.environ, "DROPSTREAM_KAFKA__TOPIC_PREFIX": prefix}
    environ.pop("KAFKA", None)
    source = "$DROPSTREAM_KAFKA__BOOTSTRAP_SERVERS"
    port = free_ports(4)
    ports = f"[ingest]\nport = {port}\nadmin_port = {port + 1}\n[process]\nadmin_port = {port + 2}\n"
    ports += f"[console]\nport = {port + 3}\n"
    if own:
        source = f"kafka.bootstrap_servers in {tmp_path}/dropstream.toml"
        ports += '[kafka]\nbootstrap_servers = "127.0.0.1:1"\n'
    else:
        environ["DROPSTREAM_KAFKA__BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    (tmp_path / "dropstream.toml").write_text(ports + "[endpoints]\n")
    async with system(environ, tmp_path, "--once") as process:
        said = await output(process, until="\0")
        assert await process.wait() == 1
    assert "error: cannot reach Kafka at 127.0.0.1:1; " in said
    assert f"{source} says to use this broker." in said


async def test_a_live_dropstream_is_left_alone(
    kafka: KafkaUnderTest, settings: SettingsFactory, tmp_path: Path
) -> None:
    """Where a group has members, or `raw` has deliveries that `up` did not make, it is refused, and changes nothing."""
    mine = settings()
    prefix = mine.kafka.topic_prefix
    environ = environment(kafka, prefix)

    async def refused() -> str:
        async with system(environ, tmp_path, "--once") as process:
            said = await output(process, until="\0")
            assert await process.wait() == 1, said
        assert "DROPSTREAM_KAFKA__TOPIC_PREFIX=up. dropstream up" in said
        return said

    await create(mine, [one for one in plan(mine) if one.name == f"{prefix}raw"])
    async with AIOKafkaConsumer(f"{prefix}raw", **group_consumer_arguments(mine, group=f"{prefix}deliver")):
        assert f"group {prefix}deliver has 1 member, so another dropstream works" in await refused()
    assert await existing(mine, [f"{prefix}raw", f"{prefix}orders"]) == [f"{prefix}raw"]
    await put(mine, deliveries(1))
    assert f"topic {prefix}raw holds deliveries, so another dropstream works" in await refused()


async def test_a_second_tour_goes_on_where_the_first_ended(
    kafka: KafkaUnderTest, settings: SettingsFactory, tmp_path: Path
) -> None:
    """What `up` made it may use again, and its ShipStream samples leave no hole in the sequence."""
    mine = settings()
    for _ in range(2):
        async with system(environment(kafka, mine.kafka.topic_prefix), tmp_path, "--once") as process:
            said = await output(process, until="\0")
            assert await process.wait() == 0, said
    seen = [read_observation(record.value) for record in await read_topic(mine, "sequence")]
    ids = [one.sequence for one in seen if one is not None]
    assert len(ids) > 1
    assert ids[-len(ids) // 2 :] == list(range(ids[len(ids) // 2 - 1] + 1, ids[-1] + 1))


async def test_an_incomplete_stop_says_why(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """A sample that is rejected is told with the reason, at once, and the exit code is 1."""
    secret = '[{ value = "env:OLD", expires = 2020-01-01T00:00:00Z }]'
    (tmp_path / "dropstream.toml").write_text(
        f'[kafka]\nreplication_factor = 1\n[endpoints.old]\nprovider = "shipstream"\nsecrets = {secret}\n'
    )
    async with system({**environment(kafka, prefix), "OLD": "expired"}, tmp_path, "--once") as process:
        said = await output(process, until="\0")
        assert await process.wait() == 1
    assert said.count("  expected dropstream.") == 2
    assert said.count("  rejected, secret_expired: ") == 2


async def test_taken_ports_are_one_clear_sentence(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """Who has ports taken reads all of them at once, with what moves them, and nothing was started."""
    environ = environment(kafka, prefix)
    async with system(environ, tmp_path) as first:
        await output(first, until="Ctrl-C ends everything")
        async with system(environ, tmp_path) as second:
            said = await output(second, until="\0")
            assert await second.wait() == 1
    for setting, variable in (
        ("ingest.port", "DROPSTREAM_INGEST__PORT="),
        ("ingest.admin_port", "DROPSTREAM_INGEST__ADMIN_PORT="),
        ("process.admin_port", "DROPSTREAM_PROCESS__ADMIN_PORT="),
        ("console.port", "DROPSTREAM_CONSOLE__PORT="),
    ):
        assert f" for {setting}: Address already in use" in said
        assert variable in said
    assert "Traceback" not in said


async def test_a_taken_broker_port_is_no_hindrance(kafka_found: Runtime | Unavailable, tmp_path: Path) -> None:
    """A broker of ours takes the next two ports that are free."""
    if isinstance(kafka_found, Unavailable):
        pytest.skip(missing(kafka_found.reason, bring="PATH=FOLDER-OF-JAVA-AND-MAVEN:$PATH make test"))
    port = free_ports(4)
    environ = {name: text for name, text in os.environ.items() if name != "KAFKA"}
    with socket.create_server(("127.0.0.1", port + 1)):
        async with any_broker(tmp_path / "data", environ=environ, progress=lambda _: None, port=port) as broker:
            assert broker.bootstrap_servers == f"127.0.0.1:{port + 2}"
