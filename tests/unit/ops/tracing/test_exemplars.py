"""The page of metrics as OpenMetrics, with the traced delivery of each bucket; and when traces are asked for."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from ingest.metrics import ANSWER_SECONDS, IngestMetrics
from ops.service.metrics_page import describe_process, page_of
from ops.tracing.exemplars import Exemplars, takes_openmetrics
from ops.tracing.exporting import is_asked_for

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_a_bucket_names_its_newest_trace() -> None:
    """Prometheus' own parser reads the page, and finds the trace at the bucket that the time belongs to."""
    registry = CollectorRegistry()
    describe_process(registry)
    metrics = IngestMetrics(registry)
    metrics.answers.answer_took(0.004)
    Counter("dropstream_made_up", "A made-up one.", registry=registry).inc()
    Histogram(
        "dropstream_process_transaction_seconds", "Another.", ["group"], buckets=(1.0,), registry=registry
    ).labels("deliver").observe(2.0)
    exemplars = Exemplars()
    for seconds, trace in ((0.003, "1" * 32), (0.004, TRACE)):
        exemplars.note("dropstream_ingest_answer_seconds", ANSWER_SECONDS, seconds, trace_id=trace)
    name = "dropstream_process_transaction_seconds"
    exemplars.note(name, (1.0,), 2.0, trace_id=TRACE, labels='group="deliver",')
    page = exemplars.openmetrics(await page_of(registry)).decode()
    found = {
        (sample.name, sample.labels["le"]): (sample.exemplar.labels, sample.exemplar.value)
        for family in text_string_to_metric_families(page)  # type: ignore[no-untyped-call] # it ships without
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert found == {
        ("dropstream_ingest_answer_seconds_bucket", "0.005"): ({"trace_id": TRACE}, 0.004),
        (f"{name}_bucket", "+Inf"): ({"trace_id": TRACE}, 2.0),
    }


def test_a_scraper_that_does_not_ask_gets_what_it_knows() -> None:
    """Prometheus asks for OpenMetrics by name."""
    assert takes_openmetrics("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5")
    assert not takes_openmetrics("text/plain;version=0.0.4")


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_SERVICE_NAME": "shop"}, False),
    ],
)
def test_an_endpoint_asks_for_traces(environ: dict[str, str], asked: bool) -> None:
    """Without an endpoint nothing is exported; the standard switches switch it off."""
    assert is_asked_for(environ) is asked
