"""Processors under test: deliveries put into `raw` as the ingress would, and `dropstream process` as a real program."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count as numbers_from
from pathlib import Path
from random import Random

from aiokafka import AIOKafkaProducer
from uuid_utils import uuid7

from ops.audit.run import audit
from ops.audit.verdict import AuditVerdict
from ops.kafka.offsets import read_group_offsets
from ops.kafka.reader import read_topic
from ops.kafka.topics import apply
from processors.deliver.provider import Sample
from processors.providers import discover
from schemas.delivery import Delivery, kept_headers, raw_key, record_headers
from schemas.kafka.arguments import producer_arguments
from schemas.kafka.log_bounds import LogBounds
from schemas.settings import Settings
from schemas.times import timestamp_ms
from tests.support.waiting import PATIENCE_S, until_it_is

SECRET = b"made-up-secret"
ENDPOINTS = "".join(
    f'[endpoints.{name}]\nprovider = "{provider}"\nsecrets = ["env:SECRET"]\n'
    for name, provider in (
        ("dreamship", "dreamship"),
        ("shipstream", "shipstream"),
        ("modern-dropship", "modern_dropship"),
        ("dropea", "dropea"),
    )
)
# Where members die, the group forgets them after as short a time as Kafka allows.
MORTAL = """
[process]
admin_port = 0
session_timeout_ms = 6000
transaction_timeout_ms = 5000
"""
# Where none dies, none is taken for dead because the machine is slow.
PROCESS = """
[process]
admin_port = 0
session_timeout_ms = 60000
transaction_timeout_ms = 50000
"""
ENVIRON = {"SECRET": SECRET.decode()}
# Now, for a record of `raw` has the time of receipt, and one past the topic's retention is deleted under the test.
_NUMBERS = numbers_from(1_000_000)
STARTED_AT = datetime.now(UTC).replace(microsecond=0)


def signed(sample: Sample, provider: str, endpoint: str, number: int, note_bytes: int = 0) -> Delivery:
    """The sample's delivery of that number, as received by the endpoint, with a note of so many bytes in its body."""
    at = STARTED_AT + timedelta(milliseconds=number)
    body = sample.body(number, at)
    if note_bytes:
        note = Random(number).randbytes(note_bytes // 2).hex().encode()  # noqa: S311 no secret
        body = body.replace(b"{", b'{"note":"' + note + b'",', 1)
    headers = sample.sign(body, SECRET, at)
    received = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Delivery(str(uuid7()), provider, endpoint, at, "192.0.2.1", kept_headers(received), body)


def deliveries(count: int, first: int = 1) -> list[Delivery]:
    """`count` deliveries, the samples of every provider in turn."""
    samples = [(sample, provider.name) for provider in discover().values() for sample in provider.samples]
    return [
        signed(sample, provider, provider.replace("_", "-"), number)
        for number in range(first, first + count)
        for sample, provider in (samples[number % len(samples)],)
    ]


def signed_orders(count: int, note_bytes: int = 0) -> list[Delivery]:
    """`count` deliveries on orders, each another one, with so many bytes more in the body that no codec makes small."""
    samples = [
        (sample, provider.name)
        for provider in discover().values()
        for sample in provider.samples
        if any(".order." in one for one in sample.event_types)
    ]
    return [
        signed(sample, provider, provider.replace("_", "-"), next(_NUMBERS), note_bytes)
        for number in range(count)
        for sample, provider in (samples[number % len(samples)],)
    ]


async def put(settings: Settings, batch: Sequence[Delivery]) -> None:
    """Writes the deliveries to `raw`."""
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        await send(producer, settings, batch)


async def send(producer: AIOKafkaProducer, settings: Settings, batch: Sequence[Delivery]) -> None:
    """Writes the deliveries to `raw`, on all in-sync replicas on return."""
    for delivery in batch:
        await producer.send(
            settings.kafka.topic_prefix + "raw",
            value=delivery.body,
            key=raw_key(delivery.endpoint, 1, delivery.body),
            headers=list(record_headers(delivery)),
            timestamp_ms=timestamp_ms(delivery.received_at),
        )
    await producer.flush()


async def prepared(settings: Settings) -> Settings:
    """The same settings, their topics made."""
    await apply(settings)
    return settings


@dataclass(frozen=True, slots=True)
class Processor:
    """One `dropstream process` as a program; its log is at `log`."""

    process: asyncio.subprocess.Process
    log: Path

    def signal(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def says(self, event: str) -> None:
        """Returns once `event` is in its log."""
        async with asyncio.timeout(PATIENCE_S):
            while event not in self.log.read_text(encoding="utf-8"):  # noqa: ASYNC110 another process writes it
                await asyncio.sleep(0.05)

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


async def start_processor(
    settings: Settings,
    folder: Path,
    name: str,
    environ: Mapping[str, str] = ENVIRON,
    *,
    dies_at: str | None = None,
    freezes_at: str | None = None,
) -> Processor:
    """Starts the program on the settings' broker and prefix; it remembers more than a few deliveries on disk.

    `environ` holds the secrets that it knows, `dies_at` and `freezes_at` are steps of `tests.support.dying`.
    """
    config = folder / "dropstream.toml"
    kafka = settings.kafka
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\ntopic_prefix = "{kafka.topic_prefix}"\n'
        f"replication_factor = {kafka.replication_factor}\npartitions = {kafka.partitions}\n"
        f"[sequence]\ngrace_seconds = {settings.sequence.grace_seconds}\n"
        f"[process]\nadmin_port = 0\nrecords_per_round_max = {settings.process.records_per_round_max}\n"
        f'state_dir = "{folder / "state"}"\ndedupe_memory_keys_max = 20\n'
        f"session_timeout_ms = {settings.process.session_timeout_ms}\n"
        f"transaction_timeout_ms = {settings.process.transaction_timeout_ms}\n{ENDPOINTS}"
    )
    ending = f"freeze:{freezes_at}" if freezes_at else dies_at
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *(("tests.support.dying", ending) if ending else ("ops",)),
            "process",
            "--config",
            str(config),
            env={**os.environ, **environ},
            stdout=output,
            stderr=output,
        )
    return Processor(process, log)


@asynccontextmanager
async def processors(
    settings: Settings, folder: Path, environ: Mapping[str, str] = ENVIRON
) -> AsyncIterator[Callable[[str], "asyncio.Future[Processor]"]]:
    """Gives a way to start programs; whatever still runs at the end is killed."""
    started: list[Processor] = []

    async def start(name: str) -> Processor:
        started.append(await start_processor(settings, folder, name, environ))
        return started[-1]

    try:
        yield lambda name: asyncio.ensure_future(start(name))
    finally:
        for one in started:
            one.signal(signal.SIGKILL)
            await one.ended()


async def processed(
    settings: Settings,
    folder: Path,
    batch: Sequence[Delivery],
    *,
    total: int | None = None,
    environ: Mapping[str, str] = ENVIRON,
) -> AuditVerdict:
    """Puts the deliveries in and processes them with these secrets; the verdict on all `total` that are there then."""
    await put(settings, batch)
    async with processors(settings, folder, environ) as start:
        processor = await start("processor")
        verdict = await audited(settings, total or len(batch))
        # In good order, so that the next one need not wait for its session to end.
        processor.signal(signal.SIGTERM)
        await processor.ended()
    return verdict


async def audited(settings: Settings, count: int, *, patience_s: float = PATIENCE_S) -> AuditVerdict:
    """The verdict once every one of `count` deliveries is processed, or patience is over."""
    with contextlib.suppress(TimeoutError):
        await until_it_is(lambda: is_processed(settings, count), every_s=0.1, patience_s=patience_s)
    return await audit(settings)


async def is_processed(settings: Settings, count: int) -> bool:
    """Whether group `deliver` has committed all that is in `raw`, and that is `count` deliveries."""
    prefix = settings.kafka.topic_prefix
    found = await read_group_offsets(settings, f"{prefix}deliver", [f"{prefix}raw"])
    logs = [one.log for one in found if isinstance(one.log, LogBounds)]
    return sum(log.end - log.first for log in logs) == count and all(one.lag == 0 for one in found)


async def progress(settings: Settings, *, beyond: int) -> int:
    """How many events of orders are committed, once that is more than `beyond`."""
    async with asyncio.timeout(PATIENCE_S):
        while (found := await outputs_so_far(settings)) <= beyond:  # noqa: ASYNC110 the log is elsewhere
            await asyncio.sleep(0.05)
    return found


async def outputs_so_far(settings: Settings) -> int:
    """How many events of orders are committed."""
    return len(await read_topic(settings, "orders"))
