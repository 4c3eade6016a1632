"""Reads the configuration of a long-running service at its start, and again on SIGHUP.

Only endpoints, with their secrets and tokens, take effect while the service runs. A file with a fault changes nothing;
a setting of another table waits for a restart, and is named in the log.

Ten thousand endpoints take seconds to read. A thread reads them and prepares what follows from them; it takes turns
with the event loop often, so that the service answers meanwhile, and only the change itself happens on the loop.
"""

import asyncio
import contextlib
import gc
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from ops.configuration import read_settings, read_text
from ops.event_loop import running_beside
from ops.service.announcement import warn_of_secrets, weak_secrets
from ops.service.running_configuration import RunningConfiguration
from schemas.errors import ConfigurationError
from schemas.sections.endpoints import EndpointSettings
from schemas.sections.values import Section
from schemas.settings import Settings

# Secrets may lie on a file system that hangs; ten thousand endpoints take seconds without that.
_READ_WITHIN_S = 30.0
# How long the reading thread may keep the interpreter to itself: by default 5 ms, of which an answer needs many.
_SWITCH_S = 0.0002
# The files that a parent writes for its workers.
_STARTED, _CURRENT, _NEXT = "started.toml", "current.toml", "next.toml"

_log = structlog.get_logger()

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class LoadedConfiguration:
    """The text of a configuration and its settings, as they were read at one time."""

    text: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class SettingsSource:
    """The file that the settings are read from, again and again.

    `file` is the one that a person edits, and named in every fault. A worker reads its worker_texts from its parent's
    `folder` instead, so that all workers have the same and a broken file keeps none of them from starting.
    """

    file: Path
    signing_secrets: bool
    folder: Path | None = None

    def read(self) -> LoadedConfiguration:
        """The settings as they are now.

        Raises:
            ConfigurationError: names every fault at once.
        """
        text = read_text(self.file if self.folder is None else self.folder / _CURRENT)
        settings = read_settings(
            text,
            source=str(self.file),
            environ=os.environ,
            signing_secrets=self.signing_secrets,
            started=None if self.folder is None else read_text(self.folder / _STARTED),
        )
        return LoadedConfiguration(text, settings)


def write_started_text(folder: Path, text: str) -> None:
    """Writes for workers the text that the parent started with."""
    (folder / _STARTED).write_text(text, encoding="utf-8")
    write_current_text(folder, text)


def write_current_text(folder: Path, text: str) -> None:
    """Writes for workers the text whose endpoints count from now on; a reader sees the old text or the new one."""
    written = folder / _NEXT
    written.write_text(text, encoding="utf-8")
    written.replace(folder / _CURRENT)


def worker_texts(folder: Path) -> tuple[Path, ...]:
    """Every file that a parent writes into `folder` for its workers."""
    return folder / _STARTED, folder / _CURRENT, folder / _NEXT


class ReloadMetrics:
    """Metrics of the reloads of the configuration; the first read, at the start, counts as good."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reloads = Counter(
            "dropstream_config_reloads", "The configuration read again, by result.", ["result"], registry=registry
        )
        for result in ("ok", "failed"):
            self._reloads.labels(result)
        self._sound = Gauge(
            "dropstream_config_reload_sound",
            "0 where the configuration was refused when it was last read; the one before is in use.",
            registry=registry,
        )
        self._sound.set(1)
        self._loaded_at = Gauge(
            "dropstream_config_loaded_timestamp_seconds", "When the configuration in use was read.", registry=registry
        )
        self._loaded_at.set_to_current_time()

    def taken(self) -> None:
        """Counts a reload whose configuration is in use now."""
        self._reloads.labels("ok").inc()
        self._sound.set(1)
        self._loaded_at.set_to_current_time()

    def refused(self) -> None:
        """Counts a reload whose configuration had a fault."""
        self._reloads.labels("failed").inc()
        self._sound.set(0)


@asynccontextmanager
async def reloading(
    source: SettingsSource,
    first: Settings,
    asked: asyncio.Event,
    *,
    registry: CollectorRegistry,
    prepare: Callable[[LoadedConfiguration], Callable[[], None]],
    running: RunningConfiguration,
) -> AsyncIterator[None]:
    """Inside, each time that `asked` is set, reads `source` and gives `prepare` the configuration if it has no fault.

    `running` is told of each, for the admin port.

    `prepare` is called in a thread, and changes nothing; what it returns is called on the event loop, and does.
    """
    metrics = ReloadMetrics(registry)

    async def follow() -> None:
        known = first
        while True:
            await asked.wait()
            asked.clear()
            try:
                with _taking_turns():
                    async with asyncio.timeout(_READ_WITHIN_S):
                        loaded, apply, changes, weak = await _in_thread(partial(_read, source, known, prepare))
                apply()
            except Exception as error:  # noqa: BLE001 a reload that fails, however, changes nothing
                metrics.refused()
                faults = _faults(error)
                running.refused(faults, datetime.now(UTC))
                _log.error("configuration_refused", file=str(source.file), faults=faults, in_use="the one before")
                continue
            metrics.taken()
            running.taken(loaded.text, datetime.now(UTC))
            _log_changes(source, changes, first, loaded.settings)
            warn_of_secrets(weak)
            known = loaded.settings

    async with running_beside(follow()):
        yield


# Endpoints take effect on SIGHUP, in the console the people and their tokens too; accounts are for the verbs of a
# person, which read them at each call.
_READ_AGAIN = frozenset({"endpoints", "shipstream", "console.people", "console.token"})


def restart_needed(before: Settings, after: Settings) -> list[str]:
    """The keys that differ and that a running process reads only at its start, in the order of the settings."""
    return [
        key
        for name in type(before).model_fields
        for key in _different_keys(name, getattr(before, name), getattr(after, name))
        if not {name, key} & _READ_AGAIN
    ]


def _different_keys(name: str, before: object, after: object) -> Iterator[str]:
    """The keys of a table that differ, or `name` itself where it is a key of no table."""
    if isinstance(before, Section):
        yield from (f"{name}.{key}" for key in type(before).model_fields if getattr(before, key) != getattr(after, key))
    elif before != after:
        yield name


def _faults(error: Exception) -> tuple[str, ...]:
    if isinstance(error, ConfigurationError):
        return error.faults
    if isinstance(error, TimeoutError):
        return (f"not read within {_READ_WITHIN_S:.0f} s; look at the disks that hold it and its secrets",)
    return (repr(error),)


def _read(
    source: SettingsSource, known: Settings, prepare: Callable[[LoadedConfiguration], Callable[[], None]]
) -> tuple[LoadedConfiguration, Callable[[], None], dict[str, list[str]], list[str]]:
    """The configuration, what applies it, which endpoints changed, by how, and which secrets are weak."""
    loaded = source.read()
    changes = dict(_changes(known.endpoints, loaded.settings.endpoints))
    return loaded, prepare(loaded), changes, weak_secrets(loaded.settings)


@contextlib.contextmanager
def _taking_turns() -> Iterator[None]:
    """Inside, a busy thread keeps the interpreter from the event loop only for moments.

    No search for cyclic garbage runs meanwhile, for it would look through all that is read, at one go. What was read
    stays, and is exempt from later searches, like the first configuration (`ops.service.run`).
    """
    switch_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        sys.setswitchinterval(switch_s)


async def _in_thread(call: Callable[[], Result]) -> Result:
    """The result of `call`, from a thread that a stop does not wait for (that of an executor is waited for)."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(loaded: Result | None, error: Exception | None) -> None:
        if future.done():
            return
        if loaded is not None:
            future.set_result(loaded)
        else:
            future.set_exception(error or RuntimeError("nothing was read"))

    def work() -> None:
        loaded, failure = None, None
        try:
            loaded = call()
        except Exception as error:  # noqa: BLE001 it is raised where it is awaited
            failure = error
        with contextlib.suppress(RuntimeError):  # The loop has ended meanwhile.
            loop.call_soon_threadsafe(settle, loaded, failure)

    threading.Thread(target=work, name="configuration", daemon=True).start()
    return await future


def _log_changes(source: SettingsSource, changes: Mapping[str, list[str]], first: Settings, after: Settings) -> None:
    shown = {what: names for what, names in changes.items() if names}
    _log.info("configuration_reloaded", file=str(source.file), endpoints=len(after.endpoints), **shown)
    if keys := restart_needed(first, after):
        _log.warning("restart_needed", file=str(source.file), keys=keys)


def _changes(
    before: Mapping[str, EndpointSettings], after: Mapping[str, EndpointSettings]
) -> Iterator[tuple[str, list[str]]]:
    yield "added", sorted(after.keys() - before.keys())
    yield "removed", sorted(before.keys() - after.keys())
    yield "changed", sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
