"""Asks another process for a page over HTTP, as the verbs ask the admin ports of services and workers.

Without aiohttp's client: a verb that asks two admin ports would load it for longer than all else that it does.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httptools

_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class HttpPage:
    """An answer, whatever its status."""

    status: int
    body: bytes


async def fetch_page(url: str, *, within_s: float, socket: Path | None = None) -> HttpPage | None:
    """The page at `url`, by way of a Unix `socket` where one is given; None where no whole answer comes in time."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(within_s):
            if socket is not None:
                reader, writer = await asyncio.open_unix_connection(socket)
            else:
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
            try:
                head = (f"GET {parts.path or '/'} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close", "", "")
                writer.write("\r\n".join(head).encode())
                return await _read_page(reader)
            finally:
                writer.close()
    except (OSError, TimeoutError, httptools.HttpParserError):
        return None


@dataclass(slots=True)
class _PageParts:
    """What the parser has found so far of one answer; its methods are those that the parser calls."""

    body: list[bytes] = field(default_factory=list)
    complete: bool = False

    def on_body(self, part: bytes) -> None:
        self.body.append(part)

    def on_message_complete(self) -> None:
        self.complete = True


async def _read_page(reader: asyncio.StreamReader) -> HttpPage | None:
    """The answer, or None where the connection ends within it."""
    answer = _PageParts()
    parser = httptools.HttpResponseParser(answer)
    while not answer.complete:
        content = await reader.read(_READ_BYTES)
        if not content:
            return None
        parser.feed_data(content)
    return HttpPage(parser.get_status_code(), b"".join(answer.body))
