"""Which verbs put what they do on record: a new verb says whether it acts, and one that acts calls the record."""

import re

import pytest
from typer.main import get_command

from ops.cli import app
from tests.support.checkout import ROOT
from tests.unit.house.test_papers import verbs

# The verb, and where it puts its act on record.
ACTING = {
    "dropstream gaps dismiss": "ops/inspect/gaps_command.py",
    "dropstream offsets set": "ops/kafka/offsets_command.py",
    "dropstream reconcile": "ops/reconcile/work.py",
    "dropstream redrive": "ops/replay/call.py",
    "dropstream replay": "ops/replay/call.py",
    "dropstream topics apply": "ops/kafka/topics_command.py",
}
# These read, run a service that records by itself, or change nothing in topics that exist (docs/operate.md says so).
NOT_ACTING = {
    *(f"dropstream {word}" for word in ("acts", "audit", "console", "doctor", "drain", "explain", "ingest", "process")),
    *(f"dropstream {word}" for word in ("send", "tail", "trace", "up")),
    *(f"dropstream endpoints {word}" for word in ("add", "check", "list", "renew", "token")),
    *(f"dropstream kafka {word}" for word in ("start", "status", "stop")),
    *(f"dropstream schemas {word}" for word in ("export", "register")),
    *(f"dropstream shipstream webhooks {word}" for word in ("create", "delete", "disable", "enable", "list")),
    *(f"dropstream topics {word}" for word in ("acls", "plan")),
    "dropstream offsets show",
}


def test_every_verb_is_known_as_one_that_acts_or_not() -> None:
    """Who adds a verb says whether it writes to topics or moves offsets for a person."""
    # `gaps` without a word lists them, and is no verb of its own here.
    assert set(verbs(get_command(app), "dropstream")) == ACTING.keys() | NOT_ACTING


@pytest.mark.parametrize("verb", sorted(ACTING))
def test_a_verb_that_acts_puts_it_on_record(verb: str) -> None:
    """The file that does the work does it within a record."""
    text = (ROOT / ACTING[verb]).read_text(encoding="utf-8")
    assert re.search(r"async with recorded_call\(", text)
