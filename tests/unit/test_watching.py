"""What people watch the system with: alerts, runbook, dashboard. They name each other, and only metrics that exist."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from ops.cli import app
from ops.metrics_table import metric_rows
from tests.tools import tool

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = (PROMETHEUS / "rules.yaml").read_text(encoding="utf-8")
RUNBOOK = (ROOT / "deploy" / "runbook.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dropstream.json").read_text(encoding="utf-8"))
ALERTS = re.findall(r"- alert: (\w+)", RULES)
RECORDED = set(re.findall(r"- record: ([\w:]+)", RULES))
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}
# Verbs of the contract that are not there yet.
_TO_COME = {"offsets", "redrive"}
# The text of these goes into a name that is looked for.
_STRINGS = re.compile(r'"[^"]*"')


def samples() -> dict[str, frozenset[str]]:
    """The labels of every sample that can be asked for, by its name."""
    rows = [row for rows in metric_rows().values() for row in rows]
    named = {
        row.name + suffix: frozenset(row.labels) | ({"le"} if suffix == "_bucket" else set())
        for row in rows
        for suffix in _SUFFIXES.get(row.kind, ("",))
    }
    return named | {record: frozenset({"endpoint"}) for record in RECORDED}


def rule_bodies() -> dict[str, str]:
    """The text of each alert, by its name."""
    return {part.partition("\n")[0]: part for part in RULES.split("- alert: ")[1:]}


def expressions() -> Iterator[str]:
    """Every expression of the dashboard."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield DASHBOARD["templating"]["list"][1]["query"]["query"]


def unknown_names(text: str) -> set[str]:
    """What looks like a metric of ours in `text` and is none."""
    return set(re.findall(r"dropstream[_:][\w:]+", _STRINGS.sub('""', text))) - samples().keys()


@pytest.mark.parametrize(
    "command", ["check rules rules.yaml", "test rules rules_test.yaml", "test rules rules_silence_test.yaml"]
)
def test_the_alerts_fire_for_their_reasons_alone(command: str) -> None:
    """By Prometheus's own reckoning: each is caused once at least, and is silent in peace."""
    done = subprocess.run(
        [tool("promtool"), *command.split()], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_caused_in_a_test_and_silent_in_another() -> None:
    """An alert without a test may never fire; one that is not looked at in peace may always do."""
    text = "".join(path.read_text(encoding="utf-8") for path in PROMETHEUS.glob("rules*_test.yaml"))
    caused = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n", text))
    silent = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts: \[\]", text))
    assert caused == silent == set(ALERTS)


def test_runbook_and_alerts_are_one_set() -> None:
    """A heading for each alert in the order of the rules, and each alert leads to its own."""
    assert re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE) == ALERTS
    for alert, body in rule_bodies().items():
        assert f"runbook_url: runbook.md#{alert.lower()}\n" in body
        assert re.search(r"labels: \{severity: (page|ticket)\}", body), alert


def test_every_heading_of_the_runbook_says_what_a_tired_person_needs() -> None:
    """What it means, where to look, what to do, when it is over."""
    for part in RUNBOOK.split("\n## ")[1:]:
        alert, _, text = part.partition("\n")
        for word in ("means", "look", "do", "over"):
            assert re.search(rf"\*\*{word}\*\*", text, re.IGNORECASE), f"{alert}: {word}"


def test_the_runbook_uses_commands_that_exist() -> None:
    """Each verb, its options too; nobody wants to learn at 3 a.m. that it was called otherwise."""
    verbs = get_command(app)
    for line in re.findall(r"`dropstream ([a-z][^`]*)`", RUNBOOK):
        command = verbs
        for word in line.split():
            command = getattr(command, "commands", {}).get(word, command)
        if command is verbs:
            assert line.split()[0] in _TO_COME, line
            continue
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"(?<= )--[a-z-]+", line)) <= options, line


def test_alerts_and_runbook_name_metrics_that_exist() -> None:
    """An expression over a name that nobody exports is silent for ever."""
    assert unknown_names(RULES) == set()
    assert unknown_names(RUNBOOK) <= {"dropstream_"}


@pytest.mark.parametrize("expression", sorted(expressions()))
def test_the_dashboard_shows_metrics_that_exist(expression: str) -> None:
    """By name, and grouped by labels that they have."""
    assert unknown_names(expression) == set()
    known = samples()
    names = [name for name in known if re.search(rf"\b{name}\b", expression)]
    assert names
    labels = {"instance", *(label for name in names for label in known[name])}
    grouped = {label for group in re.findall(r"by \(([\w, ]+)\)", expression) for label in group.split(", ")}
    selected = set(re.findall(r"[{,](\w+)(?:=~|=|!=)", expression))
    assert grouped | selected <= labels


def test_the_dashboard_is_one_that_grafana_reads() -> None:
    """Panels with ids of their own that do not lie on each other, each with something to show."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    assert all(panel["type"] == "row" or panel["targets"] for panel in panels)
