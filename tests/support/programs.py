"""`dropstream ingest` and `dropstream process` as real programs, with workers or without, and what they say.

And any other verb, run to its end.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from ops.local.processes import command_line
from schemas.delivery import Delivery
from tests.support.raw_http import RawClient
from tests.support.waiting import PATIENCE_S


def bare_environ(**more: str) -> dict[str, str]:
    """`PATH` and `more`, and nothing of ours; under `make coverage` also what makes the lines of a program count."""
    kept = [name for name in os.environ if name == "PATH" or name.startswith("COVERAGE_")]
    return {name: os.environ[name] for name in kept} | more


@dataclass(frozen=True, slots=True)
class Program:
    """A running `dropstream`; its log is JSON lines at `log`, its admin port on the loopback."""

    process: asyncio.subprocess.Process
    log: Path
    admin_port: int

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Every line of this event so far."""
        texts = self.log.read_bytes().split(b"\n")
        lines = [orjson.loads(text) for text in texts if text.startswith(b"{") and text.endswith(b"}")]
        return [line for line in lines if line["event"] == event]

    async def said(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """The lines of this event once there are `count`."""
        await eventually(lambda: len(self.lines(event)) >= count)
        return self.lines(event)

    def pids(self) -> dict[int, int]:
        """The newest process of each worker, by number."""
        return {line["worker"]: line["pid"] for line in self.lines("worker_started")}

    def signal(self, number: signal.Signals) -> None:
        """To this process alone."""
        self.process.send_signal(number)

    async def page(self, path: str) -> tuple[int, str]:
        """Status and body of a page of the admin port; (0, "") where nobody listens."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.admin_port}{path}") as response,
            ):
                return response.status, await response.text()
        except aiohttp.ClientConnectionError:
            return 0, ""

    async def ready(self) -> None:
        """Returns once it is ready, all of it."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.page("/readyz"))[0] != 200:  # noqa: ASYNC110 another process decides it
                await asyncio.sleep(0.05)

    async def shows(self, *samples: str) -> None:
        """Returns once `/metrics` has each of these lines."""
        async with asyncio.timeout(PATIENCE_S):
            while not set(samples) <= set((await self.page("/metrics"))[1].splitlines()):  # noqa: ASYNC110 as above
                await asyncio.sleep(0.05)

    async def ended(self) -> int:
        """Its exit code."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@asynccontextmanager
async def program(
    folder: Path,
    *arguments: str,
    admin_port: int,
    environ: Mapping[str, str] | None = None,
    stdin: int | None = None,
) -> AsyncIterator[Program]:
    """`dropstream` with these arguments in `folder`, its temporary files in `folder/rooms`; killed at the end."""
    rooms, log = folder / "rooms", folder / f"{arguments[0]}-{admin_port}.log"
    rooms.mkdir(exist_ok=True)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ops", *arguments),
            cwd=folder,
            stdin=stdin,
            env={**os.environ, "TMPDIR": str(rooms), **(environ or {})},
            stdout=output,
            stderr=output,
        )
    running = Program(process, log, admin_port)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await _buried(running.pids().values())


async def _buried(pids: Collection[int]) -> None:
    """The workers have ended; those that did not are ended, and the test fails."""
    try:
        await eventually(lambda: not any(map(runs, pids)))
    except TimeoutError:
        for pid in filter(runs, pids):
            os.kill(pid, signal.SIGKILL)
        raise


def runs(pid: int) -> bool:
    """Whether a worker of this pid is there; one that nobody buried has no command line any more."""
    return "--as-worker" in command_line(pid)


async def eventually(condition: Callable[[], bool]) -> None:
    """Returns when `condition` holds; fails after 30 s."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 nobody tells of a condition in general
            await asyncio.sleep(0.02)


async def answering(port: int) -> None:
    """Returns once the port takes connections."""
    await _takes_connections(port, wanted=True)


async def refusing(port: int) -> None:
    """Returns once the port takes no connections."""
    await _takes_connections(port, wanted=False)


async def _takes_connections(port: int, *, wanted: bool) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with RawClient(port):
                    taken = True
            except ConnectionError:
                taken = False
            if taken is wanted:
                return
            await asyncio.sleep(0.02)


@dataclass(slots=True)
class Load:
    """Deliveries sent one after the other by several senders, each on a new connection, until it is stopped."""

    url: str
    acknowledged: list[bytes] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    lost_connections: int = 0
    _stopped: bool = False

    async def run(self) -> None:
        """Sends until stopped."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(self._send(session, sender) for sender in range(4)))

    async def _send(self, session: aiohttp.ClientSession, sender: int) -> None:
        number = 0
        while not self._stopped:
            number += 1
            body = f"{sender}-{number}".encode()
            try:
                async with session.post(self.url, data=body) as response:
                    if response.status == 200:
                        self.acknowledged.append(body)
                    else:
                        self.refused.append(response.status)
            except aiohttp.ClientError:
                self.lost_connections += 1

    async def more(self, count: int) -> None:
        """Returns when `count` more are acknowledged."""
        target = len(self.acknowledged) + count
        await eventually(lambda: len(self.acknowledged) >= target)

    def stop(self) -> None:
        """No more are begun."""
        self._stopped = True


@asynccontextmanager
async def load(url: str) -> AsyncIterator[Load]:
    """Load on `url` inside; all of it is answered, or lost, on leaving."""
    made = Load(url)
    running: Awaitable[None] = asyncio.ensure_future(made.run())
    try:
        yield made
    finally:
        made.stop()
        await running


@dataclass(frozen=True, slots=True)
class VerbResult:
    """How the verb ended, and what it wrote."""

    code: int
    output: str
    errors: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The output as JSON lines."""
        return [orjson.loads(line) for line in self.output.splitlines()]


async def verb(*arguments: str, environ: Mapping[str, str]) -> VerbResult:
    """Runs `dropstream` with these arguments to its end; `environ` comes on top of that of the tests."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops", *arguments),
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        output, errors = await process.communicate()
    return VerbResult(process.returncode or 0, output.decode(), errors.decode())


async def send_all(base_url: str, batch: Iterable[Delivery]) -> None:
    """Sends the deliveries over HTTP, one after the other; each is answered 200."""
    async with aiohttp.ClientSession() as session:
        for one in batch:
            headers = [(name, value.decode()) for name, value in one.headers]
            async with session.post(f"{base_url}/webhooks/{one.endpoint}", data=one.body, headers=headers) as answer:
                assert answer.status == 200, (one.endpoint, answer.status)
