"""Counts how often an endpoint failed its provider in a row, since when, and when it last succeeded.

The budgets decide which answers a provider takes for failures. They know the answers of this process; Prometheus adds
those of several.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ingest.answer_metrics import AnswerFigures
from ingest.answers import Outcome
from schemas.retry_policy import RetryPolicy

_SUCCESSES = frozenset({Outcome.STORED, Outcome.SPOOLED})
# These are no answers to a delivery, for a provider sends POST, and to a path that is right.
_NO_DELIVERY = frozenset({Outcome.CHECKED, Outcome.METHOD_REFUSED, Outcome.NOT_FOUND})


@dataclass(slots=True)
class _AnswerHistory:
    provider: str
    answer_within_s: float = math.inf
    in_a_row: int = 0
    failing_since: float = 0.0
    succeeded_at: float | None = None
    failed_at: float | None = None


class FailureBudgets:
    """Measures every endpoint against the policy of its provider.

    `providers` gives the provider of each endpoint as configured now; `now` is in seconds since 1970.
    """

    def __init__(
        self,
        retry_policies: Mapping[str, RetryPolicy],
        *,
        providers: Callable[[], Mapping[str, str]],
        now: Callable[[], float],
    ) -> None:
        self._retry_policies = retry_policies
        self._providers = providers
        self._now = now
        self._records: dict[str, _AnswerHistory] = {}

    def note(self, endpoint: str, outcome: Outcome, *, took_s: float) -> bool:
        """Adds an answer of a configured endpoint ("" for none); returns whether it is a success that came too late."""
        if not endpoint or outcome in _NO_DELIVERY:
            return False
        record = self._records.get(endpoint)
        if record is None:
            record = self._records[endpoint] = self._new_record(endpoint)
        success = outcome in _SUCCESSES
        late = success and took_s > record.answer_within_s
        now = self._now()
        if success and not late:
            record.in_a_row, record.succeeded_at = 0, now
            return False
        if not record.in_a_row:
            record.failing_since = now
        record.in_a_row += 1
        record.failed_at = now
        return late

    def figures(self) -> Iterator[AnswerFigures]:
        """Yields the figures of every endpoint that has had a delivery and is configured now; forgets all others."""
        providers = self._providers()
        self._records = {
            name: record for name, record in self._records.items() if providers.get(name) == record.provider
        }
        for name, record in list(self._records.items()):
            yield self._figure(name, record)

    def _figure(self, name: str, record: _AnswerHistory) -> AnswerFigures:
        policy = self._retry_policies.get(record.provider)
        # A clock that was set back must not make the time negative.
        failing_s = max(0.0, self._now() - record.failing_since) if record.in_a_row else 0.0
        used = policy.used_ratio(failures=record.in_a_row, failing_s=failing_s) if policy else 0.0
        return AnswerFigures(
            endpoint=name,
            failures_in_a_row=record.in_a_row,
            failing_seconds=failing_s,
            failure_budget_used_ratio=used,
            failures_allowed=policy.failures_max if policy else None,
            failing_seconds_allowed=policy.failing_s_max if policy else None,
            last_success_timestamp_seconds=record.succeeded_at,
            last_failure_timestamp_seconds=record.failed_at,
            failing_began_timestamp_seconds=None if record.failed_at is None else record.failing_since,
        )

    def _new_record(self, endpoint: str) -> _AnswerHistory:
        provider = self._providers().get(endpoint, "")
        policy = self._retry_policies.get(provider)
        within_s = policy.answer_within_s if policy else None
        return _AnswerHistory(provider, math.inf if within_s is None else within_s)
