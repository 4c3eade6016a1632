"""Layouts that are read and written in one go are those that aiokafka reads and writes field by field."""

import struct
from io import BytesIO
from typing import Any

import pytest
from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.fetch import FetchRequest_v11, FetchResponse_v11
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.protocol.struct import Struct
from aiokafka.protocol.transaction import (
    AddPartitionsToTxnRequest_v0,
    AddPartitionsToTxnResponse_v0,
    EndTxnRequest_v0,
)

from schemas.kafka.wire import quick_layouts

FETCHED = [
    (
        "raw",
        [(0, 0, 10, 9, 1, [], -1, b""), (1, 1, 2**40, -1, -1, None, 4, b"abc"), (2, 0, 5, 5, 0, [], -1, None)],
    ),
    ("ü", [(5, 0, 10, 9, 1, [(2**33, 4), (8, 9)], 2, b"records"), (6, 6, 1, 1, 1, [(1, 1)], -1, b"")]),
    ("none", []),
]
ANSWERS = (
    FetchResponse_v11(3, 0, 7, FETCHED),
    FetchResponse_v11(0, 70, 0, []),
    ProduceResponse_v7([("raw", [(0, 0, 10, -1, 0), (3, 19, -1, -1, 2**40)]), ("ü", [(1, 0, 3, 4, 5)])], 7),
    ProduceResponse_v7([], 0),
    AddPartitionsToTxnResponse_v0(9, [("orders", [(0, 0), (11, 51)]), ("ü", [(3, 47)]), ("none", [])]),
    AddPartitionsToTxnResponse_v0(0, []),
)
REQUESTS = (
    RequestHeader_v1(EndTxnRequest_v0("t", 1, 2, True), 2**31 - 1, "aiokafka-ü"),
    RequestHeader_v1(FetchRequest_v11(-1, 0, 1, 2, 0, 5, 6, [], [], ""), 0, ""),
    FetchRequest_v11(-1, 50, 1, 1_000, 1, 0, -1, [("raw", [(0, -1, 10, -1, 500), (1, 3, 2**40, 0, 1)])], [], ""),
    FetchRequest_v11(-1, 0, 1, 2**31 - 1, 0, 5, 6, [], [("ü", [1, 2]), ("b", [])], "rack-1"),
    ProduceRequest_v7("name", -1, 40_000, [("orders", [(0, b"batch"), (11, b"")]), ("ü", [(3, bytes(300))])]),
    ProduceRequest_v7(None, 1, 0, []),
    AddPartitionsToTxnRequest_v0("name", 2**40, 7, [("orders", [0, 11]), ("ü", [3]), ("none", [])]),
    AddPartitionsToTxnRequest_v0("ü", 0, 0, []),
)


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_read_as_aiokafka_reads_it(answer: Any) -> None:
    """With everything that may be in it, null too, and with nothing; by every client."""
    written = BytesIO(Struct.encode(answer))
    read = type(answer).decode(written)
    assert (read, written.read()) == (answer, b"")
    assert type(answer).decode.__module__ == quick_layouts.__name__


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_is_written_as_aiokafka_writes_it(request_: Any) -> None:
    """With everything that may be in it and with nothing; by every client."""
    assert request_.encode() == Struct.encode(request_)
    assert type(request_).encode.__module__ == quick_layouts.__name__


def test_an_answer_to_what_was_written_is_refused_where_it_is_cut_off() -> None:
    """Wherever that is: a batch of which nothing was read is no batch of which nothing was said."""
    whole = Struct.encode(ProduceResponse_v7([("raw", [(0, 0, 10, -1, 0), (3, 19, -1, -1, 5)])], 7))
    for length in range(len(whole)):
        with pytest.raises(struct.error):
            quick_layouts.read_produced(BytesIO(whole[:length]))
