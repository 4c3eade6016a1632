"""What the fast path takes is read as aiohttp's own server would read it; two readers of one request must agree."""

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser

from ingest.http.request_parser import RequestParser
from tests.http.inputs import make_input

_INPUTS = 20_000
_READ_BYTES_MAX = 65_536
_HEAD = b"POST /webhooks/acme HTTP/1.1\r\nHost: h\r\n"


async def test_two_readers_agree() -> None:
    """Of 20,000 inputs, many of them tampered with: what is taken is one message to aiohttp too, the same one."""
    reader, taken = RequestParser(), 0
    for number in range(_INPUTS):
        given = make_input(3, number)
        for segment in {given.content, *given.segments}:
            request = reader.read(segment)
            if request is None:
                continue
            taken += 1
            loop = asyncio.get_running_loop()
            parser = HttpRequestParser(BaseProtocol(loop), loop, _READ_BYTES_MAX, auto_decompress=False)
            ((message, body),), upgraded, tail = parser.feed_data(segment)
            assert (message.method, message.version, message.chunked, message.should_close) == (
                "POST",
                (1, 1),
                False,
                False,
            )
            assert (body.is_eof(), body.read_nowait(), upgraded, tail) == (True, request.body, False, b"")
            assert message.raw_headers == tuple(request.headers)
            assert message.url.raw_path == request.path
            assert request.bytes_count == len(segment)
    assert taken > _INPUTS / 50


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"POST ",
        _HEAD,
        _HEAD + b"Content-Length: 2\r\n\r\n{",
        _HEAD + b"Content-Length: 2\r\n\r\n{}P",
        _HEAD + b"Content-Length: 0000000000000000000000002\r\n\r\n{}",
        _HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        _HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}",
        _HEAD + b"Content-Length: 2\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n{}",
        _HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n{}",
        _HEAD + b"Content-Length: 2\r\nX-Signature: a\r\nx-signature: b\r\n\r\n{}",
        _HEAD + b"Content-Length: 2\r\nX: " + b"x" * 8_190 + b"\r\n\r\n{}",
        _HEAD + b"".join(b"X-%d: x\r\n" % number for number in range(128)) + b"Content-Length: 2\r\n\r\n{}",
        b"POST /webhooks/acme HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /webhooks/acme HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /webhooks/acme HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
def test_what_is_not_that_simple_goes_to_the_full_path(data: bytes) -> None:
    """It is not taken, and the next one is read as if nothing had been."""
    reader = RequestParser()
    assert reader.read(data) is None
    simple = _HEAD + b"X-Signature: a \t\r\nContent-Length: 2\r\n\r\n{}"
    request = reader.read(simple)
    assert request is not None
    assert (request.path, request.body, request.bytes_count) == ("/webhooks/acme", b"{}", len(simple))
    assert request.headers == [(b"Host", b"h"), (b"X-Signature", b"a"), (b"Content-Length", b"2")]
    assert request.by_name[b"x-signature"] == b"a"
