"""`schemas.notes.duplicates`: the note of a retry is read as it was written, and nothing else is taken for one."""

from datetime import UTC, datetime

import orjson
import pytest

from schemas.notes.duplicates import duplicate_record, read_duplicate
from schemas.records import Position

RECORD = duplicate_record(
    endpoint="acme",
    delivery="019a0000-0000-7000-8000-000000000001",
    received_at=datetime(2026, 5, 21, 14, 0, 0, 250_000, tzinfo=UTC),
    raw=Position("dropstream.raw", 3, 1042),
    first=Position("dropstream.raw", 3, 1041),
)


def test_a_note_says_both_positions() -> None:
    """The note names the retry and its first try, which lies in the same partition; its header leads to the retry."""
    note = read_duplicate(RECORD.value)
    assert note is not None
    assert (note.raw, note.first) == ("dropstream.raw/3/1042", "dropstream.raw/3/1041")
    assert (note.endpoint, note.recordedtime) == ("acme", "2026-05-21T14:00:00.250000Z")
    assert (RECORD.topic, RECORD.key) == ("duplicates", b"acme")
    assert RECORD.headers == (("dropstream-raw", b"dropstream.raw/3/1042"),)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b"{}",
        orjson.dumps({**orjson.loads(RECORD.value), "first": 1041}),
        orjson.dumps({**orjson.loads(RECORD.value), "recordedtime": "2026-99-99T14:00:00.250000Z"}),
    ],
)
def test_what_another_producer_wrote_is_no_note(value: bytes | None) -> None:
    """Reading is total: a record that is no note gives None, and never an error."""
    assert read_duplicate(value) is None
