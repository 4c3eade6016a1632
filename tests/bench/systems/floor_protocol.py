"""The floor under every asyncio program: a bare protocol that finds where a request ends, and keeps nothing."""

import asyncio
import re
import sys
from typing import cast

import uvloop

from tests.bench.place import read_settings

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Floor(asyncio.Protocol):
    def __init__(self) -> None:
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head_end = self._heard.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length = _LENGTH.search(self._heard, 0, head_end)
        if length and len(self._heard) >= head_end + 4 + int(length[1]):
            self._heard = b""
            self._transport.write(_ANSWER)


async def main(config: str) -> None:
    server = await asyncio.get_running_loop().create_server(Floor, "127.0.0.1", read_settings(config).ingest.port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
