"""Runs the parts of an audit in processes of their own, one a core, and ends them with itself.

A worker gets its part on its standard input, and says on its standard output how far it is, then what it found: pickled
messages, each with its length before it. The end of its input means that the parent is gone.
"""

import asyncio
import contextlib
import os
import pickle
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ops.audit.partitions import audit_part
from ops.audit.reading.writer_opener import Part
from ops.audit.tally import PartFound
from ops.event_loop import run
from ops.parent import follow_parent
from schemas.errors import DropstreamError

_LENGTH = struct.Struct(">I")
_PROGRESS_EVERY = 2_000
_END_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class _Failed:
    """What a worker says where its part could not be judged."""

    sentence: str


async def audit_in_processes(parts: Sequence[Part], on_deliveries: Callable[[int], None]) -> PartFound:
    """What all parts found, each in a process of its own.

    Raises:
        DropstreamError: a part failed, or its process ended early.
    """
    found = PartFound()
    try:
        async with asyncio.TaskGroup() as together:
            tasks = [together.create_task(_audit_elsewhere(part, on_deliveries)) for part in parts]
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    for task in tasks:
        found.add(task.result())
    return found


async def _audit_elsewhere(part: Part, on_deliveries: Callable[[int], None]) -> PartFound:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from ops.audit.workers import main; main()",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is the parent's to hear.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        return await _serve(process, part, on_deliveries)
    finally:
        if process.returncode is None:
            process.kill()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _END_WITHIN_S)


async def _serve(process: asyncio.subprocess.Process, part: Part, on_deliveries: Callable[[int], None]) -> PartFound:
    if process.stdin is None or process.stdout is None:
        raise DropstreamError("a process of the audit has no pipes")
    # One that has died already is told below, by its exit.
    with contextlib.suppress(ConnectionError):
        process.stdin.write(_framed(part))
        await process.stdin.drain()
    while True:
        try:
            (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
            said = pickle.loads(await process.stdout.readexactly(length))  # noqa: S301 our own process wrote it
        except asyncio.IncompleteReadError:
            raise DropstreamError(
                f"a process of the audit ended early, with {await process.wait()}; was it out of memory? "
                "give the audit less at once with --from and --to, or fewer --workers"
            ) from None
        if isinstance(said, _Failed):
            raise DropstreamError(said.sentence)
        if isinstance(said, PartFound):
            return said
        on_deliveries(said)


def main() -> None:
    """The life of a worker."""
    source = sys.stdin.buffer
    (length,) = _LENGTH.unpack(source.read(_LENGTH.size))
    part = pickle.loads(source.read(length))  # noqa: S301 our own parent wrote it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    said = 0

    def on_deliveries(count: int) -> None:
        nonlocal said
        said += count
        if said >= _PROGRESS_EVERY:
            _say(said)
            said = 0

    try:
        found = run(audit_part(part, on_deliveries))
    except DropstreamError as error:
        _say(_Failed(str(error)))
    else:
        _say(said)
        _say(found)


def _end_with_parent() -> None:
    follow_parent()
    os._exit(1)


def _say(message: object) -> None:
    sys.stdout.buffer.write(_framed(message))
    sys.stdout.buffer.flush()


def _framed(message: object) -> bytes:
    packed = pickle.dumps(message)
    return _LENGTH.pack(len(packed)) + packed
