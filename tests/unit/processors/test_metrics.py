"""What the processors count, by what they wrote and by what is configured."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from processors.deliver.dedupe import DedupeStore
from processors.metrics import ProcessMetrics
from schemas.configuration import Context, read_configuration
from schemas.notes.gaps import Gap, GapState, gap_record
from schemas.notes.rejections import Reason
from schemas.records import Record
from schemas.sections.endpoints import EndpointSettings
from tests.providers.fixtures import load_fixtures
from tests.providers.outcomes import records

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOON = "2026-11-21T12:00:00.000000Z"
ORDER_CREATED = next(one for one in load_fixtures() if str(one) == "shipstream/order-created")


class Figures:
    """Metrics on a registry of their own, and a way to look a sample up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = ProcessMetrics(self.registry, lambda: NOW)

    def of(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"dropstream_process_{name}", labels)


def endpoints(text: str) -> Mapping[str, EndpointSettings]:
    context = Context({"A": "a", "B": "b"}, ["shipstream"])
    return read_configuration(text, source="test", context=context).endpoints


def test_rejected_deliveries_are_counted_by_endpoint() -> None:
    """One that is not configured is nobody: strangers make no labels."""
    figures = Figures()
    forged = replace(ORDER_CREATED, headers=(("x-plugin-hmac-sha256", b"AAAA"),))
    figures.metrics.deliver.count_outputs(records(forged))
    invented = tuple(
        ("dropstream-endpoint", b"invented") if name == "dropstream-endpoint" else (name, value)
        for name, value in records(forged)[0].headers
    )
    unknown = tuple(
        (name, b"endpoint_unknown") if name == "dropstream-reason" else (name, value) for name, value in invented
    )
    bare = (("dropstream-reason", b"body_unrecognised"),)
    figures.metrics.deliver.count_outputs([Record("rejected", b"", b"", unknown), Record("rejected", b"", b"", bare)])
    counted = {
        (sample.labels["endpoint"], sample.labels["reason"]): sample.value
        for family in figures.registry.collect()
        for sample in family.samples
        if sample.name == "dropstream_process_rejected_total"
    }
    assert counted == {
        ("fixture", "signature_invalid"): 1,
        ("", "endpoint_unknown"): 1,
        ("", "body_unrecognised"): 1,
    }


def test_all_that_can_happen_to_an_endpoint_begins_at_0() -> None:
    """Or the first event would be no increase to whoever scrapes."""
    figures = Figures()
    figures.metrics.groups.expect_group("deliver")
    figures.metrics.expect_endpoints("deliver", ["acme"])
    figures.metrics.expect_endpoints("sequence", ["acme"])
    for reason in set(Reason) - {Reason.ENDPOINT_UNKNOWN}:
        assert figures.of("rejected_total", group="deliver", endpoint="acme", reason=reason) == 0
    assert figures.of("rejected_total", group="deliver", endpoint="", reason="endpoint_unknown") == 0
    assert figures.of("duplicates_total", group="deliver", endpoint="acme") == 0
    assert figures.of("gaps_total", endpoint="acme", state="lost") == 0
    assert figures.of("rounds_failed_total", group="deliver", reason="partition_not_opened") == 0
    assert figures.of("transactions_failed_total", group="deliver") == 0


def test_gaps_are_counted_by_state() -> None:
    """Each record of `gaps` once."""
    figures = Figures()
    gap = Gap(
        endpoint="acme", first=3, last=5, state=GapState.LOST, suspected_at=NOON, changed_at=NOON, epoch=1, raw=""
    )
    figures.metrics.sequence.count_outputs([gap_record(gap), gap_record(gap)])
    assert figures.of("gaps_total", endpoint="acme", state="lost") == 2


def test_a_providers_clock_that_is_ahead_shows() -> None:
    """Received 6 minutes before it happened; one without a time of its own changes nothing."""
    figures = Figures()
    early = datetime(2021, 12, 7, 16, 2, 15, tzinfo=UTC)
    figures.metrics.deliver.count_outputs(records(replace(ORDER_CREATED, received_at=early)))
    assert figures.of("provider_ahead_seconds", endpoint="fixture") == 360
    timeless = next(one for one in load_fixtures() if str(one) == "dreamship/basic-order")
    figures.metrics.deliver.count_outputs(records(timeless))
    assert figures.of("provider_ahead_seconds", endpoint="fixture") == 360


def test_secrets_that_end_show_how_long_they_are_good() -> None:
    """By the last of the endpoint's; one that never ends, or that is off, has no sample; below 0 once it is over."""
    figures = Figures()
    known = endpoints(
        """
        [endpoints.rotating]
        provider = "shipstream"
        secrets = [{value = "env:A", expires = 2026-11-22T12:00:00Z}, {value = "env:B", expires = 2026-11-21T13:00:00Z}]
        [endpoints.over]
        provider = "shipstream"
        secrets = [{value = "env:A", expires = 2026-11-21T11:59:00Z}]
        [endpoints.safe]
        provider = "shipstream"
        secrets = [{value = "env:A", expires = 2026-11-21T11:59:00Z}, "env:B"]
        [endpoints.off]
        provider = "shipstream"
        secrets = [{value = "env:A", expires = 2026-11-21T11:59:00Z}]
        enabled = false
        """
    )
    figures.metrics.deliver.secrets.watch(lambda: known)
    left = {name: figures.of("secrets_left_seconds", endpoint=name) for name in known}
    assert left == {"rotating": 86_400, "over": -60, "safe": None, "off": None}


def test_a_partition_that_went_elsewhere_is_not_shown() -> None:
    """Its lag is another process's to tell; twice does no harm."""
    figures = Figures()
    for partition in (0, 1):
        figures.metrics.groups.show_partition("deliver", partition, lag=7, store=DedupeStore(window_s=1))
    for _ in range(2):
        figures.metrics.groups.hide_partition("deliver", 0)
    assert figures.of("lag_records", group="deliver", partition="0") is None
    assert figures.of("lag_records", group="deliver", partition="1") == 7
