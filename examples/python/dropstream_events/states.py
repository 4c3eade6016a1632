"""The newest state of every order and SKU, field by field, from events in any order: what a service keeps.

A webhook tells of a part (a status, a parcel, a figure), so each field counts from the newest event that told it. A
fetched state (`.observed`) tells all of an entity: what it leaves empty is empty.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dropstream_events.events import Event, InventoryData, OrderData

_OF_ORDERS = ("reference", "status", "provider_status", "items", "shipments")
_OF_STOCK = ("available", "advertised", "sellable")


@dataclass(slots=True)
class NewestStates:
    """The states by key of the record (`provider:endpoint:entity`); each field with when it was so."""

    _fields: dict[Hashable, dict[str, tuple[datetime, Any]]] = field(default_factory=dict)

    def take(self, key: Hashable, event: Event) -> None:
        """Takes what the event tells that is not older than what is known."""
        names = {OrderData: _OF_ORDERS, InventoryData: _OF_STOCK}.get(type(event.data), ())
        is_whole = event.type.endswith(".observed")
        known = self._fields.setdefault(key, {}) if names else {}
        for name in names:
            value = getattr(event.data, name)
            says_nothing = value is None or value == ()
            if (is_whole or not says_nothing) and (name not in known or known[name][0] <= event.time):
                known[name] = (event.time, value)

    def of(self, key: Hashable) -> dict[str, Any]:
        """The fields that are known of an entity."""
        return {name: value for name, (_, value) in self._fields.get(key, {}).items()}

    def entities(self) -> list[Hashable]:
        """Every entity of which something is known."""
        return list(self._fields)
