"""What a person may ask of replay, redrive, trace and offsets, and what is told of that which cannot be meant."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.cli import app
from schemas.errors import UsageError

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
    "replay --into a.b": "--into 'a.b' is not a suffix: letters, digits, - and _, at most 60",
    "replay --endpoint acme": ("say where the events go: --into SUFFIX, or --in-place; or look first with --dry-run"),
    "replay --from tomorrow --dry-run": (
        "--from 'tomorrow' is none of: beginning, latest, P:OFFSET, a time such as 2026-05-21T14:00:00Z, 2h, yesterday"
    ),
    "replay --from latest --dry-run": (
        "--from 'latest' leaves nothing; give a time such as 2026-05-21T14:00:00Z, 2h, yesterday, or P:OFFSET"
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
        "replay-20260521T140000Z-3fa9c1 is not the id of a redrive; one begins with redrive-"
    ),
    "trace 7 --endpoint acne": "no such endpoint: acne; nearest: acme",
    "offsets set --group g --topic raw --to soon": (
        "--to 'soon' is none of: earliest, latest, an offset, a time such as 2026-05-21T14:00:00Z, 2h, yesterday"
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
