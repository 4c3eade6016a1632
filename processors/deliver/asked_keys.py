"""Which keys deliveries are looked up by, without a memory to look in."""

import sys
from dataclasses import dataclass, field

from processors.deliver.sightings import Sighting, judge_sighting


@dataclass(slots=True, eq=False)
class AskedKeys:
    """A store that knows no delivery, and collects in `keys` the hash of each key that it is asked for.

    `oldest_s` is the earliest receipt for which it was asked, in seconds since 1970.
    What is known of one key decides whether the next is asked; where nothing is known, all of them are. So `keys` has
    at least those that any store would be asked for by the same deliveries.
    """

    keys: set[bytes] = field(default_factory=set)
    oldest_s: int = sys.maxsize

    def judge(self, *, endpoint: str, natural_key: str, body: bytes, offset: int, received_s: int) -> Sighting:
        """A first try."""
        self.oldest_s = min(self.oldest_s, max(0, received_s))
        return judge_sighting(
            self._ask,
            0,
            endpoint=endpoint,
            natural_key=natural_key,
            body=body,
            offset=offset,
            received_s=received_s,
        )

    def remember(self, sighting: Sighting) -> None:
        """Nothing."""

    def _ask(self, key: bytes) -> None:
        self.keys.add(key)
