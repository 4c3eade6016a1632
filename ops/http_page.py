"""Asks another process for a page over HTTP, as the verbs ask the admin ports of services and workers."""

from dataclasses import dataclass
from pathlib import Path

import aiohttp


@dataclass(frozen=True, slots=True)
class HttpPage:
    """An answer, whatever its status."""

    status: int
    body: bytes


async def fetch_page(url: str, *, within_s: float, socket: Path | None = None) -> HttpPage | None:
    """The page at `url`, by way of a Unix `socket` where one is given; None where no answer comes in time."""
    timeout = aiohttp.ClientTimeout(total=within_s)
    connector = None if socket is None else aiohttp.UnixConnector(str(socket))
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, session.get(url) as response:
            return HttpPage(response.status, await response.read())
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None
