"""The load: one process, plain sockets and epoll, requests made beforehand; leaner than any server it loads.

Closed loop: every connection sends its next request when it has its answer; that finds saturation. Open loop: requests
are sent when their time has come, whatever the answers do, and the latency counts from that time, so a server that
stalls cannot hide what it made wait (coordinated omission).
"""

import json
import os
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle, repeat
from pathlib import Path
from typing import Any

from tests.bench.gauge import cpu_us, machine_cpu_us
from tests.bench.load.plan import Plan, Result
from tests.bench.load.requests import read_requests
from tests.bench.load.schedule import arrivals_ns
from tests.bench.report.figures import percentile

_SECOND_NS = 1_000_000_000
_LATE_ANSWERS_NS = 10 * _SECOND_NS
_CHUNK_BYTES = 65_536
_ID = b"Dropstream-Delivery: "
_ID_BYTES = 36


@dataclass(slots=True)
class _Line:
    """One connection and the request that it waits for."""

    sock: socket.socket
    due_ns: int = 0
    rest: memoryview | None = None
    heard: bytes = b""


@dataclass(slots=True)
class _Clock:
    """The processor times at one moment."""

    at_ns: int
    server_us: int
    own_us: int
    machine_us: int


@dataclass(slots=True)
class _Run:
    plan: Plan
    lines: dict[int, _Line]
    poller: Any
    idle: deque[_Line] = field(default_factory=deque)
    took_ns: list[int] = field(default_factory=list)
    late_ns: list[int] = field(default_factory=list)
    answers: list[tuple[str, int]] = field(default_factory=list)
    begin_ns: int = 0
    answered: int = 0
    acknowledged: int = 0
    failed: int = 0
    sent: int = 0

    def go(self, requests: Iterator[bytes]) -> Result:
        """Warms up, measures, waits for the last answers."""
        started = time.monotonic_ns()
        self.begin_ns = started + int(self.plan.warm_up_s * _SECOND_NS)
        rate = self.plan.rate
        due = (started + at for at in arrivals_ns(rate, seed=self.plan.seed)) if rate else repeat(0)
        self.idle.extend(self.lines.values())
        next_due = self._turn(requests, due, next(due), until_ns=self.begin_ns)
        self.answered = self.failed = 0
        before = self._clock()
        self._turn(requests, due, next_due, until_ns=before.at_ns + int(self.plan.measure_s * _SECOND_NS))
        after, answered = self._clock(), self.answered
        self._await_the_last()
        return self._result(before, after, answered)

    def _turn(self, requests: Iterator[bytes], due: Iterator[int], next_due: int, *, until_ns: int) -> int:
        """Sends and receives until then; when the next request is due."""
        while (now := time.monotonic_ns()) < until_ns and self.sent < self.plan.count:
            while self.idle and next_due <= now and self.sent < self.plan.count:
                line = self.idle.popleft()
                line.due_ns = next_due or time.monotonic_ns()
                if next_due >= self.begin_ns:
                    self.late_ns.append(now - next_due)
                self._send(line, next(requests))
                next_due = next(due)
            wait_ns = min(until_ns, next_due if self.idle else until_ns) - time.monotonic_ns()
            self._receive(max(0, wait_ns))
        while self.sent >= self.plan.count and len(self.idle) < len(self.lines) and time.monotonic_ns() < until_ns:
            self._receive(until_ns - time.monotonic_ns())
        return next_due

    def _await_the_last(self) -> None:
        until_ns = time.monotonic_ns() + _LATE_ANSWERS_NS
        while len(self.idle) < len(self.lines) and (left_ns := until_ns - time.monotonic_ns()) > 0:
            self._receive(left_ns)
        self.failed += len(self.lines) - len(self.idle)

    def _send(self, line: _Line, request: bytes) -> None:
        self.sent += 1
        try:
            count = line.sock.send(request)
        except BlockingIOError:
            count = 0
        if count < len(request):
            line.rest = memoryview(request)[count:]
            self.poller.modify(line.sock, select.EPOLLIN | select.EPOLLOUT)

    def _receive(self, wait_ns: int) -> None:
        # epoll itself waits in whole milliseconds; select on it does not.
        if wait_ns:
            select.select([self.poller], [], [], wait_ns / _SECOND_NS)
        for number, event in self.poller.poll(0):
            line = self.lines[number]
            if event & select.EPOLLOUT and line.rest is not None:
                line.rest = line.rest[line.sock.send(line.rest) :]
                if not line.rest:
                    line.rest = None
                    self.poller.modify(line.sock, select.EPOLLIN)
            if event & ~select.EPOLLOUT:
                self._hear(line)

    def _hear(self, line: _Line) -> None:
        """Takes a part of an answer; every answer here ends with its head."""
        part = line.sock.recv(_CHUNK_BYTES)
        if not part:
            raise ConnectionError("the server closed a connection")
        line.heard = head = line.heard + part
        if not head.endswith(b"\r\n\r\n"):
            return
        now = time.monotonic_ns()
        line.heard = b""
        self.idle.append(line)
        if not head.startswith(b"HTTP/1.1 200"):
            self.failed += 1
            return
        self.answered += 1
        self.acknowledged += 1
        if line.due_ns >= self.begin_ns:
            self.took_ns.append(now - line.due_ns)
        if self.plan.answers:
            at = head.index(_ID) + len(_ID)
            self.answers.append((head[at : at + _ID_BYTES].decode(), now))

    def _clock(self) -> _Clock:
        return _Clock(time.monotonic_ns(), cpu_us(self.plan.pids), cpu_us([os.getpid()]), machine_cpu_us())

    def _result(self, before: _Clock, after: _Clock, answered: int) -> Result:
        took, late = sorted(self.took_ns), sorted(self.late_ns) or [0]
        server_us, own_us = after.server_us - before.server_us, after.own_us - before.own_us
        return Result(
            acknowledged=self.acknowledged,
            answered=answered,
            failed=self.failed,
            seconds=(after.at_ns - before.at_ns) / _SECOND_NS,
            server_cpu_us=server_us,
            generator_cpu_us=own_us,
            others_cpu_us=after.machine_us - before.machine_us - server_us - own_us,
            p50_ms=percentile(took, 0.5) / 1e6,
            p99_ms=percentile(took, 0.99) / 1e6,
            p999_ms=percentile(took, 0.999) / 1e6,
            late_p99_ms=percentile(late, 0.99) / 1e6 if self.plan.rate else 0.0,
        )


def _connect(port: int) -> _Line:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return _Line(sock)


def main(plan: Plan) -> None:
    poller = select.epoll()  # First: its number must be one that select takes, below 1,024.
    lines = {line.sock.fileno(): line for line in (_connect(plan.port) for _ in range(plan.connections))}
    for number in lines:
        poller.register(number, select.EPOLLIN)
    run = _Run(plan, lines, poller)
    result = run.go(cycle(read_requests(Path(plan.requests))))
    if plan.answers:
        Path(plan.answers).write_text("".join(f"{one} {at}\n" for one, at in run.answers))
    sys.stdout.write(json.dumps(asdict(result)))


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    main(Plan(**given | {"pids": tuple(given["pids"])}))
