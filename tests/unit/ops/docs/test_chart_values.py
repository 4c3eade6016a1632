"""The values of the Helm chart, held to their table in code."""

import json
from pathlib import Path

import pytest

from ops.docs.chart.rows import ChartValue
from ops.docs.chart.values import chart_values
from ops.docs.chart.values_file import flow, values_schema
from ops.docs.chart.write import chart_files, write_chart
from tests.support.checkout import ROOT

VALUES = chart_values()


@pytest.mark.parametrize("name", chart_files())
def test_the_files_are_those_of_the_table(name: str) -> None:
    """After a change run `make settings`."""
    assert (ROOT / name).read_text(encoding="utf-8") == chart_files()[name]


def test_writing_replaces_what_was_there_and_writes_nothing_else(tmp_path: Path) -> None:
    """In an empty folder as over old files, and twice the same."""
    write_chart(tmp_path)
    old = tmp_path / "deploy/helm/dropstream/values.yaml"
    old.write_text(old.read_text(encoding="utf-8") + "old: true\n" * 100, encoding="utf-8")
    write_chart(tmp_path)
    written = {str(one.relative_to(tmp_path)): one.read_text(encoding="utf-8") for one in tmp_path.rglob("*.*")}
    assert written == chart_files()
    assert sorted(written) == [
        "deploy/helm/dropstream/files/topics.json",
        "deploy/helm/dropstream/values.schema.json",
        "deploy/helm/dropstream/values.yaml",
        "docs/chart.md",
    ]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.path)
def test_every_value_says_what_it_means(value: ChartValue) -> None:
    """A sentence of it, and what may stand there."""
    assert len(value.meaning) > 8
    assert value.meaning.endswith((".", "”"))
    assert value.is_section or value.shape


def test_no_value_stands_twice() -> None:
    """One row for each path."""
    assert len({value.path for value in VALUES}) == len(VALUES) > 150


def test_every_key_of_the_schema_is_told() -> None:
    """Whatever may be written into a file of values has a sentence beside it."""
    untold = []

    def look(shape: dict[str, object], path: str) -> None:
        for name, one in (shape.get("properties") or {}).items():  # type: ignore[attr-defined] # of JSON
            has_own = any(value.path.startswith(f"{path}{name}.") for value in VALUES)
            if "description" not in one and not has_own:
                untold.append(f"{path}{name}")
            look(one, f"{path}{name}.")

    look(json.loads(values_schema(VALUES)), "")
    assert [one for one in untold if not one.startswith(("global", "settings.", "console.tokenSecret."))] == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("10Gi", "10Gi"),
        ("500m", "500m"),
        ("on", '"on"'),
        ("17 * * * *", '"17 * * * *"'),
        ("1e3", '"1e3"'),
        ("", '""'),
        ({"a": [1, True, None]}, "{a: [1, true, null]}"),
    ],
)
def test_a_default_is_written_as_yaml_reads_it(value: object, text: str) -> None:
    """Text that another reader would take for a number or a truth has quotes."""
    assert flow(value) == text
