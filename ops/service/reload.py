"""The configuration of a long-running part: read at its start, and again whenever it is told to.

Only endpoints, with their secrets and tokens, take effect while it runs. A file that cannot be used changes nothing; a
setting of another table waits for a restart, and is named.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from ops.configuration import read_settings, read_text
from ops.event_loop import running_beside
from schemas.errors import ConfigurationError
from schemas.settings import EndpointSettings, Settings

# Secrets may lie on a file system that hangs.
_READ_WITHIN_S = 10.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read at one time."""

    text: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class SettingsSource:
    """Where the settings come from, time and again.

    `file` is the one that a person edits, and named in every fault. A worker reads its texts from its parent's
    `folder` instead, so that all workers have the same and a broken file keeps none of them from starting.
    """

    file: Path
    signing_secrets: bool
    folder: Path | None = None

    def read(self) -> Reading:
        """The settings as they are now.

        Raises:
            ConfigurationError: names every fault at once.
        """
        text = read_text(self.file if self.folder is None else _current(self.folder))
        settings = read_settings(
            text,
            source=str(self.file),
            environ=os.environ,
            signing_secrets=self.signing_secrets,
            started=None if self.folder is None else read_text(_started(self.folder)),
        )
        return Reading(text, settings)


def give_started(folder: Path, text: str) -> None:
    """Lays down for workers what the parent started with."""
    _started(folder).write_text(text, encoding="utf-8")
    give_current(folder, text)


def give_current(folder: Path, text: str) -> None:
    """Lays down for workers the text whose endpoints count from now on; a reader sees the old one or the new one."""
    written = _next(folder)
    written.write_text(text, encoding="utf-8")
    written.replace(_current(folder))


def texts(folder: Path) -> tuple[Path, ...]:
    """Every file that is laid down in `folder`."""
    return _started(folder), _current(folder), _next(folder)


class ReloadMetrics:
    """What is told of readings of the configuration; the first one, at the start, was good."""

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
        """A reading is in use."""
        self._reloads.labels("ok").inc()
        self._sound.set(1)
        self._loaded_at.set_to_current_time()

    def refused(self) -> None:
        """A reading was not usable."""
        self._reloads.labels("failed").inc()
        self._sound.set(0)


@asynccontextmanager
async def reloading(
    source: SettingsSource,
    first: Settings,
    asked: asyncio.Event,
    *,
    registry: CollectorRegistry,
    apply: Callable[[Reading], None],
) -> AsyncIterator[None]:
    """Inside, `apply` is given what `source` says each time that `asked` is set, unless it has a fault."""
    metrics = ReloadMetrics(registry)

    async def follow() -> None:
        known = first
        while True:
            await asked.wait()
            asked.clear()
            try:
                async with asyncio.timeout(_READ_WITHIN_S):
                    reading = await _beside(source.read)
                apply(reading)
            except Exception as error:  # noqa: BLE001 a reload that fails, however, changes nothing
                metrics.refused()
                faults = _faults(error)
                _log.error("configuration_refused", file=str(source.file), faults=faults, in_use="the one before")
                continue
            metrics.taken()
            _tell(source, known, first, reading.settings)
            known = reading.settings

    async with running_beside(follow()):
        yield


# The endpoints are read again on SIGHUP; accounts are for the verbs of a person, which read them each time.
_READ_ANEW = frozenset({"endpoints", "shipstream"})


def restart_needed(before: Settings, after: Settings) -> list[str]:
    """The keys that a running process stands on and that differ, in the order of the settings."""
    return [
        f"{table}.{key}"
        for table in type(before).model_fields
        if table not in _READ_ANEW
        for key in type(getattr(before, table)).model_fields
        if getattr(getattr(before, table), key) != getattr(getattr(after, table), key)
    ]


def _faults(error: Exception) -> tuple[str, ...]:
    if isinstance(error, ConfigurationError):
        return error.faults
    if isinstance(error, TimeoutError):
        return (f"not read within {_READ_WITHIN_S:.0f} s; look at the disks that hold it and its secrets",)
    return (repr(error),)


async def _beside(call: Callable[[], Reading]) -> Reading:
    """The result of `call`, from a thread that a stop does not wait for (that of an executor is waited for)."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Reading] = loop.create_future()

    def settle(reading: Reading | None, error: Exception | None) -> None:
        if future.done():
            return
        if reading is not None:
            future.set_result(reading)
        else:
            future.set_exception(error or RuntimeError("nothing was read"))

    def work() -> None:
        reading, failure = None, None
        try:
            reading = call()
        except Exception as error:  # noqa: BLE001 it is raised where it is awaited
            failure = error
        with contextlib.suppress(RuntimeError):  # The loop has ended meanwhile.
            loop.call_soon_threadsafe(settle, reading, failure)

    threading.Thread(target=work, name="configuration", daemon=True).start()
    return await future


def _tell(source: SettingsSource, before: Settings, first: Settings, after: Settings) -> None:
    changes = {what: names for what, names in _changes(before.endpoints, after.endpoints) if names}
    _log.info("configuration_reloaded", file=str(source.file), endpoints=len(after.endpoints), **changes)
    if keys := restart_needed(first, after):
        _log.warning("restart_needed", file=str(source.file), keys=keys)


def _changes(
    before: Mapping[str, EndpointSettings], after: Mapping[str, EndpointSettings]
) -> Iterator[tuple[str, list[str]]]:
    yield "added", sorted(after.keys() - before.keys())
    yield "removed", sorted(before.keys() - after.keys())
    yield "changed", sorted(name for name in before.keys() & after.keys() if before[name] != after[name])


def _started(folder: Path) -> Path:
    return folder / "started.toml"


def _current(folder: Path) -> Path:
    return folder / "current.toml"


def _next(folder: Path) -> Path:
    return folder / "next.toml"
