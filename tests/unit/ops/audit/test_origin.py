"""Which delivery a record names, read without parsing it: the first place that ours wrote, or none."""

import pytest

from ops.audit.judging.origin import origin_reader

RAW = "test.raw"
EVENT = b'{"id":"1","rawtopic":"test.raw","rawpartition":2,"rawoffset":"17","delivery":"x","data":{}}'


def test_each_kind_of_record_names_its_delivery() -> None:
    """Events and observations in their JSON, rejected records and notes in a header."""
    assert origin_reader("orders", RAW)(EVENT, []) == (2, 17)
    assert origin_reader("sequence", RAW)(b'{"sequence":1,"raw":"test.raw/2/17"}', []) == (2, 17)
    for topic in ("rejected", "duplicates"):
        assert origin_reader(topic, RAW)(b"", [("dropstream-raw", b"test.raw/2/17")]) == (2, 17)


def test_what_a_stranger_says_behind_ours_counts_for_nothing() -> None:
    """A payload may hold the same words; the place that we wrote stands before it."""
    hostile = EVENT.replace(b'"data":{}', b'"data":{"payload":' + EVENT.replace(b"17", b"99") + b"}")
    assert origin_reader("orders", RAW)(hostile, []) == (2, 17)


def test_of_several_headers_the_last_one_is_ours() -> None:
    """What the sender wrote stands before what we added."""
    headers = [("dropstream-raw", b"test.raw/0/1"), ("dropstream-raw", b"test.raw/2/17")]
    assert origin_reader("rejected", RAW)(b"", headers) == (2, 17)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        b"[" * 5_000,
        EVENT.replace(b"test.raw", b"test.raw2"),
        EVENT.replace(b":2,", b":-2,"),
        EVENT.replace(b":2,", b":2222222222,"),
        EVENT.replace(b"17", b""),
        EVENT.replace(b"17", b"-1"),
        EVENT.replace(b"17", "\u0661".encode()),
        EVENT.replace(b"17", b"9" * 19),
        EVENT[: EVENT.index(b"17")],
    ],
)
def test_what_names_no_place_names_none(value: bytes) -> None:
    """Hostile, cut and foreign bytes are nobody's, and cost no more than a search."""
    for topic in ("orders", "sequence", "rejected", "duplicates"):
        assert origin_reader(topic, RAW)(value, [("dropstream-raw", value), ("dropstream-raw", None)]) is None
