"""Writes the chart's values, schema, table of topics and page anew: `python -m ops.docs.chart.write . `."""

import sys
from pathlib import Path

from ops.docs.chart.page import chart_page
from ops.docs.chart.topic_table import topic_table
from ops.docs.chart.values import chart_values
from ops.docs.chart.values_file import values_file, values_schema


def chart_files() -> dict[str, str]:
    """The text of each file, by its path in the checkout."""
    values = chart_values()
    chart = "deploy/helm/dropstream"
    return {
        f"{chart}/values.yaml": values_file(values),
        f"{chart}/values.schema.json": values_schema(values),
        f"{chart}/files/topics.json": topic_table(),
        "docs/chart.md": chart_page(values),
    }


def write_chart(checkout: Path) -> None:
    """Writes each file anew; a folder that is not there yet is made."""
    for name, text in chart_files().items():
        file = checkout / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_chart(Path(sys.argv[1]))
