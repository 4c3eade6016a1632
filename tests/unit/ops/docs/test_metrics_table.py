"""The table of metrics is that of the code."""

from ops.docs.metrics_table import MetricRow, metric_rows, metrics_table
from tests.support.checkout import ROOT


def test_the_file_is_that_of_the_code() -> None:
    """After a change run `make metrics`."""
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == metrics_table()


def test_every_metric_says_what_it_is() -> None:
    """A whole sentence of it, a name of ours or of any program's process, and no two by one name."""
    rows = [row for rows in metric_rows().values() for row in rows]
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.name.startswith(("dropstream_", "process_", "python_gc_"))
        assert len(row.meaning) > 20, row.name
        assert "|" not in row.meaning


def test_units_follow_the_names() -> None:
    """Where a name says none, it is a plain number."""
    names = (
        "a_timestamp_seconds",
        "a_seconds",
        "a_seconds_allowed",
        "a_bytes_total",
        "a_bytes_max",
        "a_ratio",
        "a_total",
    )
    units = [MetricRow(name, "gauge", (), "").unit for name in names]
    assert units == ["s since 1970", "s", "s", "bytes", "bytes", "0 to 1", ""]
