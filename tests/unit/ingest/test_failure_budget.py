"""How much of a provider's retry policy is used, by the answers that its endpoint gave."""

from importlib import import_module
from pathlib import Path

import pytest

from ingest.answer_metrics import AnswerFigures
from ingest.answers import Outcome
from ingest.failure_budget import FailureBudgets
from processors.providers import discover
from schemas.retry_policy import Loss, RetryPolicy

HOUR_S = 3_600
RETRY_POLICIES = {
    "counts": RetryPolicy(Loss.SUBSCRIPTION, "page", failures_max=4, answer_within_s=5),
    "waits": RetryPolicy(Loss.ACCOUNT, "page", failing_s_max=10 * HOUR_S),
}


class Desk:
    """Failures of three endpoints, and a clock to turn."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.providers = {"a": "counts", "b": "waits", "c": "unheard-of"}
        self.failure_budgets = FailureBudgets(RETRY_POLICIES, providers=lambda: self.providers, now=lambda: self.now)

    def answer(self, endpoint: str, *outcomes: Outcome, took_s: float = 0.1) -> list[bool]:
        return [self.failure_budgets.note(endpoint, outcome, took_s=took_s) for outcome in outcomes]

    def of(self, endpoint: str) -> AnswerFigures:
        return next(one for one in self.failure_budgets.figures() if one.endpoint == endpoint)


def test_a_number_of_failures_is_used_up_one_by_one_and_given_back_by_a_success() -> None:
    """A quarter each, never more than all; one success and all is there again."""
    desk, used = Desk(), []
    for _ in range(6):
        desk.answer("a", Outcome.UNAVAILABLE)
        used.append(desk.of("a").failure_budget_used_ratio)
    assert used == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert desk.of("a").failures_in_a_row == 6
    desk.answer("a", Outcome.SPOOLED)
    assert (desk.of("a").failure_budget_used_ratio, desk.of("a").failures_in_a_row, desk.of("a").failing_seconds) == (
        0,
        0,
        0,
    )


def test_time_is_used_up_from_the_first_failure_on() -> None:
    """However often it fails meanwhile, and also without a further try; a clock that was set back takes nothing."""
    desk = Desk()
    desk.answer("b", Outcome.STORED)
    desk.now += 100 * HOUR_S
    desk.answer("b", Outcome.UNAVAILABLE)
    desk.now += 5 * HOUR_S
    desk.answer("b", Outcome.IN_FLIGHT_FULL)
    figures = desk.of("b")
    assert (figures.failure_budget_used_ratio, figures.failing_seconds) == (0.5, 5 * HOUR_S)
    assert (figures.last_success_timestamp_seconds, figures.last_failure_timestamp_seconds) == (
        1_000_000,
        1_000_000 + 105 * HOUR_S,
    )
    desk.now -= 50 * HOUR_S
    assert (desk.of("b").failure_budget_used_ratio, desk.of("b").failing_seconds) == (0, 0)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_which_answers_a_provider_takes_for_failures(outcome: Outcome) -> None:
    """All but a 200 and what no provider sends; written out, so that a new outcome must be thought of."""
    failures = {
        Outcome.ADDRESS_REFUSED,
        Outcome.RATE_EXCEEDED,
        Outcome.MALFORMED,
        Outcome.BODY_TOO_LARGE,
        Outcome.BODY_TOO_SLOW,
        Outcome.CLIENT_LEFT,
        Outcome.IN_FLIGHT_FULL,
        Outcome.UNAVAILABLE,
        Outcome.CONNECTIONS_FULL,
        Outcome.STOPPING,
        Outcome.FAILED,
    }
    desk = Desk()
    desk.answer("a", Outcome.STORED, outcome)
    assert desk.of("a").failures_in_a_row == (outcome in failures)


def test_a_look_at_the_url_gives_nothing_back() -> None:
    """Neither does a method that no provider uses."""
    desk = Desk()
    desk.answer("a", Outcome.UNAVAILABLE, Outcome.CHECKED, Outcome.METHOD_REFUSED)
    assert desk.of("a").failures_in_a_row == 1


def test_a_late_success_is_a_failure_to_who_has_left() -> None:
    """Later than the provider waits; where it names no time, nothing is late."""
    desk = Desk()
    assert desk.answer("a", Outcome.STORED, took_s=5.1) == [True]
    assert desk.answer("b", Outcome.STORED, took_s=500) == [False]
    assert (desk.of("a").failures_in_a_row, desk.of("b").failures_in_a_row) == (1, 0)
    assert desk.answer("a", Outcome.STORED, took_s=5.0) == [False]
    assert desk.of("a").failures_in_a_row == 0


def test_strangers_are_nobody_and_an_unknown_provider_has_no_budget() -> None:
    """Requests without an endpoint are not kept; failures of an endpoint without limits are counted all the same."""
    desk = Desk()
    desk.answer("", Outcome.NOT_FOUND, Outcome.MALFORMED, Outcome.CONNECTIONS_FULL)
    desk.answer("c", Outcome.UNAVAILABLE)
    assert [one.endpoint for one in desk.failure_budgets.figures()] == ["c"]
    assert (desk.of("c").failures_in_a_row, desk.of("c").failure_budget_used_ratio, desk.of("c").failures_allowed) == (
        1,
        0,
        None,
    )


def test_an_endpoint_that_is_gone_is_forgotten() -> None:
    """One that comes back begins anew."""
    desk = Desk()
    desk.answer("a", Outcome.UNAVAILABLE)
    desk.answer("b", Outcome.UNAVAILABLE)
    gone = desk.providers.pop("a")
    assert [one.endpoint for one in desk.failure_budgets.figures()] == ["b"]
    desk.providers["a"] = gone
    desk.answer("a", Outcome.STORED)
    assert desk.of("a").failures_in_a_row == 0


def test_figures_may_be_read_bit_by_bit() -> None:
    """Deliveries and a new configuration come meanwhile: the figures are those of the endpoints that were there."""
    desk = Desk()
    desk.answer("a", Outcome.UNAVAILABLE)
    desk.answer("b", Outcome.UNAVAILABLE)
    figures = desk.failure_budgets.figures()
    assert next(figures).endpoint == "a"
    desk.answer("c", Outcome.UNAVAILABLE)
    desk.providers = {"c": "unheard-of"}
    assert [one.endpoint for one in figures] == ["b"]
    assert [one.endpoint for one in desk.failure_budgets.figures()] == ["c"]


def test_what_each_provider_bears() -> None:
    """As their pages say, each of which stands beside the number where `PROVIDER` is set."""
    found = {name: one.patience for name, one in discover().items()}
    limits = {name: (one.loss, one.failures_max, one.failing_s_max, one.answer_within_s) for name, one in found.items()}
    assert limits == {
        "dreamship": (Loss.ACCOUNT, None, 72 * HOUR_S, 30),
        "dropea": (Loss.SUBSCRIPTION, 3, None, 5),
        "modern_dropship": (Loss.SUBSCRIPTION, None, 3 * 24 * HOUR_S, None),
        "shipstream": (Loss.DELIVERY, None, 104 * HOUR_S, 5),
    }
    for name, policy in found.items():
        assert policy.source.startswith("https://")
        assert policy.failures_max or policy.failing_s_max
        assert policy.source in Path(str(import_module(f"processors.providers.{name}").__file__)).read_text(
            encoding="utf-8"
        )


def test_when_the_last_outage_began_is_known_after_it_is_over() -> None:
    """The first failure of the last ones in a row; nothing before the first, and a success forgets nothing of it."""
    desk = Desk()
    desk.answer("a", Outcome.STORED)
    assert desk.of("a").failing_began_timestamp_seconds is None
    desk.now += 60
    desk.answer("a", Outcome.UNAVAILABLE)
    desk.now += 60
    desk.answer("a", Outcome.UNAVAILABLE, Outcome.STORED)
    desk.now += 60
    assert desk.of("a").failing_began_timestamp_seconds == 1_000_060.0
