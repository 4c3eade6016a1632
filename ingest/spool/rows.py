"""A record as a row of the spool's file, with a checksum over all that is in it.

Reading is total: whatever a damaged disk made of a row, the answer is the record as it was written, or None.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from schemas.delivery import PendingRecord

COLUMNS = "id, endpoint, key, timestamp_ms, headers, value, checksum"
# The lengths stand before the bytes, so that no byte can move from one column to the next.
_HEAD = struct.Struct(">qIII")


@dataclass(frozen=True, slots=True)
class SpooledRecord:
    """A record that waits for Kafka, with its id in the file."""

    id: int
    record: PendingRecord


def lane_of(record: PendingRecord) -> str:
    """Returns what keeps its order: the key of the record as text, which is the endpoint where it has no lanes."""
    return record.key.decode("utf-8", "replace")


def row_of(record: PendingRecord) -> tuple[str, bytes, int, bytes, bytes, int]:
    """Returns the columns of the record, without its id."""
    endpoint, key, value, headers, timestamp_ms = record
    packed = _pack(headers)
    checksum = _checksum(endpoint.encode(), key, timestamp_ms, packed, value)
    return endpoint, key, timestamp_ms, packed, value, checksum


def read_row(row: Sequence[object], *, unchecked_to: int) -> PendingRecord | None:
    """Returns the record in a row of COLUMNS, read with texts as bytes; None where it is damaged.

    Rows up to the id `unchecked_to` may be of a version that wrote no checksums.
    """
    number, endpoint, key, timestamp_ms, headers, value, checksum = row
    if not (isinstance(number, int) and isinstance(endpoint, bytes) and isinstance(key, bytes)):
        return None
    if not (isinstance(timestamp_ms, int) and isinstance(headers, bytes) and isinstance(value, bytes)):
        return None
    if checksum is None and number > unchecked_to:
        return None
    if checksum is not None and checksum != _checksum(endpoint, key, timestamp_ms, headers, value):
        return None
    try:
        return PendingRecord(endpoint.decode(), key, value, _unpack(headers), timestamp_ms)
    except (ValueError, TypeError, AttributeError):  # Without a checksum, the headers may be anything.
        return None


def _checksum(endpoint: bytes, key: bytes, timestamp_ms: int, headers: bytes, value: bytes) -> int:
    head = _HEAD.pack(timestamp_ms, len(endpoint), len(key), len(headers)) + endpoint + key + headers
    return zlib.crc32(value, zlib.crc32(head))


def _pack(headers: Sequence[tuple[str, bytes]]) -> bytes:
    """Encodes the headers as JSON; in Latin-1 each byte of a value is one character, there and back."""
    return orjson.dumps([[name, value.decode("latin-1")] for name, value in headers])


def _unpack(headers: bytes) -> list[tuple[str, bytes]]:
    return [(name, value.encode("latin-1")) for name, value in orjson.loads(headers)]
