"""HTTP/1.1 requests read the strict way (RFC 9112), by other code than the ingress has: what a stream of bytes means.

Where the standard lets a reader choose, or two readers could differ, reading stops: what stands behind it must never
become a delivery.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

# RFC 9112, section 3: a reader may take more than one space; where the target ends is as clear.
_LINE = re.compile(rb"([A-Z-]+) +([\x21-\x7e\x80-\xff]+) +HTTP/1\.([01])")
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\x00\r\n]*)")
_CHUNK = re.compile(rb"0*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\x00\r\n]*)?")


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request: `target` as sent, `body` without its framing."""

    method: bytes
    target: bytes
    body: bytes

    def goes_to(self, endpoint: str) -> bool:
        """Whether it is a delivery to `endpoint`, however the path is written."""
        path = unquote_to_bytes(re.split(rb"[?#]", self.target)[0])
        return self.method == b"POST" and f"/webhooks/{endpoint}".encode() in path


class _StopError(Exception):
    """The rest is unfinished, or no HTTP that all readers understand alike."""


@dataclass(slots=True)
class _Reader:
    content: bytes
    at: int = 0

    def line(self) -> bytes:
        end = self.content.find(b"\r\n", self.at)
        if end < 0:
            raise _StopError
        line, self.at = self.content[self.at : end], end + 2
        return line

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.content):
            raise _StopError
        self.at += count
        return self.content[self.at - count : self.at]

    def fields(self) -> list[tuple[bytes, bytes]]:
        fields = []
        while line := self.line():
            match = _FIELD.fullmatch(line)
            if not match:
                raise _StopError
            fields.append((match[1].lower(), match[2].strip(b" \t")))
        return fields


def read_requests(content: bytes) -> list[Request]:
    """Every whole request from the beginning, up to the first thing that is not as it must be."""
    reader = _Reader(content)
    requests: list[Request] = []
    try:
        while True:
            requests.append(_read_request(reader))
    except _StopError:
        return requests


def _read_request(reader: _Reader) -> Request:
    # RFC 9112, section 2.2: empty lines before a request are to be ignored; nothing can hide in half of one.
    while reader.content[reader.at : reader.at + 1] in {b"\r", b"\n"}:
        reader.at += 1
    line = _LINE.fullmatch(reader.line())
    if not line:
        raise _StopError
    fields = reader.fields()
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if codings:
        # Sections 6.1 and 6.3: with a length beside it, or in HTTP/1.0, it is what smugglers send.
        if lengths or line[3] == b"0" or [value.lower() for value in codings] != [b"chunked"]:
            raise _StopError
        body = _read_chunks(reader)
    elif lengths:
        if len(lengths) > 1 or not re.fullmatch(rb"0*[0-9]{1,18}", lengths[0]):
            raise _StopError
        body = reader.take(int(lengths[0].lstrip(b"0") or b"0"))
    else:
        body = b""
    return Request(line[1], line[2], body)


def _read_chunks(reader: _Reader) -> bytes:
    body = b""
    while True:
        head = _CHUNK.fullmatch(reader.line())
        if not head:
            raise _StopError
        size = int(head[1], 16)
        if not size:
            reader.fields()
            return body
        body += reader.take(size)
        if reader.take(2) != b"\r\n":
            raise _StopError
