"""Runs the assignments of an audit in processes of their own, which end with this one.

A worker reads its assignment from its standard input, and writes to its standard output how far it is, then its tally:
pickled messages, each with its length before it.
"""

import asyncio
import contextlib
import os
import pickle
import struct
import sys
import threading
from collections.abc import Callable, Sequence

from ops import interpreter
from ops.audit.assignment import AuditAssignment
from ops.audit.partitions import audit_partitions
from ops.audit.tally import AuditTally
from ops.event_loop import run
from ops.kafka.partitions import UnreadablePartitionError
from ops.parent import follow_parent
from schemas.errors import DropstreamError

_LENGTH = struct.Struct(">I")
_PROGRESS_EVERY = 2_000
_END_WITHIN_S = 5.0


async def audit_in_processes(
    assignments: Sequence[AuditAssignment], on_deliveries: Callable[[int], None]
) -> AuditTally:
    """The tally of all assignments, each judged in a process of its own.

    Raises:
        DropstreamError: an assignment could not be judged, or its process ended early.
    """
    tally = AuditTally()
    try:
        async with asyncio.TaskGroup() as together:
            tasks = [together.create_task(_audit_elsewhere(assignment, on_deliveries)) for assignment in assignments]
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    for task in tasks:
        tally.add(task.result())
    return tally


async def _audit_elsewhere(assignment: AuditAssignment, on_deliveries: Callable[[int], None]) -> AuditTally:
    process = await asyncio.create_subprocess_exec(
        *interpreter.command("-c", "from ops.audit.workers import main; main()"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is the parent's to hear.
        env={**os.environ, **interpreter.variables()},
    )
    try:
        return await _serve(process, assignment, on_deliveries)
    finally:
        if process.returncode is None:
            process.kill()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_WITHIN_S):
                    await process.wait()


async def _serve(
    process: asyncio.subprocess.Process, assignment: AuditAssignment, on_deliveries: Callable[[int], None]
) -> AuditTally:
    if process.stdin is None or process.stdout is None:
        raise DropstreamError("a process of the audit has no pipes")
    # A worker that has died already is reported below, by its exit.
    with contextlib.suppress(ConnectionError):
        process.stdin.write(_framed(assignment))
        await process.stdin.drain()
    while True:
        try:
            (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
            message = pickle.loads(await process.stdout.readexactly(length))  # noqa: S301 our own process wrote it
        except asyncio.IncompleteReadError:
            raise DropstreamError(
                f"a process of the audit ended early, with {await process.wait()}; was it out of memory? "
                "give the audit less at once with --from and --to, or fewer --workers"
            ) from None
        if isinstance(message, DropstreamError):
            raise message
        if isinstance(message, AuditTally):
            return message
        on_deliveries(message)


def main() -> None:
    """Runs a worker: judges the assignment from standard input and writes the tally to standard output."""
    try:
        (length,) = _LENGTH.unpack(sys.stdin.buffer.read(_LENGTH.size))
        assignment = pickle.loads(sys.stdin.buffer.read(length))  # noqa: S301 our own parent wrote it
    except (struct.error, EOFError, pickle.UnpicklingError):
        return  # The parent has ended before it had written the assignment.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    unreported = 0

    def on_deliveries(count: int) -> None:
        nonlocal unreported
        unreported += count
        if unreported >= _PROGRESS_EVERY:
            _write(unreported)
            unreported = 0

    try:
        tally = run(audit_partitions(assignment, on_deliveries))
    except UnreadablePartitionError as error:
        _write(UnreadablePartitionError(str(error)))
    except DropstreamError as error:
        _write(DropstreamError(str(error)))
    else:
        _write(unreported)
        _write(tally)


def _end_with_parent() -> None:
    follow_parent()
    os._exit(1)


def _write(message: object) -> None:
    sys.stdout.buffer.write(_framed(message))
    sys.stdout.buffer.flush()


def _framed(message: object) -> bytes:
    packed = pickle.dumps(message)
    return _LENGTH.pack(len(packed)) + packed
