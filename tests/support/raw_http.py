"""A client that sends any bytes, for requests that no HTTP library would make; and reads answers one by one."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.support.waiting import PATIENCE_S


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One answer: `headers` by lower-case name, `head` the bytes before the body."""

    status: int
    headers: dict[str, str]
    head: bytes
    body: bytes


class RawClient:
    """One connection to 127.0.0.1; every wait has an end."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def send(self, content: bytes) -> None:
        """Sends exactly these bytes."""
        self._writer.write(content)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._writer.drain()
        except ConnectionError:
            return  # The server may close while we still send; its answer is what counts.

    def end(self) -> None:
        """Ends the sending side; answers can still come."""
        self._writer.write_eof()

    @property
    def unsent_bytes(self) -> int:
        """How much of what was sent the connection has not taken yet."""
        return self._writer.transport.get_write_buffer_size()

    async def answer(self) -> RawAnswer:
        """The next answer; an interim one (100) counts."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return RawAnswer(status=int(first.split(" ")[1]), headers=headers, head=head, body=body)

    async def closed(self) -> bool:
        """Waits for the server to close the connection; True when it sent nothing more."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._reader.read(1) == b""
        except ConnectionResetError:
            return True

    async def rest(self) -> bytes:
        """Everything until the server closes the connection, be it by a reset."""
        content = b""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while chunk := await self._reader.read(65_536):
                    content += chunk
        except ConnectionError:
            return content
        return content

    def reset(self) -> None:
        """Leaves at once, as a process that died does: with a reset, not with a goodbye."""
        connection: socket.socket = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


def post(path: str, body: bytes = b"", *headers: bytes) -> bytes:
    """The bytes of a POST with this body and these header lines beside Host and Content-Length."""
    lines = (f"POST {path} HTTP/1.1".encode(), b"Host: localhost", b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
