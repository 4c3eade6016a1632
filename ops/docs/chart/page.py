"""The page of the chart's values, `docs/chart.md`."""

from collections.abc import Iterator, Sequence

from ops.docs.chart.rows import ChartValue
from ops.docs.chart.values_file import flow

_HEAD = """# Values of the Helm chart

Every value of `deploy/helm/dropstream`, with its default. How the parts behave in a cluster, how to scale, upgrade and
give a spool back: [the chart's own page](../deploy/helm/dropstream/README.md). A value that is misspelt or of the wrong
kind is refused before anything is installed (`values.schema.json`); a wrong value in `settings` is told by the job that
applies the topics, which stops the install.

`make settings` makes this page, `values.yaml` and `values.schema.json` from `ops/docs/chart/values.py`.
"""


def chart_page(values: Sequence[ChartValue]) -> str:
    """The text of the page."""
    return "\n".join([_HEAD.rstrip(), *_lines(values)]) + "\n"


def _lines(values: Sequence[ChartValue]) -> Iterator[str]:
    part = ""
    for value in values:
        head = value.path.partition(".")[0]
        if value.is_section and value.path == head:
            yield from ("", f"## {head}", "", value.meaning, "", *_TABLE)
            part = head
        elif head != part and "." not in value.path and part in {"", "whole"}:
            if not part:
                yield from ("", "## The whole", "", "What counts for all objects.", "", *_TABLE)
                part = "whole"
            yield _row(value)
        elif head != part:
            yield from ("", f"## {head}", "", *_TABLE, _row(value))
            part = head
        else:
            yield _row(value)


_TABLE = ("| value | default | meaning |", "| --- | --- | --- |")


def _row(value: ChartValue) -> str:
    default = "" if value.is_section else f"`{flow(value.default)}`"
    cells = (f"`{value.path}`", default, value.meaning + _words(value))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _words(value: ChartValue) -> str:
    words = [word for word in value.shape.get("enum", ()) if word]
    return f" One of {', '.join(f'`{word}`' for word in words)}." if words else ""
