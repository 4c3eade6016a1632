"""When the last outage began, by what the ingresses show."""

from ops.reconcile.outage import began_at

TEXT = """# HELP dropstream_ingest_failing_began_timestamp_seconds When.
# TYPE dropstream_ingest_failing_began_timestamp_seconds gauge
dropstream_ingest_failing_began_timestamp_seconds{endpoint="acme",worker="0"} 1000.0
dropstream_ingest_failing_began_timestamp_seconds{endpoint="acme",worker="1"} 1200.0
dropstream_ingest_failing_began_timestamp_seconds{endpoint="other"} 5000.0
dropstream_ingest_failing_seconds{endpoint="acme"} 9000.0
"""


def test_of_several_workers_and_ingresses_the_last_beginning_counts() -> None:
    """Each ingress knows its own answers."""
    assert began_at([TEXT, TEXT.replace("1200.0", "1100.0")], "acme") == 1200.0


def test_an_endpoint_that_never_failed_had_no_outage() -> None:
    """Nor does an ingress without figures know of one."""
    assert began_at([TEXT], "silent") is None
    assert began_at([], "acme") is None
