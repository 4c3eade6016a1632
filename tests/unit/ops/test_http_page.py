"""A page of another process: what comes whole is an answer, and all else is none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ops.http_page import HttpPage, fetch_page
from tests.support.waiting import PATIENCE_S


@asynccontextmanager
async def answering(answer: bytes, *, stays: bool = False) -> AsyncIterator[str]:
    """A server that gives these bytes to each request; gives its address."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if stays:
            await ended.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/readyz"
    finally:
        ended.set()
        server.close()


@pytest.mark.parametrize(
    ("answer", "page"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", HttpPage(200, b"{}")),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", HttpPage(503, b"")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", HttpPage(200, b"{}")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", None),
        (b"SSH-2.0-OpenSSH_9.6\r\n", None),
        (b"", None),
    ],
)
async def test_a_page_is_whole_or_none(answer: bytes, page: HttpPage | None) -> None:
    """Any status is an answer; one that breaks off, and what is no HTTP, is none."""
    async with answering(answer) as url:
        assert await fetch_page(url, within_s=PATIENCE_S) == page


async def test_a_page_that_does_not_come_is_none(tmp_path: Path) -> None:
    """A server that is silent, one that is not there, and a socket that is none: no answer, and no error."""
    async with answering(b"HTTP/1.1 200 OK\r\n", stays=True) as url:
        assert await fetch_page(url, within_s=0.05) is None
    assert await fetch_page("http://127.0.0.1:1/", within_s=PATIENCE_S) is None
    assert await fetch_page("http://worker/readyz", within_s=PATIENCE_S, socket=tmp_path / "absent") is None


async def test_a_large_page_comes_whole() -> None:
    """Several megabytes, as the metrics of many endpoints."""
    body = b"x" * 5_000_000
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + body) as url:
        assert await fetch_page(url, within_s=PATIENCE_S) == HttpPage(200, body)
