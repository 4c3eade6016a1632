"""The open door of the ingress, without Kafka: real connections, and a memory of what was taken in place of a broker.

Each input goes through a connection of its own, a pair of connected sockets; what was answered is compared with what
was taken, and both with what the bytes mean to `tests.http.reference`.
"""

import asyncio
import logging
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from ingest.answer_counter import AnswerCounter
from ingest.answers import Outcome
from ingest.budgets import ByteBudget, Reservation
from ingest.endpoints import EndpointTable
from ingest.failure_budget import FailureBudgets
from ingest.http.limits import connection_limits
from ingest.http.server import ConnectionServer
from ingest.metrics import IngestMetrics
from ingest.receive import Receiver, Stamps
from ingest.throttled_log import ThrottledLog
from schemas.configuration import Context, read_configuration
from schemas.delivery import PendingRecord
from tests.http.inputs import Input, make_input
from tests.http.reference import Request, read_requests
from tests.support.waiting import PATIENCE_S

_CONFIGURATION = """
[ingest]
body_bytes_max = 4096
# A busy machine may keep this process from its processor for seconds; no clock is to end a connection.
header_timeout_ms = 600_000
answer_timeout_ms = 600_000
keep_alive_ms = 600_000
body_timeout_ms = 600_000
body_bytes_per_second_min = 1

[endpoints.acme]
provider = "shipstream"
secrets = ["env:SECRET"]

[endpoints.guarded]
provider = "shipstream"
secrets = ["env:SECRET"]
token = ["env:NEW", "env:TOKEN"]
"""
_ENVIRON = {"SECRET": "x", "TOKEN": "a-token", "NEW": "a-newer-token"}
_ANSWER = re.compile(
    rb"HTTP/(?:1\.[01]|(?:0\.9|2\.0)(?= 400 )) (?:"
    rb"(?P<interim>100) Continue\r\n"
    rb"|(?P<status>[0-9]{3}) [A-Za-z ]+\r\n(?:(?:Server: dropstream|Dropstream-Delivery: (?P<id>[0-9]+)|Allow: [A-Z, ]+"
    rb"|Retry-After: [0-9]+|Content-Length: 0|Date: [A-Za-z0-9:, ]+|Connection: (?:close|keep-alive))\r\n)+"
    rb")\r\n"
)
_ALLOWED = frozenset({100, 200, 400, 404, 405, 408, 413})
# In turns of the loop: to read what was sent, and to answer it.
_READ_TURNS = 3
_ANSWER_TURNS = 24

_taken: ContextVar[list[PendingRecord]] = ContextVar("taken")


class Memory:
    """Takes every delivery, for the input whose connection it came through; now and then it takes its time."""

    def __init__(self) -> None:
        self._number = 0

    def store(self, record: PendingRecord, reservation: Reservation, on_outcome: Callable[[Outcome], None]) -> None:
        """Durable enough for here: the record is on the input's list, at once or a turn of the loop later."""
        self._number += 1
        _taken.get().append(record)
        if self._number % 3 == 0:
            asyncio.get_running_loop().call_soon(on_outcome, Outcome.STORED)
        else:
            on_outcome(Outcome.STORED)
        reservation.release()


@dataclass(slots=True)
class Tally:
    """What became of all inputs so far; `broken` names each broken law with the number of its input."""

    inputs: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    deliveries: int = 0
    tracebacks: int = 0
    broken: list[tuple[int, str]] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether every law was kept, and nothing was logged that asks for a programmer."""
        return not self.broken and not self.tracebacks


class Door:
    """An ingress that one can send inputs to; inside a running loop, in `quiet_logs`."""

    def __init__(self) -> None:
        settings = read_configuration(_CONFIGURATION, source="test", context=Context(_ENVIRON, ["shipstream"]))
        metrics = IngestMetrics(CollectorRegistry())
        numbers = count(1)
        self.budget = ByteBudget(settings.ingest.in_flight_bytes_max)
        self.receiver = Receiver(
            settings.ingest,
            endpoints=EndpointTable(settings.endpoints, now=time.monotonic),
            store=Memory(),
            budget=self.budget,
            stamps=Stamps(new_id=lambda: next(numbers), now_us=lambda: time.time_ns() // 1_000),
            counter=AnswerCounter(
                metrics,
                throttled_log=ThrottledLog(now=time.monotonic),
                failure_budgets=FailureBudgets({}, providers=dict, now=time.time),
            ),
        )
        limits = connection_limits(settings.ingest)
        self.server = ConnectionServer(self.receiver, limits=limits, metrics=metrics)

    async def feed_all(self, numbers: Iterable[int], *, seed: int, tally: Tally, together: int = 32) -> None:
        """Feeds the inputs of these numbers, so many at a time, and waits until nothing of them is left."""
        rest = iter(numbers)

        async def feed_some() -> None:
            for number in rest:
                await self.feed(number, make_input(seed, number), tally)

        async with asyncio.TaskGroup() as clients:
            for _ in range(together):
                clients.create_task(feed_some())
        async with asyncio.timeout(PATIENCE_S):
            while self.server.open_count or self.receiver.in_progress or self.budget.held_bytes:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Ends what looks after the connections."""
        await self.server.shutdown(0)

    async def feed(self, number: int, given: Input, tally: Tally) -> None:
        """Sends the input, reads the answers, and adds both to the tally, with each law that was broken."""
        line, taken = await self.connect()
        answers = await _converse(line, given)
        heads = list(_ANSWER.finditer(answers))
        statuses = [int(head["interim"] or head["status"]) for head in heads]
        tally.inputs += 1
        tally.deliveries += len(taken)
        tally.answers.update(statuses)
        if b"".join(head[0] for head in heads) != answers:
            tally.broken.append((number, f"answered what is no answer of ours: {answers!r}"))
        if not set(statuses) <= _ALLOWED:
            tally.broken.append((number, f"answered {statuses}"))
        ids = [head["id"].decode() for head in heads if head["id"]]
        tally.broken += [(number, law) for law in broken_laws(given, taken, ids)]

    async def connect(self) -> tuple[socket.socket, list[PendingRecord]]:
        """A connection to the ingress, which the caller closes, and what will be taken through it."""
        taken: list[PendingRecord] = []
        _taken.set(taken)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(self.server, theirs)
        return ours, taken


async def _converse(line: socket.socket, given: Input) -> bytes:
    """The bytes of all answers; none where the client leaves."""
    with line:
        try:
            for segment in given.segments:
                line.send(segment)  # Fits: an input is shorter than the buffer of a socket.
                await _turns(_READ_TURNS)
        except ConnectionError:
            pass  # Refused before all of it was sent.
        answers = b"" if given.leaves else await _all_answers(line)
    await _turns(_ANSWER_TURNS)
    return answers


def broken_laws(given: Input, taken: list[PendingRecord], answered_ids: list[str]) -> Iterator[str]:
    """What must hold of the deliveries `taken` from an input, and of the ids in the answers 200 to it."""
    taken_ids = [dict(record.headers)["dropstream-delivery"].decode() for record in taken]
    if answered_ids != taken_ids[: len(answered_ids) if given.leaves else None]:
        yield f"took {taken_ids} and answered 200 to {answered_ids}"
    meant = iter(read_requests(given.content))
    for record in taken:
        if not any(_is_of(request, record) for request in meant):
            yield f"took {record.value!r} for {record.endpoint}, which nobody sent there"
            return
    if given.deliveries is not None and tuple(record.value for record in taken) != given.deliveries:
        yield f"took {len(taken)} of {len(given.deliveries)} valid deliveries"


def _is_of(request: Request, record: PendingRecord) -> bool:
    return request.goes_to(record.endpoint) and request.body == record.value


async def _turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def _all_answers(line: socket.socket) -> bytes:
    """What comes until nothing does for as long as an answer takes; in turns of the loop, so no clock decides."""
    content, silent_turns = b"", 0
    while silent_turns < _ANSWER_TURNS:
        await _turns(_READ_TURNS)
        received = _received(line)
        content += received
        silent_turns = 0 if received else silent_turns + _READ_TURNS
    return content


def _received(line: socket.socket) -> bytes:
    content = b""
    try:
        while chunk := line.recv(65_536):
            content += chunk
    except (BlockingIOError, ConnectionError):
        return content
    return content


@contextmanager
def quiet_logs(tally: Tally) -> Iterator[None]:
    """Nothing is printed; whatever would be a traceback, a warning or an error is counted and told once."""

    def told(words: str) -> None:
        tally.tracebacks += 1
        if tally.tracebacks <= 10:
            tally.broken.append((-1, f"logged {words}"))

    def structured(_logger: Any, method: str, event: Any) -> Any:
        if method not in {"info", "debug"} or event.get("exc_info"):
            told(repr(event))
        raise structlog.DropEvent

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told(f"{record.name}: {record.getMessage()} {record.exc_info}")

    before, handler, root = structlog.get_config(), Handler(logging.WARNING), logging.getLogger()
    structlog.configure(processors=[structured])
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        structlog.configure(**before)
