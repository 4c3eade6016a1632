"""Layouts that groups and the ingress send and receive many times a second, read and written in one go a partition.

aiokafka goes through a layout field by field, in Python: up to a microsecond each. A fetch over 200 partitions is 1,000
fields to write and 1,600 to read, whether anything came or not. What is here gives the same values; a test compares
the two. Layouts: https://kafka.apache.org/protocol.html#protocol_messages
"""

from collections.abc import Callable, Collection
from io import BytesIO
from struct import Struct
from typing import Any

from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.fetch import FetchRequest_v11, FetchResponse_v11
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest_v0, AddPartitionsToTxnResponse_v0

_INT16, _INT32 = Struct(">h"), Struct(">i")
# Kind of request, version, number; and the length of the client's name.
_HEADER = Struct(">hhih")
# Throttle time, error, session; and the count of topics.
_FETCHED_HEAD = Struct(">ihii")
# Number, error, high watermark, last stable offset, first offset, the count of aborted transactions; and behind these,
# of which there are seldom any, the preferred replica and the length of the records.
_FETCHED_PARTITION = Struct(">ihqqqiii")
_FETCHED_RECORDS = Struct(">ii")
_ABORTED = Struct(">qq")
# Replica, patience, bytes at least and at most, isolation, session and its epoch; and the count of topics.
_FETCH_HEAD = Struct(">iiiibiii")
# Number, leader epoch, offset, first offset of a follower's log, bytes at most.
_FETCH_PARTITION = Struct(">iiqqi")
# Acknowledgements, patience; and the count of topics.
_PRODUCE_HEAD = Struct(">hii")
# Number, and the length of the batch.
_PRODUCE_PARTITION = Struct(">ii")
# Number, error, offset, time, first offset of the log.
_PRODUCED_PARTITION = Struct(">ihqqq")
# Id and epoch of a producer; and the count of topics.
_ADD_HEAD = Struct(">qhi")
# Number, error.
_ADDED_PARTITION = Struct(">ih")


def write_header(header: RequestHeader_v1) -> bytes:
    """The header of a request, as aiokafka makes it."""
    return pack_header(header.api_key, header.api_version, header.correlation_id, header.client_id)


def pack_header(api_key: int, api_version: int, number: int, client_id: str) -> bytes:
    """The header of a request."""
    client = client_id.encode()
    return _HEADER.pack(api_key, api_version, number, len(client)) + client


def read_number(data: BytesIO) -> int:
    """The number of the request that is answered, with which an answer begins."""
    number: int
    (number,) = _INT32.unpack(data.read(_INT32.size))
    return number


def read_fetched(data: BytesIO) -> FetchResponse_v11:
    """The answer to a fetch."""
    view = memoryview(data.read())
    throttle_ms, error, session, topic_count = _FETCHED_HEAD.unpack_from(view)
    at, topics, read = _FETCHED_HEAD.size, [], _FETCHED_PARTITION.unpack_from
    for _ in range(topic_count):
        topic, count, at = _topic_at(view, at)
        partitions = []
        for _ in range(count):
            number, code, highwater, stable, first, aborted_count, replica, length = read(view, at)
            at += _FETCHED_PARTITION.size
            aborted: list[Any] | None = None if aborted_count < 0 else []
            if aborted_count > 0:
                at -= _FETCHED_RECORDS.size
                end = at + aborted_count * _ABORTED.size
                aborted = list(_ABORTED.iter_unpack(view[at:end]))
                replica, length = _FETCHED_RECORDS.unpack_from(view, end)
                at = end + _FETCHED_RECORDS.size
            records = None if length < 0 else b""
            if length > 0:
                records = bytes(view[at : at + length])
                at += length
            partitions.append((number, code, highwater, stable, first, aborted, replica, records))
        topics.append((topic, partitions))
    return FetchResponse_v11(throttle_ms, error, session, topics)


def write_fetch(request: FetchRequest_v11) -> bytes:
    """A fetch."""
    parts = [
        _FETCH_HEAD.pack(
            request.replica_id,
            request.max_wait_time,
            request.min_bytes,
            request.max_bytes,
            request.isolation_level,
            request.session_id,
            request.session_epoch,
            len(request.topics),
        )
    ]
    write = _FETCH_PARTITION.pack
    for topic, partitions in request.topics:
        parts += [_text(topic), _INT32.pack(len(partitions)), *[write(*partition) for partition in partitions]]
    parts.append(_INT32.pack(len(request.forgotten_topics_data)))
    for topic, numbers in request.forgotten_topics_data:
        parts += [_text(topic), _INT32.pack(len(numbers)), *map(_INT32.pack, numbers)]
    parts.append(_text(request.rack_id))
    return b"".join(parts)


def write_produce(request: ProduceRequest_v7) -> bytes:
    """What is to be written: a batch for each partition."""
    return b"".join(
        pack_produce(request.transactional_id, request.required_acks, request.timeout, topics=request.topics)
    )


def pack_produce(
    transactional_id: str | None,
    acks: int,
    timeout_ms: int,
    *,
    topics: Collection[tuple[str, Collection[tuple[int, bytes]]]],
) -> list[bytes]:
    """The body of a produce request in pieces, so that a caller who puts more before them copies the batches once.

    `topics` has the name of each topic, with the number and the batch of each of its partitions.
    """
    parts = [
        _INT16.pack(-1) if transactional_id is None else _text(transactional_id),
        _PRODUCE_HEAD.pack(acks, timeout_ms, len(topics)),
    ]
    for topic, partitions in topics:
        parts += (_text(topic), _INT32.pack(len(partitions)))
        for number, batch in partitions:
            parts += (_PRODUCE_PARTITION.pack(number, len(batch)), batch)
    return parts


def read_produced(data: BytesIO) -> ProduceResponse_v7:
    """The answer to what was written.

    Raises:
        struct.error: the answer is cut off.
    """
    view = memoryview(data.read())
    topics, at = _topics_of(view, 0, _PRODUCED_PARTITION)
    return ProduceResponse_v7(topics, *_INT32.unpack_from(view, at))


def write_added(request: AddPartitionsToTxnRequest_v0) -> bytes:
    """The partitions that a transaction writes to."""
    parts = [
        _text(request.transactional_id),
        _ADD_HEAD.pack(request.producer_id, request.producer_epoch, len(request.topics)),
    ]
    for topic, numbers in request.topics:
        parts += [_text(topic), _INT32.pack(len(numbers)), *map(_INT32.pack, numbers)]
    return b"".join(parts)


def read_added(data: BytesIO) -> AddPartitionsToTxnResponse_v0:
    """Which of them were added."""
    view = memoryview(data.read())
    topics, _ = _topics_of(view, _INT32.size, _ADDED_PARTITION)
    return AddPartitionsToTxnResponse_v0(*_INT32.unpack_from(view), topics)


def _topics_of(view: memoryview, at: int, layout: Struct) -> tuple[list[tuple[str, list[Any]]], int]:
    """Topics with partitions of a layout that has always the same length, and where they end."""
    (topic_count,), topics = _INT32.unpack_from(view, at), []
    end = at + _INT32.size
    for _ in range(topic_count):
        topic, count, at = _topic_at(view, end)
        end = at + count * layout.size
        topics.append((topic, [*layout.iter_unpack(view[at:end])]))
    return topics, end


def _topic_at(view: memoryview, at: int) -> tuple[str, int, int]:
    """The name of a topic, the count of what follows, and where that begins."""
    (length,) = _INT16.unpack_from(view, at)
    at += _INT16.size
    name = str(view[at : at + length], "utf-8")
    (count,) = _INT32.unpack_from(view, at + length)
    return name, count, at + length + _INT32.size


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _INT16.pack(len(encoded)) + encoded


# The classes are aiokafka's own, so that every client of the process profits; these are the only names that change.
_READERS: tuple[tuple[type[Any], Callable[[BytesIO], Any]], ...] = (
    (FetchResponse_v11, read_fetched),
    (ProduceResponse_v7, read_produced),
    (AddPartitionsToTxnResponse_v0, read_added),
)
_WRITERS: tuple[tuple[type[Any], Callable[[Any], bytes]], ...] = (
    (RequestHeader_v1, write_header),
    (FetchRequest_v11, write_fetch),
    (ProduceRequest_v7, write_produce),
    (AddPartitionsToTxnRequest_v0, write_added),
)
for _layout, _read in _READERS:
    _layout.decode = staticmethod(_read)
for _layout, _write in _WRITERS:
    _layout.encode = _write
