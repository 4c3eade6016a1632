"""Reads a configuration in a process of its own, which gives way to the service that asked for it.

Ten thousand endpoints are more than a second of work. In a thread of the service every answer would wait for turns of
the interpreter; another process shares nothing but the processor, and is nice about that. A small file is not worth the
start of an interpreter: who asks decides that.

What was read comes back through a pipe, with the secrets in it; nothing of it touches a disk.
"""

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from ops import interpreter
from ops.service.announcement import weak_secrets
from ops.service.source import LoadedConfiguration, SettingsSource
from schemas.errors import ConfigurationError
from schemas.sections.endpoints import EndpointSettings

# A tenth of what a delivery gets of a busy processor.
_NICE = 10
_PART = 50


@dataclass(frozen=True, slots=True)
class ReadConfiguration:
    """A configuration that was read, and a sentence for each of its secrets that is weak."""

    loaded: LoadedConfiguration
    weak: list[str]


@dataclass(frozen=True, slots=True)
class _Refused:
    """The faults of a configuration."""

    source: str
    faults: tuple[str, ...]


def read_here(source: SettingsSource) -> ReadConfiguration:
    """Reads in this thread.

    Raises:
        ConfigurationError: names every fault at once.
    """
    loaded = source.read()
    return ReadConfiguration(loaded, weak_secrets(loaded.settings))


async def read_beside(source: SettingsSource) -> Callable[[], ReadConfiguration]:
    """Reads in a process of its own; returns what makes the answer of its bytes, which a thread may do.

    A cancelled call leaves no process behind.

    Raises:
        ConfigurationError: names every fault at once; or the process ended without an answer.
    """
    process = await asyncio.create_subprocess_exec(
        # Nice from its first moment, for its imports are most of its work.
        *interpreter.command("-c", f"import os; os.nice({_NICE}); from {__name__} import answer_once; answer_once()"),
        env={**os.environ, **interpreter.variables()},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # What a terminal sends to the service is not for the reader.
        start_new_session=True,
    )
    try:
        answer, _ = await process.communicate(pickle.dumps(source))
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    if process.returncode:
        raise ConfigurationError(str(source.file), (f"the process that read it {_end_of(process.returncode)}",))
    return lambda: _unpacked(answer)


def _unpacked(answer: bytes) -> ReadConfiguration:
    read, parts = pickle.loads(answer)  # noqa: S301 this process's own child wrote it
    if isinstance(read, _Refused):
        raise ConfigurationError(read.source, read.faults)
    if not isinstance(read, ReadConfiguration):
        raise TypeError("the process that reads the configuration gave no configuration")
    endpoints: dict[str, EndpointSettings] = {}
    for part in parts:
        endpoints |= pickle.loads(part)  # noqa: S301 as above
    settings = read.loaded.settings.model_copy(update={"endpoints": endpoints})
    return replace(read, loaded=replace(read.loaded, settings=settings))


def _end_of(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def answer_once() -> None:
    """Answers the request of `read_beside` that comes through standard input; this is the whole of its process."""
    sys.stdout.buffer.write(_answer(sys.stdin.buffer.read()))


def _answer(request: bytes) -> bytes:
    source = pickle.loads(request)  # noqa: S301 this process's own parent wrote it
    try:
        read = read_here(source)
    except ConfigurationError as error:
        return pickle.dumps((_Refused(error.source, error.faults), ()))
    endpoints = list(read.loaded.settings.endpoints.items())
    # A call of `loads` keeps the interpreter to itself until it ends: so it is given a few endpoints at a time.
    parts = [pickle.dumps(dict(endpoints[first : first + _PART])) for first in range(0, len(endpoints), _PART)]
    bare = read.loaded.settings.model_copy(update={"endpoints": {}})
    return pickle.dumps((replace(read, loaded=replace(read.loaded, settings=bare)), parts))
