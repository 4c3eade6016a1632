"""What the export of traces does where it cannot be done, and how little it says of that."""

import logging
import sys

import pytest
from structlog.testing import capture_logs

from ops.tracing.exporting import exporting

ASKED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


async def test_without_the_extra_the_program_runs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that a cluster sets for every pod stop no program that has not the package; the log says what to do."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with capture_logs() as lines:
        async with exporting("ingest", ASKED, samples_itself=True) as spans:
            assert spans is None
    assert [(one["event"], one["log_level"]) for one in lines] == [("traces_not_exported", "warning")]
    assert "install dropstream[otel]" in lines[0]["why"]


async def test_complaints_are_one_line_a_minute() -> None:
    """A collector that is away does not fill the log, whatever OpenTelemetry says of each batch."""
    with capture_logs() as lines:
        async with exporting("ingest", ASKED, samples_itself=True) as spans:
            assert spans is not None
            for number in range(100):
                logging.getLogger("opentelemetry.exporter").warning("batch %d was not taken", number)
    assert [one["event"] for one in lines] == ["traces_exported", "traces_not_exported"]
    assert lines[1]["why"] == "batch 0 was not taken"
