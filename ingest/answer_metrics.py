"""How the providers see each endpoint, as metrics: what the failure budget and the alarm for silence are made of.

Each process says what it saw itself; `deploy/prometheus/rules.yaml` puts several together.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class AnswerFigures:
    """One endpoint; times in seconds since 1970, None for never; a limit is None where the provider names none."""

    endpoint: str
    failures_in_a_row: int
    failing_seconds: float
    budget_used_ratio: float
    failures_allowed: int | None
    failing_seconds_allowed: float | None
    succeeded_at: float | None
    failed_at: float | None


_GAUGES: tuple[tuple[str, str, Callable[[AnswerFigures], float | None]], ...] = (
    (
        "failures_in_a_row",
        "Answers to deliveries that were no success, or a success too late for the provider, since the last success.",
        lambda one: one.failures_in_a_row,
    ),
    ("failing_seconds", "Since the first of them; 0 after a success.", lambda one: one.failing_seconds),
    (
        "failure_budget_used_ratio",
        "How much of the provider's patience is used, from 0 to 1; at 1 it gives up the delivery, or us.",
        lambda one: one.budget_used_ratio,
    ),
    (
        "failures_allowed",
        "Failures in a row that the provider bears; absent where it names no number.",
        lambda one: one.failures_allowed,
    ),
    (
        "failing_seconds_allowed",
        "Time of failures that the provider bears; absent where it names none.",
        lambda one: one.failing_seconds_allowed,
    ),
    (
        "last_success_timestamp_seconds",
        "When a delivery was last answered 200 in time; absent before the first.",
        lambda one: one.succeeded_at,
    ),
    (
        "last_failure_timestamp_seconds",
        "When a delivery last failed; absent before the first.",
        lambda one: one.failed_at,
    ),
)


class AnswerGauges(Collector):
    """Every configured endpoint, looked at when somebody scrapes."""

    def __init__(self, figures: Callable[[], Iterable[AnswerFigures]]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """A gauge for each figure, a sample for each endpoint that has it."""
        now = list(self._figures())
        for name, meaning, value_of in _GAUGES:
            gauge = GaugeMetricFamily(f"dropstream_ingest_{name}", meaning, labels=["endpoint"])
            for one in now:
                if (value := value_of(one)) is not None:
                    gauge.add_metric([one.endpoint], value)
            yield gauge
