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


@pytest.mark.parametrize("headers", ["api-key: made-up-key", "api-key=made-up%20key,broken made-up-key"])
async def test_no_log_has_the_collector_s_login(monkeypatch: pytest.MonkeyPatch, headers: str) -> None:
    """A password in the URL, and the header that OpenTelemetry cannot read and repeats, stand in no line."""
    asked = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://shop:made-up-word@127.0.0.1:1/otlp?key=made-up-query",
        "OTEL_EXPORTER_OTLP_HEADERS": headers,
    }
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    with capture_logs() as lines:
        async with exporting("ingest", asked, samples_itself=True):
            pass
    assert [one["event"] for one in lines] == ["traces_not_exported", "traces_exported"]
    assert lines[0]["why"].startswith("Header format invalid!")
    assert lines[1]["to"] == "http://127.0.0.1:1"
    assert "made-up" not in str(lines)


async def test_a_variable_that_cannot_be_used_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that OpenTelemetry refuses costs the traces, with a sentence in the log, and not the program."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "0")
    with capture_logs() as lines:
        async with exporting("ingest", ASKED, samples_itself=True) as spans:
            assert spans is None
    assert [(one["event"], one["log_level"]) for one in lines] == [("traces_not_exported", "warning")]
    assert lines[0]["why"] == "a variable OTEL_… cannot be used: schedule_delay_millis must be positive."
