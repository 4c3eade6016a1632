"""Reads the configuration of a long-running service at its start, and again on SIGHUP.

Only endpoints, with their secrets and tokens, take effect while the service runs. A file with a fault changes nothing;
a setting of another table waits for a restart, and is named in the log.

Ten thousand endpoints take seconds to read. Another process reads them (`ops.service.reading`), and a thread prepares
what follows from them; it takes turns with the event loop often, so that the service answers meanwhile, and only the
change itself happens on the loop.
"""

import asyncio
import contextlib
import gc
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from ops.event_loop import running_beside
from ops.service.announcement import warn_of_secrets
from ops.service.reading import ReadConfiguration, read_beside, read_here
from ops.service.running_configuration import RunningConfiguration
from ops.service.source import LoadedConfiguration, SettingsSource
from schemas.errors import ConfigurationError
from schemas.sections.endpoints import EndpointSettings
from schemas.sections.values import Section
from schemas.settings import Settings

# Secrets may lie on a file system that hangs; else ten thousand endpoints take seconds, on a busy machine many.
_READ_WITHIN_S = 60.0
# How long the reading thread may keep the interpreter to itself: by default 5 ms, of which an answer needs many.
_SWITCH_S = 0.0002
# A larger file is read by another process: up to here, a few hundred endpoints, reading is less work than its start.
_READ_HERE_BYTES = 65_536

_log = structlog.get_logger()

Result = TypeVar("Result")


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
                async with asyncio.timeout(_READ_WITHIN_S):
                    unpack = await _reading(source)
                    with _taking_turns():
                        news = await _in_thread(partial(_prepare, unpack, known, prepare))
                news.apply()
            except Exception as error:  # noqa: BLE001 a reload that fails, however, changes nothing
                metrics.refused()
                faults = _faults(error)
                running.refused(faults, datetime.now(UTC))
                _log.error("configuration_refused", file=str(source.file), faults=faults, in_use="the one before")
                continue
            metrics.taken()
            running.taken(news.read.loaded.text, datetime.now(UTC))
            _log_changes(source, news.changes, first, news.read.loaded.settings)
            warn_of_secrets(news.read.weak)
            known = news.read.loaded.settings

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


@dataclass(frozen=True, slots=True)
class _News:
    """A configuration that was read, what applies it, and which endpoints changed, by how."""

    read: ReadConfiguration
    apply: Callable[[], None]
    changes: Mapping[str, list[str]]


async def _reading(source: SettingsSource) -> Callable[[], ReadConfiguration]:
    """What gives the configuration, in a thread; for a large one another process has done the work."""
    if await _in_thread(source.size_bytes) > _READ_HERE_BYTES:
        return await read_beside(source)
    return partial(read_here, source)


def _prepare(
    unpack: Callable[[], ReadConfiguration],
    known: Settings,
    prepare: Callable[[LoadedConfiguration], Callable[[], None]],
) -> _News:
    read = unpack()
    changes = dict(_changes(known.endpoints, read.loaded.settings.endpoints))
    return _News(read, prepare(read.loaded), changes)


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
