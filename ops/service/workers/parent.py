"""The parent of several workers: it starts and keeps them, speaks for them on one admin port, and passes on what it
is told. It handles no delivery itself.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import typer
from prometheus_client import CollectorRegistry

from ops.service.admin import admin_port
from ops.service.reload import Reading, SettingsSource, give_current, give_started, reloading
from ops.service.run import Signals, run_service
from ops.service.workers.admin import joint_pages
from ops.service.workers.pool import WorkerFaultError, WorkerPlan, Workers
from schemas.settings import IngestSettings, ProcessSettings

_EXIT_CONFIGURATION = 2


@dataclass(frozen=True, slots=True)
class Parent:
    """What to run `count` times: `verb` with its arguments, with the settings that `source` gave at the start."""

    verb: Sequence[str]
    count: int
    source: SettingsSource
    first: Reading
    ports: IngestSettings | ProcessSettings
    grace_s: float
    environ: Mapping[str, str] = field(default_factory=dict)


def supervise(parent: Parent) -> None:
    """Runs the workers until told to stop.

    Raises:
        typer.Exit: with 2, when a worker could not use its configuration; it has said so itself.
    """

    async def main(signals: Signals) -> None:
        with _room() as folder:
            await _run(parent, folder, signals)

    try:
        run_service(main, reloads=True)
    except WorkerFaultError as error:
        raise typer.Exit(_EXIT_CONFIGURATION) from error


@contextmanager
def _room() -> Iterator[Path]:
    """A folder for us and our workers alone, as long as we are there."""
    with tempfile.TemporaryDirectory(prefix="dropstream-", ignore_cleanup_errors=True) as folder:
        # systemd-tmpfiles clears away what is old, unless it is locked:
        # https://www.freedesktop.org/software/systemd/man/latest/tmpfiles.d.html
        held = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_SH)
            yield Path(folder)
        finally:
            os.close(held)


async def _run(parent: Parent, folder: Path, signals: Signals) -> None:
    registry = CollectorRegistry()
    give_started(folder, parent.first.text)
    plan = WorkerPlan(
        arguments=(*parent.verb, "--config", str(parent.source.file)),
        count=parent.count,
        folder=folder,
        grace_s=parent.grace_s,
        environ=parent.environ,
    )
    workers = Workers(plan, registry=registry)

    def pass_on(reading: Reading) -> None:
        give_current(folder, reading.text)
        workers.reload()

    async with (
        admin_port(parent.ports.admin_host, parent.ports.admin_port, joint_pages(plan.workers, registry)),
        reloading(parent.source, parent.first.settings, signals.reload, registry=registry, apply=pass_on),
    ):
        await workers.run(signals.stopping)
