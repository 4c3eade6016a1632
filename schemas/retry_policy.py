"""How long a provider tries again at an endpoint that fails, and what it gives up then.

Each provider's policy is in its `PROVIDER` in `processors/providers/`, with the vendor's page. The ingress measures how
much of it is used.
"""

from dataclasses import dataclass
from enum import StrEnum


class Loss(StrEnum):
    """What the provider gives up when its limits are reached."""

    DELIVERY = "delivery"  # It is given up; the webhook stays on.
    SUBSCRIPTION = "subscription"  # Off until a person switches it on again.
    ACCOUNT = "account"  # Every webhook of the account, those that work too.


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The limits that a provider names; None where it names none.

    `failures_max` counts answers that are no success, one after the other. `failing_s_max` is the time since the first
    of them. A 200 later than `answer_within_s` is a failure to the provider. `source` is the vendor's page.
    """

    loss: Loss
    source: str
    failures_max: int | None = None
    failing_s_max: int | None = None
    answer_within_s: float | None = None

    def used_ratio(self, *, failures: int, failing_s: float) -> float:
        """How much of the nearer limit is used, from 0 to 1."""
        by_count = failures / self.failures_max if self.failures_max else 0.0
        by_time = failing_s / self.failing_s_max if self.failing_s_max else 0.0
        return max(0.0, min(1.0, max(by_count, by_time)))
