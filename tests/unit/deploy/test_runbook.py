"""The runbook, held to what it names: whoever has nothing else at 3 a.m. must be able to follow it to the end."""

import re
import shlex

import pytest
from typer.main import get_command

from ops.cli import app
from ops.docs.metrics_table import metric_rows
from schemas.settings import Settings
from tests.support.checkout import ROOT

RULES = (ROOT / "deploy" / "prometheus" / "rules.yaml").read_text(encoding="utf-8")
RUNBOOK = (ROOT / "deploy" / "runbook.md").read_text(encoding="utf-8")
ALERTS = {part.partition("\n")[0]: part for part in RULES.split("- alert: ")[1:]}
SECTIONS = {part.partition("\n")[0]: part for part in RUNBOOK.split("\n## ")[1:]}
QUOTED = sorted(set(re.findall(r"`([^`]+)`", RUNBOOK)))
# Also those that are called inside a container; `…` stands for a name.
COMMANDS = sorted({found for one in QUOTED for found in re.findall(r"(?:^|exec .*)\bdropstream ([a-z].*)", one)})
PACKAGES = ("schemas", "ingest", "processors", "ops")
CODE = "\n".join(file.read_text("utf-8") for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py")))


def setting_names() -> set[str]:
    """Every key of every table, alone and with its table."""
    tables = {name: field.annotation for name, field in Settings.model_fields.items()}
    keys = {(table, key) for table, kind in tables.items() for key in getattr(kind, "model_fields", ())}
    return {key for _, key in keys} | {f"{table}.{key}" for table, key in keys}


def test_runbook_and_alerts_are_one_set() -> None:
    """A heading for each alert in the order of the rules, each alert leads to its own; docs/operate.md counts them."""
    assert list(SECTIONS) == list(ALERTS)
    assert f"has {len(ALERTS)} alerts" in (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    for alert, body in ALERTS.items():
        place = "{{ with $externalLabels.dropstream_runbook }}{{ . }}{{ else }}runbook.md{{ end }}"
        assert f"runbook_url: '{place}#{alert.lower()}'\n" in body
        assert re.search(r"labels: \{severity: (page|ticket)\}", body), alert


@pytest.mark.parametrize("alert", ALERTS)
def test_every_heading_says_what_a_tired_person_needs(alert: str) -> None:
    """What it means, where to look, what to do, when it is over; and another's heading only where there is one."""
    for word in ("means", "look", "do", "over"):
        assert re.search(rf"\*\*{word}\*\*", SECTIONS[alert], re.IGNORECASE), word
    assert set(re.findall(r"Dropstream[A-Z]\w+", SECTIONS[alert])) <= ALERTS.keys()


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_can_be_called_as_it_is_written(line: str) -> None:
    """With its verb, options and values, as the command line itself reads them."""
    words = shlex.split(line.replace("…", "acme"))
    command, context, name = get_command(app), None, "dropstream"
    while True:
        context = command.make_context(name, words, parent=context)
        verbs = getattr(command, "commands", None)
        left = (*context._protected_args, *context.args)  # noqa: SLF001 the words left for the verb; no public name
        if verbs is None or (not left and getattr(command, "invoke_without_command", False)):
            return
        name, *words = left
        command = verbs[name]


def test_the_commands_are_found() -> None:
    """Those that matter most are among them, inside containers too."""
    assert {"doctor", "drain", "offsets show", "redrive --reason secret_expired --endpoint …"} <= set(COMMANDS)


def test_the_runbook_names_metrics_that_exist() -> None:
    """As docs/metrics.md has them, which is made from the same table."""
    known = {row.name for rows in metric_rows().values() for row in rows}
    assert set(re.findall(r"\bdropstream_[a-z]\w+", RUNBOOK)) <= known


def test_the_runbook_names_settings_that_exist() -> None:
    """`table.key`, with the table's own keys."""
    tables = "|".join(Settings.model_fields)
    named = {one for one in QUOTED if re.fullmatch(rf"({tables})\.[a-z_]+", one)}
    assert named
    assert named <= setting_names()


def test_the_runbook_names_events_and_reasons_that_the_code_says() -> None:
    """Each word to look for in a log, a record or a figure is one that can be found there."""
    words = {one for one in QUOTED if re.fullmatch(r"[a-z]+(_[a-z]+)+", one) and not one.startswith("dropstream_")}
    unsaid = {one for one in words if f'"{one}"' not in CODE and not re.search(rf"^    {one}: ", CODE, re.MULTILINE)}
    assert len(words) > 20
    assert unsaid == set()
