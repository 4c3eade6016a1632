"""What people watch the system with. Each alert fires for its reason alone; alerts and dashboard name what exists."""

import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from ops.docs.metrics_table import metric_rows
from tests.support.checkout import ROOT
from tests.support.tools import tool

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = (PROMETHEUS / "rules.yaml").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dropstream.json").read_text(encoding="utf-8"))
ALERTS = re.findall(r"- alert: (\w+)", RULES)
RECORDED = set(re.findall(r"- record: ([\w:]+)", RULES))
PACKAGES = ("schemas", "ingest", "processors", "ops")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}
# The text of these goes into a name that is looked for.
_TEMPLATES = re.compile(r"\{\{.*?\}\}")
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


def expressions() -> Iterator[str]:
    """Every expression of the dashboard."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield DASHBOARD["templating"]["list"][1]["query"]["query"]


def unknown_names(text: str) -> set[str]:
    """What looks like a metric of ours in `text` and is none."""
    plain = _STRINGS.sub('""', _TEMPLATES.sub("", text))
    return set(re.findall(r"dropstream[_:][\w:]+", plain)) - samples().keys()


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


def test_alerts_name_metrics_that_exist() -> None:
    """An expression over a name that nobody exports is silent for ever."""
    assert unknown_names(RULES.partition("groups:")[2]) == set()


def test_alerts_choose_labels_and_values_that_exist() -> None:
    """A value that the code never says would make an alert that never fires."""
    code = "\n".join(file.read_text("utf-8") for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py")))
    said = set(re.findall(r'"([a-z_]+)"', code)) | {""}
    chosen = re.findall(r'[{,](\w+)(?:=~|!~|!=|=)"([^"]*)"', re.sub(r"\s+", "", RULES.partition("groups:")[2]))
    assert len(chosen) > 10
    labels = frozenset().union(*samples().values()) | {"job"}
    for label, values in chosen:
        assert label in labels
        for value in values.split("|") if label != "job" else ():
            assert any(re.fullmatch(value, one) for one in said), value


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
