"""`dropstream up` as a person runs it: the tour is complete, and nothing stays behind however it ends."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ops.broker.probe import find_free_ports
from tests.conftest import KafkaUnderTest

pytestmark = pytest.mark.kafka

_PATIENCE_S = 90.0
CONTRACTS = ("Dreamship advanced", "Dreamship basic", "ShipStream", "Modern Dropship", "Dropea v1", "Dropea v2")


def environment(kafka: KafkaUnderTest, prefix: str) -> dict[str, str]:
    """The environment of a system on this broker, on ports of its own."""
    port = find_free_ports(3, after=24_000 + os.getpid() % 1_000 * 8)
    return {
        **os.environ,
        "KAFKA": kafka.bootstrap_servers,
        "DROPSTREAM_KAFKA__TOPIC_PREFIX": prefix,
        "DROPSTREAM_INGEST__PORT": str(port),
        "DROPSTREAM_INGEST__ADMIN_PORT": str(port + 1),
        "DROPSTREAM_PROCESS__ADMIN_PORT": str(port + 2),
    }


@asynccontextmanager
async def system(environ: dict[str, str], folder: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`dropstream up` in a folder of its own; killed at the end where it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops", "up", *options),
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
    async with asyncio.timeout(_PATIENCE_S):
        while until not in said and (line := await process.stdout.readline()):
            said += line.decode()
    return said


async def nothing_left_of(prefix: str) -> bool:
    """Whether every process that carries the prefix in its environment has ended, waited for."""
    async with asyncio.timeout(_PATIENCE_S):
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


async def test_the_tour_shows_every_contract(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """Each of the six wire contracts is answered 200, its events arrive with UTC times, and the exit code is 0."""
    async with system(environment(kafka, prefix), tmp_path, "--once") as process:
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
        async with asyncio.timeout(_PATIENCE_S):
            code = await process.wait()
    assert code == (-number if number is signal.SIGKILL else 0)
    assert await nothing_left_of(prefix)


async def test_a_taken_port_is_one_clear_sentence(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """Who has the ingress port taken reads which setting moves it, and nothing was started."""
    environ = environment(kafka, prefix)
    async with system(environ, tmp_path) as first:
        await output(first, until="Ctrl-C ends everything")
        async with system(environ, tmp_path) as second:
            said = await output(second, until="\0")
            assert await second.wait() == 1
    assert "ingest.port" in said
    assert "DROPSTREAM_INGEST__PORT=" in said
    assert "Traceback" not in said
