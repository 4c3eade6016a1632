"""What a consumer remembers: which events it has had, and when the last one of each entity happened. Both bounded."""

from collections import OrderedDict, deque
from collections.abc import Hashable
from datetime import datetime
from typing import Literal

from dropstream_events.events import Event

# About 160 bytes an id, 16 MB in all. A repeat comes soon after its first, or with a replay, which says so.
IDS_MAX = 100_000
ENTITIES_MAX = 100_000

Taken = Literal["new", "again", "repeat"]


class RecentIds:
    """The last `ids_max` event ids: tells an event that came before, and one that a replay brings once more.

    It forgets with the process. A service that must never act twice keeps the id with what the event did, in one
    transaction of its own database.
    """

    def __init__(self, ids_max: int = IDS_MAX) -> None:
        self._ids: set[str] = set()
        self._order: deque[str] = deque(maxlen=ids_max)

    def take(self, event_id: str, replay: str | None) -> Taken:
        """`new` where the id was not seen among the last ones, `again` where this replay brings it for the first time.

        Both are remembered from now on; anything else is a `repeat`.
        """
        is_new = self._is_new(event_id)
        is_new_replay = replay is not None and self._is_new(f"{event_id} {replay}")
        if is_new:
            return "new"
        return "again" if is_new_replay else "repeat"

    def _is_new(self, event_id: str) -> bool:
        if event_id in self._ids:
            return False
        if len(self._order) == self._order.maxlen:
            self._ids.discard(self._order[0])  # The append below drops it.
        self._order.append(event_id)
        self._ids.add(event_id)
        return True


class LastTimes:
    """When each of the last `entities_max` entities was newest for certain: tells an event that came late.

    Events of one entity come in the order in which the provider's deliveries arrived, and a late delivery tells of the
    past. Where either time is not known well enough to say so, the order of arrival counts.
    """

    def __init__(self, entities_max: int = ENTITIES_MAX) -> None:
        self._entities_max = entities_max
        self._earliest: OrderedDict[Hashable, datetime] = OrderedDict()

    def is_late(self, entity: Hashable, event: Event) -> bool:
        """Whether something newer of this entity was there before, for certain."""
        uncertainty = event.uncertainty
        if uncertainty is None:
            return False
        earliest = event.time - uncertainty
        known = self._earliest.pop(entity, earliest)
        # What was certain stays so, be the next one as uncertain as it will.
        self._earliest[entity] = max(known, earliest)
        if len(self._earliest) > self._entities_max:
            self._earliest.popitem(last=False)
        return event.time + uncertainty < known
