"""Finds out by which clock a ShipStream instance reads the times of a filter: the merchant's, and no method names it.

A filter's time carries no offset, and answers are in UTC. So one order is searched for by the time at which it was
made, which never changes: the instance finds the order from a wall time on only if that is not after the order's own.
https://docs.shipstream.io/ref/search-filters.html
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ops.reconcile.source import Window
from processors.deliver.fields import text_id
from processors.deliver.times import read_instant

# Every clock on earth: from -12:00 to +14:00, in steps of a quarter of an hour.
_WEST, _EAST = timedelta(hours=-12), timedelta(hours=14)
_STEP = timedelta(minutes=15)
# The clock may have been changed between the order's time and the window's.
_SUMMER = timedelta(hours=1)

_LATELY = timedelta(days=31)

Search = Callable[
    [str, Mapping[str, Any], Sequence[str] | None, str], Awaitable[tuple[list[Mapping[str, Any]], int | None]]
]


@dataclass(frozen=True, slots=True)
class MerchantClock:
    """The offsets from UTC that the clock may have: `least` to `most`."""

    least: timedelta
    most: timedelta

    def span(self, window: Window) -> dict[str, Any]:
        """The window as a filter by this clock; wider than the window, so rows are to be checked by their own time."""
        # Without `datetime` both mean whole days.
        bounds: dict[str, Any] = {"from": _wall(window.begin + self.least), "datetime": True}
        return bounds if window.end is None else {**bounds, "to": _wall(window.end + self.most)}


_ANY_CLOCK = MerchantClock(_WEST, _EAST)


async def find_clock(search: Search, now: datetime) -> MerchantClock:
    """The clock, by an order of the last month; any clock on earth where no order shows the instance's."""
    lately = _ANY_CLOCK.span(Window(now - _LATELY))
    rows, _ = await search("order.search", {"created_at": lately}, ["*"], "order_id")
    made_at = read_instant(rows[0].get("created_at")) if rows else None
    order_id = text_id(rows[0].get("order_id")) if rows else None
    if made_at is None or order_id is None:
        return _ANY_CLOCK
    known: datetime = made_at

    async def is_found(since: timedelta, until: timedelta) -> bool:
        times = {"from": _wall(known + since), "to": _wall(known + until), "datetime": True}
        rows, _ = await search("order.search", {"order_id": order_id, "created_at": times}, None, "order_id")
        return bool(rows)

    low, high = 0, (_EAST - _WEST) // _STEP
    while low < high:
        middle = (low + high + 1) // 2
        if await is_found(_WEST + middle * _STEP, _EAST):
            low = middle
        else:
            high = middle - 1
    offset = _WEST + low * _STEP
    if not await is_found(offset, offset):
        return _ANY_CLOCK
    return MerchantClock(offset - _SUMMER, offset + _SUMMER)


def _wall(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
