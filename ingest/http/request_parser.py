"""The parser of the fast path: it reads what is exactly one whole POST, and what every proxy reads in the same way.

httptools parses the request; it is llhttp, as in aiohttp, without the message, the URL and the stream that aiohttp
makes of each request. For anything less simple the parser returns None, and aiohttp reads it from its first byte.
"""

from collections.abc import Mapping
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

# aiohttp's own limits for a line and for the number of fields, here for the whole head:
# https://docs.aiohttp.org/en/stable/web_reference.html
_HEAD_BYTES_MAX = 8_190
_FIELDS_MAX = 128
_READ_BYTES_MAX = 65_536
# The digits of the largest 64-bit number; some readers refuse a length with more leading zeros.
LENGTH_DIGITS_MAX = 20
_POST = b"POST /webhooks/"
_END_OF_HEAD = b"\r\n\r\n"
# Only the full path knows what to do about these headers.
_NEEDS_FULL_PATH = frozenset({b"transfer-encoding", b"upgrade", b"expect", b"sec-websocket-key1"})


class WholeRequest(NamedTuple):
    """A parsed request: the path as written, without query; the headers, values stripped of spaces; the exact body.

    `by_name` has the headers by their names in lower case, none of which comes twice; `bytes_count` is the length of
    head and body together.
    """

    path: str
    headers: list[tuple[bytes, bytes]]
    by_name: Mapping[bytes, bytes]
    body: bytes
    bytes_count: int


class RequestParser:
    """Parses for any number of connections, for the parser keeps nothing from one read to the next."""

    def __init__(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""
        self._ended = False
        self._parser = HttpRequestParser(self)

    def read(self, data: bytes) -> WholeRequest | None:
        """Returns the request where `data` is exactly one simple POST, else None."""
        if not data.startswith(_POST) or len(data) > _READ_BYTES_MAX:
            return None
        head_bytes = data.find(_END_OF_HEAD, 0, _HEAD_BYTES_MAX) + len(_END_OF_HEAD)
        self._target, self._headers, self._body, self._ended = b"", [], b"", False
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._ended = False
        by_name = {name.lower(): value for name, value in self._headers}
        if not self._ended or head_bytes + len(self._body) != len(data) or not self._is_simple(by_name):
            # The old parser may wait for the rest of a request.
            self._parser = HttpRequestParser(self)
            return None
        path, _, _ = self._target.partition(b"?")
        return WholeRequest(path.decode("utf-8", "surrogateescape"), self._headers, by_name, self._body, len(data))

    def on_url(self, target: bytes) -> None:
        """httptools calls this with the target, or a part of it."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools calls this with each header; it leaves the spaces behind a value."""
        self._headers.append((name, value.rstrip(b" \t")))

    def on_body(self, body: bytes) -> None:
        """httptools calls this with the body, or a part of it."""
        self._body += body

    def on_message_complete(self) -> None:
        """httptools calls this at the end; later it does not know any more whether the connection stays open."""
        self._ended = self._parser.should_keep_alive()

    def _is_simple(self, by_name: Mapping[bytes, bytes]) -> bool:
        return (
            self._parser.get_http_version() == "1.1"
            and b"host" in by_name
            # Readers differ in what a repeated header means.
            and len(by_name) == len(self._headers) <= _FIELDS_MAX
            and by_name.keys().isdisjoint(_NEEDS_FULL_PATH)
            and len(by_name.get(b"content-length", b"")) <= LENGTH_DIGITS_MAX
        )
