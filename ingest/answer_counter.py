"""Puts every answer of the ingress into metrics and log, and into the failure budget of its endpoint."""

from collections.abc import Iterable

from ingest.answers import Answer, Outcome
from ingest.failure_budget import FailureBudgets
from ingest.metrics import IngestMetrics
from ingest.throttled_log import ThrottledLog

_NOT_LOGGED = frozenset({Outcome.STORED, Outcome.SPOOLED, Outcome.CHECKED})
# The outcomes of requests for which no endpoint was found.
_OF_NO_ENDPOINT = frozenset(
    {Outcome.NOT_FOUND, Outcome.CHECKED, Outcome.MALFORMED, Outcome.CONNECTIONS_FULL, Outcome.FAILED}
)
_SUCCESSES = (Outcome.STORED, Outcome.SPOOLED)


class AnswerCounter:
    """Counts the answers of one process."""

    def __init__(self, metrics: IngestMetrics, *, throttled_log: ThrottledLog, failure_budgets: FailureBudgets) -> None:
        self._answers = metrics.answers
        self._throttled_log = throttled_log
        self._failure_budgets = failure_budgets
        # Requests since the start that `allow_from` refused because a trusted proxy named no address that can be read.
        self.addresses_unreadable = 0

    def count(self, answer: Answer, *, took_s: float | None = None) -> None:
        """Puts an answer into metrics and log; `took_s` is None where the receiver did not see the request."""
        endpoint, outcome = answer.endpoint, answer.outcome
        counts = self._answers.of(endpoint)
        counts.outcomes[outcome] = counts.outcomes.get(outcome, 0) + 1
        counts.body_bytes += answer.body_bytes
        if self._failure_budgets.note(endpoint, outcome, took_s=took_s or 0.0):
            counts.late += 1
        if took_s is not None and endpoint:
            self._answers.answer_took(took_s)
        if outcome not in _NOT_LOGGED:
            self._throttled_log.note(outcome, endpoint)

    def count_from_zero(self, endpoints: Iterable[str]) -> None:
        """Gives the successes of each of these endpoints a sample of 0, and each outcome of no endpoint.

        The alarm for silence compares the successes with 0, also after a restart. Any other outcome of an endpoint has
        a sample once it happened; all refusals together have one from 0 on.
        """
        for endpoint, outcomes in [("", _OF_NO_ENDPOINT), *[(endpoint, _SUCCESSES) for endpoint in endpoints]]:
            counts = self._answers.of(endpoint)
            for outcome in outcomes:
                counts.outcomes.setdefault(outcome, 0)

    def note_unreadable_address(self, endpoint: str) -> None:
        """Notes that a request was refused because nobody can read which address it came from."""
        self.addresses_unreadable += 1
        self._throttled_log.note_unreadable_address(endpoint)
