"""The parent of several workers: starts them, keeps them running, serves one admin port for all, passes reloads on.

The parent handles no delivery itself.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import typer
from prometheus_client import CollectorRegistry

from ops.service.admin import admin_port
from ops.service.announcement import announce, listening
from ops.service.metrics_page import describe_process
from ops.service.reload import reloading
from ops.service.run import Signals, run_service
from ops.service.running_configuration import begun
from ops.service.source import LoadedConfiguration, SettingsSource, write_current_text, write_started_text
from ops.service.workers.admin import joint_pages
from ops.service.workers.pool import WorkerFaultError, Workers
from ops.service.workers.worker import Worker
from schemas.sections.programs import IngestSettings, ProcessSettings

_EXIT_CONFIGURATION = 2


@dataclass(frozen=True, slots=True)
class ParentPlan:
    """What a parent runs `count` times: `verb` with its arguments, and the settings that `source` gave at the start."""

    verb: Sequence[str]
    count: int
    source: SettingsSource
    first: LoadedConfiguration
    ports: IngestSettings | ProcessSettings
    grace_s: float
    environ: Mapping[str, str] = field(default_factory=dict)


def supervise(parent: ParentPlan) -> None:
    """Runs the workers until a signal stops them.

    Raises:
        typer.Exit: with 2, when a worker could not use its configuration; the worker has logged why.
    """

    async def main(signals: Signals) -> None:
        with _private_folder() as folder:
            await _run(parent, folder, signals)

    try:
        run_service(main, parent.first.settings, reloads=True)
    except WorkerFaultError as error:
        raise typer.Exit(_EXIT_CONFIGURATION) from error


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Makes a folder that only this process and its workers can open, for as long as the block."""
    with tempfile.TemporaryDirectory(prefix="dropstream-", ignore_cleanup_errors=True) as folder:
        # systemd-tmpfiles removes old folders, unless they are locked:
        # https://www.freedesktop.org/software/systemd/man/latest/tmpfiles.d.html
        held = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_SH)
            yield Path(folder)
        finally:
            os.close(held)


async def _run(parent: ParentPlan, folder: Path, signals: Signals) -> None:
    registry = CollectorRegistry()
    describe_process(registry)
    write_started_text(folder, parent.first.text)
    members = [Worker(folder / str(number)) for number in range(parent.count)]
    arguments = (*parent.verb, "--config", str(parent.source.file))
    workers = Workers(members, arguments, grace_s=parent.grace_s, registry=registry, environ=parent.environ)

    running = begun(parent.source.file, parent.first.text)

    def pass_on(loaded: LoadedConfiguration) -> None:
        write_current_text(folder, loaded.text)
        workers.reload()

    async with (
        admin_port(parent.ports.admin_host, parent.ports.admin_port, joint_pages(members, registry, running)) as admin,
        reloading(
            parent.source,
            parent.first.settings,
            signals.reload,
            registry=registry,
            prepare=lambda loaded: partial(pass_on, loaded),
            running=running,
        ),
    ):
        places = {"admin": (parent.ports.admin_host, admin)}
        if isinstance(parent.ports, IngestSettings):
            port = int(parent.environ.get("DROPSTREAM_INGEST__PORT", parent.ports.port))
            places["webhooks"] = (parent.ports.host, port)
        announce(parent.verb[0], parent.first.settings, parent.source.file, listening(places), workers=parent.count)
        await workers.run(signals.stopping)
