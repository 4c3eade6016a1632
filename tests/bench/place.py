"""Where it is measured: a real Kafka, a folder, the processors of this machine, and the programs under load.

The server has a processor of its own where there are two or more; broker, generator and this process have the others.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from ops.kafka.clients import admin
from ops.kafka.topics import apply
from ops.local.broker.local import local_broker
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.settings import Settings
from tests.bench.gauge import family
from tests.support.checkout import ROOT
from tests.support.ports import free_ports

SECRET = "made-up-secret"
PARTITIONS = 12
_PROVIDERS = ("dreamship", "shipstream", "modern_dropship", "dropea")
_PATIENCE_S = 60.0
_ASK = aiohttp.ClientTimeout(total=2.0)


@dataclass(frozen=True, slots=True)
class Cores:
    """Which processors serve, and which do the rest; the same ones where there is one only."""

    server: frozenset[int]
    rest: frozenset[int]

    @property
    def sentence(self) -> str:
        if self.server == self.rest:
            return "one processor for everything: rates are the machine's, not the server's"
        return f"server on processor {_listed(self.server)}, broker and generator on {_listed(self.rest)}"


@dataclass(frozen=True, slots=True)
class Place:
    """One run's Kafka and folder; its topics begin with `prefix`, which no other run has.

    `broker` is the process of a Kafka that was started here, with its data in `data`; None where KAFKA names one.
    """

    prefix: str
    folder: Path
    bootstrap_servers: str
    cores: Cores
    broker: int | None = None

    @property
    def data(self) -> Path:
        """Where a Kafka that was started here keeps its records."""
        return self.folder / "kafka"

    def config(
        self,
        name: str,
        *,
        endpoints: int = 4,
        bootstrap_servers: str | None = None,
        spool: Path | None = None,
        commit_interval_ms: int | None = 100,
        partitions: int = PARTITIONS,
        compression: str | None = None,
    ) -> Path:
        """The configuration of a program: topics of its own by its name, ports that are free.

        With `commit_interval_ms` None the program's own default counts.
        """
        ports = [free_ports(1) for _ in range(3)]
        tables = "".join(
            f'[endpoints.{one}]\nprovider = "{provider}"\nsecrets = ["env:SECRET"]\n'
            for one, provider in endpoint_names(endpoints)
        )
        codec = f'compression = "{compression}"\n' if compression else ""
        interval = "" if commit_interval_ms is None else f"commit_interval_ms = {commit_interval_ms}\n"
        path = self.folder / f"{name}.toml"
        path.write_text(
            f'[kafka]\nbootstrap_servers = "{bootstrap_servers or self.bootstrap_servers}"\n'
            f'topic_prefix = "{self.prefix}{name}."\nreplication_factor = 1\npartitions = {partitions}\n'
            f'[ingest]\nhost = "127.0.0.1"\nport = {ports[0]}\nadmin_port = {ports[1]}\n'
            f'spool_dir = "{spool or self.folder / f"spool-{name}"}"\n{codec}'
            f"[process]\nadmin_port = {ports[2]}\n{interval}"
            f'state_dir = "{self.folder / f"state-{name}"}"\n{codec}{tables}'
        )
        return path


@dataclass(frozen=True, slots=True)
class Program:
    """A running program and what it was configured with."""

    process: asyncio.subprocess.Process
    settings: Settings
    log: Path

    @property
    def pids(self) -> tuple[int, ...]:
        """It and its workers."""
        return family(self.process.pid)

    async def facts(self, port: int) -> dict[str, float]:
        """What `/readyz` of that admin port tells; empty while nobody answers."""
        try:
            async with (
                aiohttp.ClientSession(timeout=_ASK) as client,
                client.get(f"http://127.0.0.1:{port}/readyz") as response,
            ):
                told: dict[str, float] = await response.json()
                return told
        except (aiohttp.ClientError, TimeoutError):
            return {}

    async def listening(self, port: int) -> None:
        """Returns once the port takes connections.

        Raises:
            RuntimeError: the program has ended, or time is up.
        """
        for _ in range(int(_PATIENCE_S / 0.05)):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if self.process.returncode is not None:
                    break
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
        raise RuntimeError(f"it did not start: {self.log.read_text(errors='replace')[-400:]}")

    async def said(self, event: str, *, times: int = 1) -> None:
        """Returns once its log has this event so often.

        Raises:
            RuntimeError: the program has ended, or time is up.
        """
        for _ in range(int(_PATIENCE_S / 0.02)):
            if self.log.read_text(errors="replace").count(f'"{event}"') >= times:
                return
            if self.process.returncode is not None:
                break
            await asyncio.sleep(0.02)
        raise RuntimeError(f"it did not say {event}: {self.log.read_text(errors='replace')[-400:]}")


def endpoint_names(count: int) -> list[tuple[str, str]]:
    """So many endpoints with their providers: one of each, then numbered ones."""
    return [
        (provider.replace("_", "-") if number < len(_PROVIDERS) else f"endpoint-{number}", provider)
        for number, provider in ((number, _PROVIDERS[number % len(_PROVIDERS)]) for number in range(count))
    ]


def read_settings(config: str | Path) -> Settings:
    """The settings of a configuration that `Place.config` wrote."""
    text = Path(config).read_text(encoding="utf-8")
    return read_configuration(text, source=str(config), context=Context({"SECRET": SECRET}, discover()))


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    """A fresh Kafka, or that of KAFKA=host:port; it ends with the block."""
    every = sorted(os.sched_getaffinity(0))
    cores = Cores(frozenset(every[:1]), frozenset(every[1:] or every))
    os.sched_setaffinity(0, cores.rest)
    try:
        with TemporaryDirectory() as name:
            async with _broker(Path(name), prefix := f"bench-{time.time_ns():x}-") as (servers, broker):
                yield Place(prefix, Path(name), servers, cores, broker)
    finally:
        os.sched_setaffinity(0, every)


@asynccontextmanager
async def _broker(folder: Path, prefix: str) -> AsyncIterator[tuple[str, int | None]]:
    """Where Kafka is, and its process; of one that is given, the topics with this prefix are deleted in the end."""
    given = os.environ.get("KAFKA")
    if not given:
        port = free_ports(2)
        async with local_broker(folder / "kafka", environ={}, progress=_silent, port=port) as broker:
            yield broker.bootstrap_servers, broker.nodes[0].pid
        return
    try:
        yield given, None
    finally:
        text = f'[kafka]\nbootstrap_servers = "{given}"\n[endpoints]\n'
        settings = read_configuration(text, source="KAFKA", context=Context({}, ()))
        async with admin(settings) as client:
            await client.delete_topics([one for one in await client.list_topics() if one.startswith(prefix)])


@asynccontextmanager
async def running(
    place: Place,
    config: Path,
    program: str | Path,
    *arguments: str,
    python: str | None = None,
    topics: bool = True,
    cores: frozenset[int] | None = None,
    checkout: Path = ROOT,
) -> AsyncIterator[Program]:
    """A module of a checkout, or a file, with these arguments on the server's processor; it has ended on leaving."""
    settings = read_settings(config)
    if topics:
        await apply(settings)
    log = config.with_suffix(".log")
    command = (str(program),) if isinstance(program, Path) else (python or sys.executable, "-m", program)
    with log.open("ab") as output, _on(cores or place.cores.server):
        process = await asyncio.create_subprocess_exec(
            *(*command, *arguments),
            cwd=checkout,
            env={**os.environ, "SECRET": SECRET, "PYTHONPATH": str(checkout)},
            stdout=output,
            stderr=output,
        )
    try:
        yield Program(process, settings, log)
    finally:
        await _end(process)


@contextmanager
def _on(cores: frozenset[int]) -> Iterator[None]:
    """What is started within runs on these processors from its first thread on; a Go program has several at once."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(20):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _silent(_step: str) -> None:
    return


def _listed(cores: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cores)))
