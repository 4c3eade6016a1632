"""What providers send, read in one go: a read that is exactly one POST, whole, and read alike by everybody.

It is parsed by httptools, which is llhttp as in aiohttp, without what aiohttp makes of it: a message, its headers by
name, a URL, a stream. Whatever is not that simple is None here, and is aiohttp's to read from its first byte.
"""

from collections.abc import Mapping
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

# aiohttp's own limits for a line and for the number of fields, here for the whole head:
# https://docs.aiohttp.org/en/stable/web_reference.html
_HEAD_BYTES_MAX = 8_190
_FIELDS_MAX = 128
_READ_BYTES_MAX = 65_536
# Of the largest number that 64 bits hold; not everybody reads more zeros before it.
_LENGTH_DIGITS_MAX = 20
_POST = b"POST /webhooks/"
_END_OF_HEAD = b"\r\n\r\n"
# aiohttp has something to do about these, and a request without a Host is malformed.
_NEEDS_MORE = frozenset({b"transfer-encoding", b"upgrade", b"expect", b"sec-websocket-key1"})


class WholeRequest(NamedTuple):
    """The path as written, without query; the headers as received but for spaces around a value; the exact body.

    `by_name` has the headers by their names in lower case, of which none comes twice; `bytes_count` is how long all is.
    """

    path: str
    headers: list[tuple[bytes, bytes]]
    by_name: Mapping[bytes, bytes]
    body: bytes
    bytes_count: int


class RequestParser:
    """Reads for any number of connections, for it keeps nothing from one read to the next."""

    def __init__(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""
        self._ended = False
        self._parser = HttpRequestParser(self)

    def read(self, data: bytes) -> WholeRequest | None:
        """The request that `data` is."""
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
            # It may be in the middle of something.
            self._parser = HttpRequestParser(self)
            return None
        path, _, _ = self._target.partition(b"?")
        return WholeRequest(path.decode("utf-8", "surrogateescape"), self._headers, by_name, self._body, len(data))

    def on_url(self, target: bytes) -> None:
        """The parser's own: the target, or a part of it."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser's own; it leaves the spaces behind a value."""
        self._headers.append((name, value.rstrip(b" \t")))

    def on_body(self, body: bytes) -> None:
        """The parser's own: the body, or a part of it."""
        self._body += body

    def on_message_complete(self) -> None:
        """The parser's own; later it does not know any more whether the connection stays open."""
        self._ended = self._parser.should_keep_alive()

    def _is_simple(self, by_name: Mapping[bytes, bytes]) -> bool:
        return (
            self._parser.get_http_version() == "1.1"
            and b"host" in by_name
            # A header twice can mean two things.
            and len(by_name) == len(self._headers) <= _FIELDS_MAX
            and by_name.keys().isdisjoint(_NEEDS_MORE)
            and len(by_name.get(b"content-length", b"")) <= _LENGTH_DIGITS_MAX
        )
