"""Tells how many bytes a full connection holds unread, from what it read and what aiohttp's parser made of it.

The parser says neither how much of an unfinished head it holds nor how long its tail is. So the ledger subtracts from
each read what came out of the parser: heads, and parts of bodies.
"""

from collections.abc import Iterable, Mapping, Sequence

from aiohttp import StreamReader
from aiohttp.http import RawRequestMessage

from ingest.http.unread_bytes import UnreadKind

# What Python needs for the objects of a request and of each of its fields, beside their bytes.
_MESSAGE_BYTES = 2_048
_FIELD_BYTES = 256
# What is left of a read may also be the end of a chunked body, or spaces in a head: never as much as this.
_NO_HEAD_BYTES = 1_024


class ReadLedger:
    """The ledger of one connection; `body` and `path` are of the last request whose head is whole."""

    __slots__ = ("_begun_bytes", "_body_bytes", "body", "path", "queued_bytes")

    def __init__(self) -> None:
        self._begun_bytes = 0
        self._body_bytes = 0
        self.body: StreamReader | None = None
        self.path = ""
        self.queued_bytes = 0  # The heads of requests that are handled or wait for it.

    def read(
        self, count: int, new: Sequence[tuple[RawRequestMessage, StreamReader]], *, parser_holds_bytes: bool
    ) -> None:
        """Enters a read of `count` bytes, which completed the heads of the `new` requests."""
        came_out = self._body_progress()
        for message, body in new:
            head_bytes = _head_bytes(message)
            self.queued_bytes += 2 * head_bytes + _MESSAGE_BYTES + _FIELD_BYTES * len(message.raw_headers)
            self.body, self._body_bytes, self.path = body, 0, message.path
            came_out += head_bytes + self._body_progress()
        self._begun_bytes = max(0, self._begun_bytes + count - came_out)
        if self.body is not None and not self.body.is_eof() and not parser_holds_bytes:
            self._begun_bytes = 0  # All was a part of the body, or of the lengths between its chunks.

    @property
    def head_begun(self) -> bool:
        """Returns whether the head of another request has begun; one of less than 1 KB is not seen."""
        return self._begun_bytes > _NO_HEAD_BYTES

    def broke(self) -> None:
        """Notes that the connection reads no more."""
        self._begun_bytes = 0

    def held(self, bodies: Iterable[StreamReader]) -> Mapping[UnreadKind, int]:
        """Returns what the connection holds; `bodies` are those of its requests."""
        there = {id(body): body for body in bodies}
        if self.body is not None:
            there[id(self.body)] = self.body
        return {
            UnreadKind.HEADS: self._begun_bytes + self.queued_bytes,
            UnreadKind.BODIES: sum(_buffered_bytes(body) for body in there.values()),
        }

    def _body_progress(self) -> int:
        """Returns how much of the last body came out of the parser since the last look."""
        if self.body is None:
            return 0
        before, self._body_bytes = self._body_bytes, self.body.total_bytes
        return self._body_bytes - before


def empty(body: StreamReader) -> None:
    """Frees what nobody has read of the body."""
    if _buffered_bytes(body):
        body._buffer.clear()  # noqa: SLF001 the only way to its bytes that needs no task
        body._size = 0  # noqa: SLF001 as above


def _buffered_bytes(body: StreamReader) -> int:
    """Returns how many bytes of the body lie in its buffer; aiohttp's body of length 0 has none."""
    return getattr(body, "_size", 0)


def _head_bytes(message: RawRequestMessage) -> int:
    """Returns the length of the head, with one space behind each colon."""
    fields = sum(len(name) + len(value) + 4 for name, value in message.raw_headers)
    return len(message.method) + len(message.path) + len(" HTTP/1.1 \r\n\r\n") + 1 + fields
