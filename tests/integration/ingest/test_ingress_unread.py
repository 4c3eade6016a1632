"""Clients that send and do not read, or read late, on connections with small buffers, against a running ingress."""

import asyncio
import gc
import re
import socket
import time

import pytest

from ingest.http.fast_connection import FastConnection
from ingest.receive import Stamps
from tests.conftest import SettingsFactory
from tests.support.raw_http import post
from tests.support.serving import Serving, ready
from tests.support.waiting import PATIENCE_S, until

pytestmark = pytest.mark.kafka

_GOOD = post("/webhooks/acme", b"good")


def listener(port: int) -> socket.socket:
    """This process's own socket that listens there."""
    return next(
        one
        for one in gc.get_objects()
        if type(one) is socket.socket
        and one.fileno() >= 0
        and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        and one.getsockname()[1] == port
    )


async def unread(running: Serving) -> socket.socket:
    """A connection with small buffers on both sides, so that answers that are not read soon fill them."""
    # Connections have the buffers of the socket that they came through; large ones take thousands of answers.
    listener(running.port).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    line.setblocking(False)
    await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", running.port))
    await until(lambda: running.open == 1)
    return line


class Taken:
    """Numbers the deliveries as they are taken."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        return f"delivery-{self.count}"

    @property
    def stamps(self) -> Stamps:
        """For an ingress that numbers so."""
        return Stamps(new_id=self, now_us=lambda: time.time_ns() // 1_000)


def connection() -> FastConnection:
    """The server's side of the only connection that is open in this process."""
    (found,) = [one for one in gc.get_objects() if type(one) is FastConnection and one.transport is not None]
    return found


async def post_until_full(line: socket.socket, taken: Taken) -> int:
    """Sends deliveries, each once the one before was taken, until answers have no place; how many were, up to 3,000."""
    server = connection()
    for count in range(3_000):
        await asyncio.get_running_loop().sock_sendall(line, _GOOD)
        await until(lambda before=count: taken.count > before or server.writing_paused, every_s=0)  # type: ignore[misc] # it is bound here
        if taken.count == count:
            break
    return taken.count


async def test_who_does_not_read_is_closed(settings: SettingsFactory) -> None:
    """A client that asks on and on and reads no answer is cut off, before its answers fill our memory."""
    async with ready(settings, "answer_timeout_ms = 400") as running:
        loop = asyncio.get_running_loop()
        with await unread(running) as line:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    while running.closed("answer_unread") == 0:
                        await loop.sock_sendall(line, b"GET /webhooks/acme HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
            except ConnectionError:
                pass
            await until(lambda: running.closed("answer_unread") == 1)
        assert (await running.ask(_GOOD)).status == 200


async def test_who_delivers_and_reads_nothing_is_closed(settings: SettingsFactory) -> None:
    """A client that sends one whole delivery after another and reads no answer is cut off after a bounded number."""
    taken = Taken()
    async with ready(settings, "answer_timeout_ms = 400", stamps=taken.stamps) as running:
        with await unread(running) as line:
            assert await post_until_full(line, taken) < 3_000
            await until(lambda: running.closed("answer_unread") == 1)
        assert (await running.ask(_GOOD)).status == 200


async def test_who_reads_late_misses_nothing(settings: SettingsFactory) -> None:
    """What a client sends while its answers have no place is answered when they have, in order, whatever it is."""
    taken = Taken()
    async with ready(settings, stamps=taken.stamps) as running:
        with await unread(running) as line:
            count = await post_until_full(line, taken)
            assert count < 3_000
            loop, answers = asyncio.get_running_loop(), b""
            await loop.sock_sendall(line, b"GET /webhooks/acme HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            async with asyncio.timeout(PATIENCE_S):
                while chunk := await loop.sock_recv(line, 65_536):
                    answers += chunk
        delivered = re.findall(rb"Dropstream-Delivery: delivery-(\d+)", answers)
        assert [int(number) for number in delivered] == list(range(1, count + 2))
        assert answers.count(b"HTTP/1.1 200 OK") == count + 2
        assert (running.closed("ended"), running.closed("answer_unread")) == (1, 0)
