"""Every format that dropstream keeps for itself has a number, and a higher one than is known is refused."""

import json
from collections.abc import Callable

import pytest

from processors.deliver.keys.buckets import read_bucket
from processors.sequence.state import read_entry
from schemas.notes import audits, reconciliations, replays
from schemas.notes.audits import AuditResult, Checkpoint
from schemas.notes.formats import NewerFormatError, format_of, numbered
from schemas.notes.layout_faults import layout_fault, placing_count
from schemas.notes.layouts import Layout, read_layout, write_layout
from schemas.notes.reconciliations import ReconcileRun
from schemas.notes.replays import Choice, Range, ReplayPlan, ReplayProgress

PLAN = ReplayPlan(id="replay-20260521T140000Z-3fa9c1", source="raw", choice=Choice(), ranges=(Range(0, 1, 5),))
RUN = ReconcileRun(
    id="reconcile-20260521T140000Z-3fa9c1",
    endpoint="shop",
    begin="2026-05-21T14:00:00.000000Z",
    end=None,
    changed_at="2026-05-21T14:00:00.000000Z",
)
RESULT = AuditResult(finished_at="2026-05-21T14:00:00.000000Z", status="clean", deliveries=1, pending=0, exceptions={})
CHECKPOINT = Checkpoint(looked_at="2026-05-21T14:00:00.000000Z", raw={0: 7}, begins={}, ends={}, replays=())
HEAD = (
    b'{"epoch":1,"baseline":1,"highest":8,"stream_at":"2026-05-21T14:00:00+00:00","began_at":null,"newest":null,'
    b'"older_until":null}'
)

# By what is stored: as it is written today, and how it is read.
STORED: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "plan": (replays.write(PLAN), replays.read_plan),
    "progress": (replays.write(ReplayProgress(next=4)), replays.read_progress),
    "run": (reconciliations.write_run(RUN), reconciliations.read_run),
    "result": (audits.write(RESULT), audits.read_result),
    "checkpoint": (audits.write(CHECKPOINT), audits.read_checkpoint),
    "sequence": (numbered(HEAD, 1), lambda value: read_entry(b'["shop"]', value)),
}

every_format = pytest.mark.parametrize("name", STORED)


@every_format
def test_what_is_written_says_its_format_first(name: str) -> None:
    """And is read again as it was, with the number and, as version 0.1.0 wrote it, without one."""
    value, read = STORED[name]
    assert value.startswith(b'{"format":1,')
    without = b"{" + value.removeprefix(b'{"format":1,')
    assert read(value) == read(without)
    assert read(value) is not None


@every_format
def test_a_newer_format_is_refused_with_a_sentence(name: str) -> None:
    """Whatever else it holds: what this version could make of it may be wrong."""
    value, read = STORED[name]
    newer = value.replace(b'{"format":1,', b'{"format":2,"more":[1],')
    with pytest.raises(NewerFormatError) as caught:
        read(newer)
    first, second = str(caught.value).splitlines()
    assert first.endswith("is of format 2, which a newer dropstream wrote; this version knows formats up to 1")
    assert second == "Start the newer version again. Nothing was changed there."


def test_a_newer_bucket_is_refused_and_text_is_corrupt() -> None:
    """The number of a bucket's format is the first byte of its key; letters are no number."""
    with pytest.raises(NewerFormatError, match="is of format 2"):
        read_bucket(b"\x02" + bytes(8), b"anything")
    with pytest.raises(ValueError, match="no bucket"):
        read_bucket(b"a" + bytes(8), b"anything")


def test_under_a_newer_layout_nothing_is_placed_and_nothing_processed() -> None:
    """The ingress waits, and so spools; the processors end with the sentence, and nothing is written over it."""
    layout = read_layout(write_layout(Layout(partitions=12)).replace(b'"format":1', b'"format":3'))
    assert layout is not None
    assert placing_count(layout, 12) == 0
    fault = layout_fault(layout, {"raw": 12, "deliver-state": 12}, "shop.")
    assert fault.startswith("the record of shop.layout is of format 3, which a newer dropstream wrote;")


def test_a_layout_says_its_format_and_nothing_of_what_is_unknown() -> None:
    """As it is written."""
    written = json.loads(write_layout(Layout(partitions=12)))
    assert written == {"format": 1, "partitions": 12, "target": None, "phase": None, "ends": None, "moves": []}
    assert read_layout(b'{"partitions":12}') == Layout(partitions=12)


@pytest.mark.parametrize("value", [None, b"", b"no json", b"[2]", b'"format"', b'{"format":"2"}', b'{"partitions":1}'])
def test_what_says_no_number_is_of_the_first_format(value: bytes | None) -> None:
    """And what is no object of ours is another's fault, told elsewhere."""
    assert format_of(value) == 1
