"""Kafka records as data: a record to write, a record as it was read, and a position in a partition.

A record to write names its topic by the short name (`orders`); the prefix is added where the producer is called.
"""

from collections.abc import Sequence
from typing import Protocol

from schemas.fast_frozen import fast_frozen

Headers = tuple[tuple[str, bytes], ...]
# As another producer may have written them: Kafka lets a header have no value.
AnyHeaders = tuple[tuple[str, bytes | None], ...]

# Lengths, offsets and times around the contents, and the head of the batch: Kafka's record format v2, rounded up.
_HEADER_BYTES = 10
_RECORD_BYTES = 128


@fast_frozen()
class Position:
    """The place of a record: full topic name, partition and offset."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def read_position(text: str) -> Position | None:
    """The position that `text` names, as `str` of a position does; None for any other text."""
    topic, _, rest = text.partition("/")
    partition, _, offset = rest.partition("/")
    whole = topic and all(part.isascii() and part.isdecimal() and len(part) < 19 for part in (partition, offset))
    return Position(topic, int(partition), int(offset)) if whole else None


class HasOffset(Protocol):
    """A record or a position in a partition."""

    @property
    def offset(self) -> int:
        """Where in the partition."""


def next_offset(here: HasOffset) -> int:
    """The offset behind a record or a position: where reading goes on, and what a consumer commits."""
    return here.offset + 1


@fast_frozen()
class RawRecord:
    """A record of `raw` as it was read; its key and values are None only where another producer wrote it."""

    position: Position
    key: bytes | None
    value: bytes | None
    headers: AnyHeaders
    timestamp_ms: int


class Fetched(Protocol):
    """A record as a client of Kafka gives it; `timestamp` is in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


def raw_record(fetched: Fetched) -> RawRecord:
    """The record, whatever topic it is of."""
    return RawRecord(
        position=Position(fetched.topic, fetched.partition, fetched.offset),
        key=fetched.key,
        value=fetched.value,
        headers=tuple(fetched.headers),
        timestamp_ms=fetched.timestamp,
    )


@fast_frozen()
class Record:
    """One record to write; `topic` is the short name, `key` decides the partition (Kafka's murmur2)."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers = ()

    @property
    def bytes_count(self) -> int:
        """How large the record is on the wire, at most."""
        count = len(self.key) + len(self.value) + _RECORD_BYTES
        for name, value in self.headers:
            count += len(name.encode()) + len(value) + _HEADER_BYTES
        return count
