"""Asks the ingresses when they last began to answer a provider with anything but 200; they hold it in memory."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from ops.addresses import reached_at
from ops.http_page import fetch_page
from schemas.errors import DropstreamError
from schemas.settings import Settings

_GAUGE = "dropstream_ingest_failing_began_timestamp_seconds"
_WITHIN_S = 5.0
# What a provider tried last before it failed, and clocks that differ.
_OVERLAP = timedelta(minutes=10)


async def begin_of_last_outage(settings: Settings, endpoint: str) -> datetime:
    """A little before the first failed answer of the endpoint's last outage, of all ingresses the one that began last.

    Raises:
        DropstreamError: no ingress that answers knows of one.
    """
    ingest = settings.ingest
    addresses = settings.console.ingest_admin or [reached_at(ingest.admin_host, ingest.admin_port)]
    pages = [await fetch_page(f"http://{one}/metrics", within_s=_WITHIN_S) for one in addresses]
    began = began_at((one.body.decode("utf-8", "replace") for one in pages if one is not None), endpoint)
    if began is None:
        raise DropstreamError(
            f"no ingress at {', '.join(addresses)} remembers an outage of {endpoint}\n"
            "One that was away itself remembers none: name the time with --from."
        )
    return datetime.fromtimestamp(began, UTC) - _OVERLAP


def began_at(texts: Iterable[str], endpoint: str) -> float | None:
    """When the endpoint's last outage began, in seconds since 1970, by texts of `/metrics`; None where none does.

    A text that is no page of metrics, as that of a proxy whose ingress is away, knows of none.
    """
    return max((began for text in texts for began in _beginnings(text, endpoint)), default=None)


def _beginnings(text: str, endpoint: str) -> list[float]:
    try:
        return [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == _GAUGE and sample.labels.get("endpoint") == endpoint
        ]
    except ValueError:
        return []
