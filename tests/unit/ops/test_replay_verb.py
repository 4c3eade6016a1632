"""What a person may ask of replay, redrive, trace and offsets, and what is told of that which cannot be meant."""

import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.kafka.offsets import parse_offset_target
from ops.kafka.ranges import Span, parse_span
from ops.kafka.reader import AtOffset
from ops.replay.store import ReplayStore, check_same_choice, check_unused_suffix
from schemas.errors import DropstreamError, UsageError
from schemas.notes.replays import Choice, ReplayPlan
from tests.support.waiting import PATIENCE_S

CONFIGURATION = """
[kafka]
bootstrap_servers = "127.0.0.1:1"
[endpoints.acme]
provider = "shipstream"
secrets = ["env:ACME"]
"""
FAULTS = {
    "replay --endpoint acne --dry-run": "no such endpoint: acne; nearest: acme",
    "replay --provider dropia --dry-run": "no such provider: dropia; nearest: dropea",
    "replay --topics order --dry-run": "no such topic of events: order; nearest: orders",
    "replay --in-place --into x": "--into and --in-place exclude each other",
    "replay --into a.b": "--into 'a.b' is no suffix: letters, digits, - and _, at most 60",
    "replay --endpoint acme": ("say where the events go: --into SUFFIX, or --in-place; or look first with --dry-run"),
    "replay --from yesterday --dry-run": (
        "--from 'yesterday' is none of: beginning, latest, a time such as 2026-05-21T14:00:00Z, P:OFFSET"
    ),
    "replay --from latest --dry-run": (
        "--from 'latest' leaves nothing; give a time such as 2026-05-21T14:00:00Z, or P:OFFSET"
    ),
    "replay --from 2026-05-02T00:00:00Z --to 2026-05-01T00:00:00Z --dry-run": (
        "--from 2026-05-02T00:00:00Z is not before --to 2026-05-01T00:00:00Z; nothing lies between them"
    ),
    "replay --from 0:9 --to 0:9 --dry-run": "--from 0:9 is not before --to 0:9; nothing lies between them",
    "replay --from 0:9 --to 1:9 --dry-run": (
        "--from and --to name different partitions; an offset is of one partition only"
    ),
    "replay --resume x --dry-run": "--dry-run and --resume exclude each other",
    "redrive --reason signature_wrong --dry-run": "no such reason: signature_wrong; nearest: signature_missing",
    "redrive --resume replay-20260521T140000Z-3fa9c1": (
        "replay-20260521T140000Z-3fa9c1 is no id of a redrive; one begins with redrive-"
    ),
    "trace 7 --endpoint acne": "no such endpoint: acne; nearest: acme",
    "offsets set --group g --topic raw --to soon": (
        "--to 'soon' is none of: earliest, latest, an offset, a time such as 2026-05-21T14:00:00Z"
    ),
}


@pytest.mark.parametrize(("asked", "sentence"), FAULTS.items(), ids=FAULTS)
def test_what_cannot_be_meant_is_one_sentence(asked: str, sentence: str, tmp_path: Path) -> None:
    """Before anything is read it ends as wrong usage, with what is valid."""
    config = tmp_path / "dropstream.toml"
    config.write_text(CONFIGURATION)
    ended = CliRunner().invoke(app, [*asked.split(" "), "--config", str(config)], env={"ACME": "secret"})
    assert isinstance(ended.exception, UsageError)
    assert str(ended.exception) == sentence
    assert ended.output == ""


@pytest.mark.parametrize("elsewhere", ["", "stdin", "stdout", "stderr"])
def test_a_question_is_for_a_person_who_sees_the_plan(elsewhere: str) -> None:
    """It is asked where input, output and errors are all a terminal; where one is not, it is a sentence."""
    ours, theirs = pty.openpty()
    os.write(ours, b"y\n")
    question = "from ops.screen import confirm; confirm('Begin?', yes=False)"
    stdin, stdout, stderr = (
        subprocess.DEVNULL if stream == elsewhere else theirs for stream in ("stdin", "stdout", "stderr")
    )
    asked = subprocess.run(
        [sys.executable, "-c", question], stdin=stdin, stdout=stdout, stderr=stderr, check=False, timeout=PATIENCE_S
    )
    os.close(theirs)
    os.close(ours)
    assert (asked.returncode == 0) is not bool(elsewhere)


def test_places_are_taken_as_they_are_meant() -> None:
    """A time, an offset of one partition, and nothing for the beginning or the present end."""
    assert parse_span(None, None) == parse_span("beginning", "latest") == Span(None, None)
    noon = datetime(2026, 5, 21, 12, tzinfo=UTC)
    assert parse_span("2026-05-21T12:00:00Z", "3:7") == Span(noon, AtOffset(3, 7))
    assert parse_span("2026-05-21T12:00:00Z", "3:7").partition == 3
    assert [parse_offset_target(text) for text in ("earliest", "7", "2026-05-21T14:00:00+02:00")] == [
        "earliest",
        7,
        noon,
    ]


def plan(**choice: str) -> ReplayPlan:
    return ReplayPlan(id="replay-20260521T140000Z-3fa9c1", source="raw", choice=Choice(**choice), ranges=())  # type: ignore[arg-type] # text only


def test_resumed_with_other_options_it_is_refused() -> None:
    """The same command again is right, and so is the id alone; anything else names what differs."""
    check_same_choice(plan(endpoint="acme", into="x"), Choice())
    check_same_choice(plan(endpoint="acme", into="x"), Choice(endpoint="acme", into="x"))
    with pytest.raises(UsageError, match="was begun with --endpoint not given; --resume needs no other option"):
        check_same_choice(plan(into="x"), Choice(endpoint="acme"))
    with pytest.raises(UsageError, match="was begun with --from 2026-05-01"):
        check_same_choice(plan(begin="2026-05-01"), Choice(begin="2026-05-02"))


def test_an_id_is_found_or_the_nearest_is_named() -> None:
    """A slip in an id is told beside the right one."""
    store = ReplayStore({plan().id: plan()})
    assert store.find(plan().id) == plan()
    with pytest.raises(UsageError, match="nearest: replay-20260521T140000Z-3fa9c1"):
        store.find("replay-20260521T140000Z-3fa9c2")
    with pytest.raises(UsageError, match=r"^nothing of the id x was begun$"):
        ReplayStore().find("x")


def test_a_suffix_is_of_one_replay() -> None:
    """Its owner is named, and how to finish it where it is not finished."""
    store = ReplayStore({plan().id: plan(into="fixed")})
    check_unused_suffix(store, "other")
    with pytest.raises(DropstreamError, match=r"hold the data of replay-2026.*finish that one: --resume replay-2026"):
        check_unused_suffix(store, "fixed")
