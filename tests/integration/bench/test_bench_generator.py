"""The load generator against a server that stalls: what it may not hide."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from tests.bench.load.plan import Plan, generate
from tests.bench.load.requests import request, write_requests
from tests.support.waiting import PATIENCE_S

_STALL_S = 0.4


class Stalling(asyncio.Protocol):
    """Answers everything 200 (and `/webhooks/refused` 503); once, at the 50th request, all of it stands still."""

    requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        Stalling.requests += 1
        if Stalling.requests == 50:
            time.sleep(_STALL_S)
        status = b"503 No" if b"/refused" in data else b"200 OK"
        self._transport.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    Stalling.requests = 0
    async with await asyncio.get_running_loop().create_server(Stalling, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_the_open_loop_shows_what_a_stall_made_wait(port: int, tmp_path: Path) -> None:
    """Requests that were due while the server stood still count from when they were due, on one connection too."""
    write_requests(tmp_path / "requests", [request("acme", b"{}")])
    requests = str(tmp_path / "requests")
    plan = Plan(port=port, requests=requests, connections=1, warm_up_s=0, measure_s=PATIENCE_S, rate=100, count=200)
    result = await asyncio.to_thread(generate, plan)
    # 40 of 200 were due in the stall: a fifth of all. By the time of sending, one would have been late.
    assert result.p99_ms > 250
    assert (result.answered, result.failed) == (200, 0)


async def test_the_count_is_kept_and_refusals_are_told(port: int, tmp_path: Path) -> None:
    """Of 100 requests, 50 are answered 200; the others count as failed."""
    write_requests(tmp_path / "requests", [request("acme", b"{}"), request("refused", b"{}")])
    plan = Plan(port=port, requests=str(tmp_path / "requests"), warm_up_s=0.0, measure_s=PATIENCE_S, count=100)
    result = await asyncio.to_thread(generate, plan)
    assert (result.answered, result.failed) == (50, 50)


async def test_a_body_larger_than_the_buffers_arrives_whole(tmp_path: Path) -> None:
    """The rest of a request that the connection does not take at once is sent when it does."""
    body, heard = b"x" * 3_000_000, bytearray()

    class Slow(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._transport = cast(asyncio.Transport, transport)

        def data_received(self, data: bytes) -> None:
            heard.extend(data)
            if len(heard) == len(wanted):
                self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    wanted = request("acme", body)
    write_requests(tmp_path / "requests", [wanted])
    async with await asyncio.get_running_loop().create_server(Slow, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        requests = str(tmp_path / "requests")
        plan = Plan(port=port, requests=requests, connections=1, warm_up_s=0, measure_s=PATIENCE_S, count=1)
        result = await asyncio.to_thread(generate, plan)
    assert result.answered == 1
    assert bytes(heard) == wanted
