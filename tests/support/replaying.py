"""`dropstream` as a program in a pipe, for the verbs of replay; and what is in the topics afterwards."""

import asyncio
import base64
import hmac
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
from uuid_utils import uuid7

from ops.kafka.reader import read_topic
from schemas.delivery import Delivery
from schemas.settings import Settings
from schemas.vocabulary import EVENT_TOPICS
from tests.support.processing import ENDPOINTS, ENVIRON, SECRET
from tests.support.waiting import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Ended:
    """A run of the program: its exit code and what it wrote."""

    code: int | None
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Program:
    """`dropstream` with the settings' cluster; `environ` holds the secrets of today, `process` more of `[process]`."""

    settings: Settings
    folder: Path
    environ: Mapping[str, str]
    process: str = ""

    async def start(self, *arguments: str, dies_at: str | None = None) -> Process:
        """Starts it with these arguments; `dies_at` is a step of `tests.support.dying`."""
        kafka = self.settings.kafka
        config = self.folder / "program.toml"
        config.write_text(
            f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\ntopic_prefix = "{kafka.topic_prefix}"\n'
            f"replication_factor = {kafka.replication_factor}\npartitions = {kafka.partitions}\n"
            f"[process]\nadmin_port = 0\nsession_timeout_ms = {self.settings.process.session_timeout_ms}\n"
            f"transaction_timeout_ms = {self.settings.process.transaction_timeout_ms}\n{self.process}\n{ENDPOINTS}"
        )
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *(("tests.support.dying", dies_at) if dies_at else ("ops",))),
            *(*arguments, "--config", str(config)),
            env={**os.environ, **self.environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )

    async def run(self, *arguments: str) -> Ended:
        """Runs it to its end."""
        return await ended(await self.start(*arguments))


def program(settings: Settings, folder: Path, environ: Mapping[str, str] = ENVIRON) -> Program:
    """The program with the secret that the deliveries are signed with, or with others."""
    return Program(settings, folder, environ)


async def ended(process: Process, *, patience_s: float = PATIENCE_S) -> Ended:
    """The process at its end."""
    async with asyncio.timeout(patience_s):
        out, err = await process.communicate()
    return Ended(process.returncode, out.decode(), err.decode())


async def says(process: Process, text: str) -> str:
    """The first line on its standard output that holds `text`; what came before is passed over."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        while text not in (line := (await process.stdout.readline()).decode()):
            assert line, "it ended without saying so"
    return line


def replay_id(out: str) -> str:
    """The id that a run printed."""
    return next(line.split("\t")[1] for line in out.splitlines() if line.startswith("id\t"))


async def kill(process: Process) -> None:
    """kill -9."""
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.wait()


async def events(settings: Settings, *topics: str) -> list[dict[str, Any]]:
    """Every event of these topics, of the five by default; those of a partition in order."""
    return [
        orjson.loads(record.value or b"")
        for topic in topics or EVENT_TOPICS
        for record in await read_topic(settings, topic)
    ]


def counts(out: str) -> dict[str, int]:
    """The lines of a run's tables with a name and a number; what a slow run tells of its progress has five cells."""
    cells = [line.split("\t") for line in out.splitlines()]
    return {one[0]: int(one[1]) for one in cells if len(one) in {2, 3} and one[1].isdecimal()}


async def more_events(settings: Settings, least: int, *, marked: bool = False) -> int:
    """How many events there are (`marked`: of replays), once there are at least so many."""
    async with asyncio.timeout(PATIENCE_S):
        while (found := len([one for one in await events(settings) if "replay" in one or not marked])) < least:  # noqa: ASYNC110 the log is elsewhere
            await asyncio.sleep(0.05)
    return found


def resigned(delivery: Delivery, body: bytes) -> Delivery:
    """The delivery with another body, rightly signed by ShipStream's rule."""
    signature = base64.b64encode(hmac.digest(SECRET, body, "sha256"))
    return replace(delivery, id=str(uuid7()), body=body, headers=(("x-plugin-hmac-sha256", signature),))
