"""Reads from the text of `/metrics` what the console shows: spool, ingress and failure budgets; pure.

With several workers or machines, counts are added up and ages are the greatest.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_SPOOL = "dropstream_ingest_spool_"


@dataclass(frozen=True, slots=True)
class ScrapedSpool:
    """Deliveries on the ingress's disk; `usable` says that the disk takes more, `bytes_max` 0 that none is wanted.

    `refused` and `damaged` are deliveries that are not sent, `unread_files` files of the spool that cannot be read;
    `hung` says that the disk does not answer in time.
    """

    deliveries: int
    refused: int
    bytes_used: int
    bytes_max: int
    oldest_seconds: float
    free_bytes: int
    usable: bool
    damaged: int = 0
    unread_files: int = 0
    hung: bool = False


@dataclass(frozen=True, slots=True)
class EndpointBudget:
    """The share (0 to 1) of its failure budget that an endpoint has left before its provider switches it off."""

    endpoint: str
    left: float


@dataclass(frozen=True, slots=True)
class ScrapedMetrics:
    """The metrics of one scrape of every admin port.

    `partitions_overdue` is how many partitions of `raw` have not taken what the ingress sent them in time.
    """

    spool: ScrapedSpool | None = None
    partitions_overdue: int = 0
    budgets: tuple[EndpointBudget, ...] = ()
    connected: bool | None = None
    answers: Mapping[str, int] = field(default_factory=dict)
    # When any ingress last answered a delivery 200, be it in Kafka or on its disk; in ms since 1970.
    delivered_at_ms: int | None = None
    # Ids that did not come and are in their grace time, by endpoint; only endpoints that have some.
    suspected: Mapping[str, int] = field(default_factory=dict)


def read_metrics(texts: Iterable[str]) -> ScrapedMetrics:
    """The metrics of these scrapes together.

    Raises:
        ValueError: a text is no Prometheus text.
    """
    samples: dict[str, list[Sample]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append(sample)
    connected = _values(samples, "dropstream_ingest_producer_connected")
    answers: dict[str, int] = {}
    suspected: Counter[str] = Counter()
    for one in samples.get("dropstream_process_suspected_ids", ()):
        suspected[one.labels.get("endpoint", "")] += int(one.value)
    for one in samples.get("dropstream_ingest_requests_total", ()):
        outcome = one.labels.get("outcome", "")
        answers[outcome] = answers.get(outcome, 0) + int(one.value)
    return ScrapedMetrics(
        spool=_spool(samples),
        partitions_overdue=int(max(_values(samples, "dropstream_ingest_partitions_overdue"), default=0)),
        budgets=_budgets(samples),
        connected=all(connected) if connected else None,
        answers=answers,
        delivered_at_ms=_delivered_at_ms(samples),
        suspected=+suspected,  # Those above 0.
    )


def _delivered_at_ms(samples: Mapping[str, list[Sample]]) -> int | None:
    times = _values(samples, "dropstream_ingest_last_success_timestamp_seconds")
    return int(1_000 * max(times)) if times else None


def _spool(samples: Mapping[str, list[Sample]]) -> ScrapedSpool | None:
    usable = _values(samples, f"{_SPOOL}usable")
    if not usable:
        return None
    return ScrapedSpool(
        deliveries=int(sum(_values(samples, f"{_SPOOL}deliveries"))),
        refused=int(sum(_values(samples, f"{_SPOOL}refused"))),
        bytes_used=int(sum(_values(samples, f"{_SPOOL}bytes"))),
        bytes_max=int(sum(_values(samples, f"{_SPOOL}bytes_max"))),
        oldest_seconds=max(_values(samples, f"{_SPOOL}oldest_seconds"), default=0.0),
        free_bytes=int(min(_values(samples, f"{_SPOOL}free_bytes"), default=0)),
        usable=all(usable),
        damaged=int(sum(_values(samples, f"{_SPOOL}damaged"))),
        unread_files=int(sum(_values(samples, f"{_SPOOL}unread_files"))),
        hung=any(_values(samples, f"{_SPOOL}hung")),
    )


def _budgets(samples: Mapping[str, list[Sample]]) -> tuple[EndpointBudget, ...]:
    """The budgets by endpoint; of several processes the one that has failed most counts."""
    used: dict[str, float] = {}
    for one in samples.get("dropstream_ingest_failure_budget_used_ratio", ()):
        endpoint = one.labels.get("endpoint", "")
        used[endpoint] = max(one.value, used.get(endpoint, 0.0))
    return tuple(EndpointBudget(endpoint, 1 - share) for endpoint, share in sorted(used.items()))


def _values(samples: Mapping[str, list[Sample]], name: str) -> list[float]:
    return [one.value for one in samples.get(name, ())]
