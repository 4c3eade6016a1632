"""The paper of upgrades says the numbers that the code has."""

import re

from ingest.spool import tables
from processors.deliver.keys import buckets, folder
from processors.sequence import state
from schemas.notes import audits, layouts, reconciliations, replays
from tests.support.checkout import ROOT

PAPER = (ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8")


def test_every_number_of_a_format_is_told() -> None:
    """The column of today, row by row."""
    rows = re.findall(r"^\| (.+?) \| .+? \| (\d+|none) \| .+? \| .+? \|$", PAPER, re.MULTILINE)
    assert {name.strip("`"): number for name, number in rows} == {
        "spool file": str(tables.VERSION),
        "deliver-state": str(buckets.VERSION),
        "sequence-state": str(state.FORMAT),
        "layout": str(layouts.FORMAT),
        "replay-state": str(replays.FORMAT),
        "reconcile-state": str(reconciliations.FORMAT),
        "audit-state": str(audits.FORMAT),
        "store in `process.state_dir": str(folder.FORMAT),
        "rules": "none",
    }
