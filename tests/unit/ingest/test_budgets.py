"""The bounds of the ingress: rate and bytes."""

from ingest.budgets import ByteBudget, EndpointBytes, Reservation, TokenBucket


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_bucket_starts_full_and_then_names_the_wait() -> None:
    """A burst passes at once; the next one is told when a token will be there."""
    clock = Clock()
    bucket = TokenBucket(rate_per_second=4.0, burst=3, now=clock)
    assert [bucket.take_token() for _ in range(4)] == [0.0, 0.0, 0.0, 0.25]


def test_a_bucket_fills_at_its_rate() -> None:
    """After the wait that was named, exactly one more may pass."""
    clock = Clock()
    bucket = TokenBucket(rate_per_second=4.0, burst=1, now=clock)
    assert bucket.take_token() == 0.0
    assert bucket.take_token() == 0.25
    clock.now_s += 0.25
    assert [bucket.take_token(), bucket.take_token()] == [0.0, 0.25]


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    """A quiet day buys no more than one burst."""
    clock = Clock()
    bucket = TokenBucket(rate_per_second=4.0, burst=2, now=clock)
    clock.now_s += 86_400.0
    assert [bucket.take_token() for _ in range(3)] == [0.0, 0.0, 0.25]


def test_a_refusal_costs_nothing() -> None:
    """Asking too often does not push the next token away."""
    clock = Clock()
    bucket = TokenBucket(rate_per_second=1.0, burst=1, now=clock)
    assert [bucket.take_token() for _ in range(3)] == [0.0, 1.0, 1.0]


def test_a_budget_is_taken_whole_or_not_at_all() -> None:
    """What does not fit changes nothing; what fits exactly is taken."""
    budget = ByteBudget(10)
    assert [budget.reserve(7), budget.reserve(4), budget.reserve(3)] == [True, False, True]
    assert budget.held_bytes == 10


def test_a_reservation_is_free_when_its_last_share_is_released() -> None:
    """Two who need the bytes release one share each; only then are they given back."""
    budget = ByteBudget(10)
    other = Reservation(budget)
    reservation = Reservation(budget)
    assert [other.grow(2), reservation.grow(3), reservation.grow(5), reservation.grow(1)] == [True, True, True, False]
    reservation.share().release()
    assert budget.held_bytes == 10
    reservation.release()
    assert budget.held_bytes == 2


def test_an_endpoint_alone_gets_three_quarters() -> None:
    """It may hold three times what is then free, and finds that room again when it gives it back."""
    budget, endpoint = ByteBudget(100), EndpointBytes()
    assert [budget.reserve(70, endpoint), budget.reserve(5, endpoint), budget.reserve(1, endpoint)] == [
        True,
        True,
        False,
    ]
    budget.give_back(75, endpoint)
    assert (budget.held_bytes, endpoint.held_bytes) == (0, 0)
    assert budget.reserve(75, endpoint)


def test_an_endpoint_that_holds_all_it_may_leaves_room_for_others() -> None:
    """Of what a busy endpoint has left, another gets three quarters again, and a third one of the rest."""
    budget = ByteBudget(160)
    busy, second, third = EndpointBytes(), EndpointBytes(), EndpointBytes()
    assert [budget.reserve(120, busy), budget.reserve(30, second), budget.reserve(1, second)] == [True, True, False]
    assert [budget.reserve(1, busy), budget.reserve(7, third), budget.reserve(1, third)] == [False, True, False]
