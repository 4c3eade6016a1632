"""The example consumers as real programs: started as a person starts them, watched, stopped with SIGTERM."""

import asyncio
import hashlib
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaProducer

from ops.local.broker.install import CHECKOUT, STATE_FOLDER
from ops.local.broker.tool import locked, run_tool
from schemas.kafka.arguments import producer_arguments
from schemas.settings import Settings
from tests.support.waiting import PATIENCE_S

_EXAMPLES = CHECKOUT / "examples"
# As the local broker is started: in a life of seconds the second compiler costs more than it saves.
_JAVA = ("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# What a person's own build leaves beside the sources.
_MADE = {"target", "node_modules"}


@dataclass(frozen=True, slots=True)
class Program:
    """How a consumer is started, and the exit code that its language gives a program that SIGTERM ended cleanly."""

    command: Sequence[str]
    stopped_code: int


@dataclass(slots=True)
class Consumer:
    """A consumer that runs; `lines` is what it has printed so far."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def prints(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Its lines, once the condition holds of them; fails after a minute, or when it ended before."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition(self.lines):
                    assert self.process.stdout
                    line = await self.process.stdout.readline()
                    assert line, f"it ended: {(await self._rest())[-2000:]}"
                    self.lines.append(line.decode().rstrip("\n"))
        except TimeoutError:
            raise AssertionError(f"printed only: {self.lines[-40:]}") from None
        return self.lines

    async def stop(self) -> int:
        """Tells it to stop; its exit code, when everything that it still said is in `lines` and `errors`."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Its exit code, when it has ended by itself."""
        async with asyncio.timeout(PATIENCE_S):
            printed, said = await self.process.communicate()
        self.lines += printed.decode().splitlines()
        self.errors += said.decode().splitlines()
        return self.process.returncode or 0

    async def _rest(self) -> str:
        assert self.process.stderr
        return (await self.process.stderr.read()).decode()


def python_program() -> Program:
    """The example in Python, by the Python that runs the tests."""
    return Program([sys.executable, str(_EXAMPLES / "python" / "orders.py")], 0)


async def java_program() -> Program | str:
    """The example in Java, built by Maven once for each state of its source; or what is missing here."""
    missing = [name for name in ("javac", "java", "mvn") if shutil.which(name) is None]
    if missing:
        return f"the example in Java needs a JDK 17 and Maven; here is no {', '.join(missing)}"
    source = _EXAMPLES / "java"
    built = STATE_FOLDER / "examples" / f"java-{_digest(source)}"
    async with locked(STATE_FOLDER / "examples" / "lock"):
        if not built.is_dir():
            await _build(source, built)
    # As the JVM says 128 + SIGTERM, also of a program that ended its work in order.
    return Program([*_JAVA, "-jar", str(built / "target" / "orders.jar")], 143)


async def go_program() -> Program | str:
    """The example in Go, built once for each state of its source; or what is missing here."""
    if shutil.which("go") is None:
        return "the example in Go needs Go; here is no go"
    source = _EXAMPLES / "go"
    built = STATE_FOLDER / "examples" / f"go-{_digest(source)}"
    async with locked(STATE_FOLDER / "examples" / "lock"):
        if not built.is_file():
            log = built.with_name("go.log")
            code = await run_tool(["go", "build", "-C", str(source), "-mod=readonly", f"-o={built}", "."], log=log)
            assert code == 0, log.read_text(errors="replace")[-3000:]
    return Program([str(built)], 0)


async def node_program() -> Program | str:
    """The example in Node, beside the packages that its lock file names; or what is missing here."""
    source = _EXAMPLES / "node"
    packages = STATE_FOLDER / "tools" / "node"
    lock = packages / "fetched.json"
    if not lock.is_file() or lock.read_bytes() != (source / "package-lock.json").read_bytes():
        return "the example in Node needs Node 20 and its packages"
    placed = STATE_FOLDER / "examples" / f"node-{_digest(source)}"
    async with locked(STATE_FOLDER / "examples" / "lock"):
        if not placed.is_dir():
            partial = placed.with_name(f"{placed.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(source, partial, ignore=shutil.ignore_patterns("node_modules"))
            # Node looks for packages beside a program.
            (partial / "node_modules").symlink_to(packages / "node_modules")
            partial.rename(placed)
    return Program(["node", str(placed / "orders.js")], 0)


async def _build(source: Path, built: Path) -> None:
    partial = built.with_name(f"{built.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, ignore=shutil.ignore_patterns("target"))
    log = built.parent / "maven.log"
    code = await run_tool(["mvn", "--quiet", "--batch-mode", f"--file={partial / 'pom.xml'}", "package"], log=log)
    assert code == 0, log.read_text(errors="replace")[-3000:]
    partial.rename(built)


def _digest(source: Path) -> str:
    files = sorted(path for path in source.rglob("*") if path.is_file() and not _MADE & {*path.parts})
    contents = (f"{path.relative_to(source)}\0".encode() + path.read_bytes() for path in files)
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:16]


@asynccontextmanager
async def consumer(program: Program, kafka: str, *arguments: str) -> AsyncIterator[Consumer]:
    """The program, started with `KAFKA` in its environment; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *program.command,
        *arguments,
        env={**os.environ, "KAFKA": kafka},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Consumer(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def orders_of(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("order ")]


async def write(settings: Settings, *, key: bytes, value: bytes | None, topic: str = "orders") -> None:
    """A record that no processor wrote."""
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        await producer.send_and_wait(settings.kafka.topic_prefix + topic, key=key, value=value)
