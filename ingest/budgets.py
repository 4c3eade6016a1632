"""The bounds of the ingress: a rate per endpoint, and the bytes held in memory.

Nothing here waits or knows a clock.
"""

from collections.abc import Callable


class TokenBucket:
    """Allows `rate_per_second` on average and `burst` at once; starts full. `now` is monotonic, in seconds."""

    __slots__ = ("_now", "_tokens", "_updated_at", "burst", "rate_per_second")

    def __init__(self, *, rate_per_second: float, burst: float, now: Callable[[], float]) -> None:
        self.rate_per_second = rate_per_second
        self.burst = burst
        self._now = now
        self._tokens = burst
        self._updated_at = now()

    def take_token(self) -> float:
        """Takes a token and returns 0.0, or returns the seconds until there is one; a refusal costs nothing."""
        now = self._now()
        self._tokens = min(self.burst, self._tokens + (now - self._updated_at) * self.rate_per_second)
        self._updated_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.rate_per_second


# So many times what is free may one endpoint hold: alone it gets three quarters, and the others always find some room.
_TIMES_FREE = 3


class EndpointBytes:
    """Counts the bytes of the budget that the deliveries of one endpoint hold."""

    __slots__ = ("held_bytes",)

    def __init__(self) -> None:
        self.held_bytes = 0


class ByteBudget:
    """Bounds the bytes of all deliveries in memory by `bytes_max`, and of one endpoint by three times what is free."""

    __slots__ = ("_bytes_max", "held_bytes")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.held_bytes = 0

    def reserve(self, count: int, endpoint: EndpointBytes | None = None) -> bool:
        """Reserves `count` bytes, all of them or none, for this endpoint or for none; returns whether it did."""
        free = self._bytes_max - self.held_bytes - count
        if endpoint is None:
            if free < 0:
                return False
        elif endpoint.held_bytes + count > _TIMES_FREE * free:
            return False
        else:
            endpoint.held_bytes += count
        self.held_bytes += count
        return True

    def give_back(self, count: int, endpoint: EndpointBytes | None = None) -> None:
        """Frees `count` bytes that were reserved before for this endpoint."""
        self.held_bytes -= count
        if endpoint is not None:
            endpoint.held_bytes -= count


class Reservation:
    """The bytes of the budget that a delivery of an endpoint holds, until each of its users has released its share."""

    __slots__ = ("_budget", "_bytes", "_endpoint", "_shares")

    def __init__(self, budget: ByteBudget, endpoint: EndpointBytes | None = None) -> None:
        self._budget = budget
        self._endpoint = endpoint
        self._bytes = 0
        self._shares = 1

    def grow(self, count: int) -> bool:
        """Reserves `count` bytes more; returns whether the budget had them."""
        if not self._budget.reserve(count, self._endpoint):
            return False
        self._bytes += count
        return True

    def share(self) -> "Reservation":
        """Adds a share, for one more user of the bytes, which must release it."""
        self._shares += 1
        return self

    def release(self) -> None:
        """Releases one share; the last one frees the bytes."""
        self._shares -= 1
        if not self._shares:
            self._budget.give_back(self._bytes, self._endpoint)
            self._bytes = 0
