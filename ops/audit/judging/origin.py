"""Reads which record of `raw` an output record names as its origin, without parsing the record.

Our records name the origin before anything that a stranger wrote; so the first match is the true one. A record without
a match is no output of ours, or a damaged one.
"""

from collections.abc import Callable, Sequence

AnyHeader = tuple[str, bytes | None]
# Partition and offset in `raw`.
Origin = tuple[int, int]
OriginReader = Callable[[bytes, Sequence[AnyHeader]], Origin | None]
_HEADER = "dropstream-raw"


def origin_reader(topic: str, raw_topic: str) -> OriginReader:
    """Gives the reader of the records of `topic` (short name without a suffix): from value and headers to an origin."""
    if topic == "sequence":
        return _in_text(b'"raw":"' + raw_topic.encode() + b"/")
    if topic in {"rejected", "duplicates"}:
        return _in_header(raw_topic.encode() + b"/")
    return _in_event(b'"rawtopic":"' + raw_topic.encode() + b'","rawpartition":')


def _in_event(before: bytes) -> OriginReader:
    length, between = len(before), b',"rawoffset":"'

    def read(value: bytes, _headers: Sequence[AnyHeader]) -> Origin | None:
        begin = value.find(before)
        if begin < 0:
            return None
        begin += length
        end = value.find(between, begin, begin + 32)
        if end < 0:
            return None
        offset = end + len(between)
        return _origin(value[begin:end], value[offset : value.find(b'"', offset, offset + 20)])

    return read


def _in_text(before: bytes) -> OriginReader:
    def read(value: bytes, _headers: Sequence[AnyHeader]) -> Origin | None:
        begin = value.find(before)
        if begin < 0:
            return None
        begin += len(before)
        partition, _, offset = value[begin : value.find(b'"', begin, begin + 40)].partition(b"/")
        return _origin(partition, offset)

    return read


def _in_header(before: bytes) -> OriginReader:
    def read(_value: bytes, headers: Sequence[AnyHeader]) -> Origin | None:
        text = next((value or b"" for name, value in reversed(headers) if name == _HEADER), b"")
        partition, _, offset = text.removeprefix(before).partition(b"/")
        return _origin(partition, offset) if text.startswith(before) else None

    return read


def _origin(partition: bytes, offset: bytes) -> Origin | None:
    # `isdigit` of bytes knows ASCII digits only.
    if not (partition.isdigit() and offset.isdigit()) or len(partition) > 9 or len(offset) > 18:
        return None
    return int(partition), int(offset)
