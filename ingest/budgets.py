"""What bounds the ingress: a rate per endpoint, and the bytes held in memory.

Nothing here waits or knows a clock; a caller that is refused answers so.
"""

from collections.abc import Callable


class TokenBucket:
    """`rate_per_second` on average and `burst` at once; `now` is monotonic, in seconds. Starts full."""

    __slots__ = ("_now", "_tokens", "_updated_at", "burst", "rate_per_second")

    def __init__(self, *, rate_per_second: float, burst: float, now: Callable[[], float]) -> None:
        self.rate_per_second = rate_per_second
        self.burst = burst
        self._now = now
        self._tokens = burst
        self._updated_at = now()

    def take_token(self) -> float:
        """0.0 when one more may pass now, else the seconds until one may; a refusal costs nothing."""
        now = self._now()
        self._tokens = min(self.burst, self._tokens + (now - self._updated_at) * self.rate_per_second)
        self._updated_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.rate_per_second


class ByteBudget:
    """At most `bytes_max` bytes, shared by all deliveries that are held."""

    __slots__ = ("_bytes_max", "held_bytes")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.held_bytes = 0

    def reserve(self, count: int) -> bool:
        """Whether `count` bytes more were taken; all of them or none."""
        if self.held_bytes + count > self._bytes_max:
            return False
        self.held_bytes += count
        return True

    def give_back(self, count: int) -> None:
        """`count` bytes taken before are free again."""
        self.held_bytes -= count


class Reservation:
    """What one delivery holds of the budget; it grows as bytes arrive, and is free when every share is released."""

    __slots__ = ("_budget", "_bytes", "_shares")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._bytes = 0
        self._shares = 1

    def grow(self, count: int) -> bool:
        """Whether `count` bytes more are held now."""
        if not self._budget.reserve(count):
            return False
        self._bytes += count
        return True

    def share(self) -> "Reservation":
        """The same hold, for one more who needs the bytes and will release it."""
        self._shares += 1
        return self

    def release(self) -> None:
        """One share less; with the last one nothing is held any more."""
        self._shares -= 1
        if not self._shares:
            self._budget.give_back(self._bytes)
            self._bytes = 0
