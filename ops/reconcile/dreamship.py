"""Dreamship: a sweep of the orders that were made in the last 60 days, for the API filters by nothing that changes.

`created_at_after` and `created_at_before` are known from clients alone; the page of the list was not found. Rate:
https://docs.dreamship.com/reference/rate-limits
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from ops.reconcile.rest import RestApi, open_rest, pages_left, rows_of
from ops.reconcile.source import (
    ApiAccess,
    FetchedState,
    SourceKind,
    StatePage,
    StateSource,
    Window,
    state_body,
    without_address,
)
from processors.deliver.fields import mapping, text

_URL = "https://api.dreamship.com"
_ROWS_MAX = 100
_BETWEEN_REQUESTS_S = 1.0  # 60 calls a minute.
# An order is done, or given up, well within that time.
_LIFE = timedelta(days=60)
_ORDERS = "orders"


@dataclass(slots=True)
class DreamshipSource:
    """The REST API, version 1."""

    api: RestApi

    async def pages(self, window: Window, *, cursor: str, memory: Mapping[str, str]) -> AsyncIterator[StatePage]:
        """Every order that was made up to 60 days before the window, page by page as the API links them."""
        del memory
        query: dict[str, str] | None = {"created_at_after": (window.begin - _LIFE).isoformat(), "limit": str(_ROWS_MAX)}
        if query is not None and window.end is not None:
            query["created_at_before"] = window.end.isoformat()
        path, number = "/v1/orders/", 0
        if cursor:
            path, query = cursor.partition(":")[2], None
        while path:
            number = pages_left(number + 1)
            answer = await self.api.get(path, query)
            rows = rows_of(answer, "data")
            path, query = text(mapping(answer.get("paging")).get("next")) or "", None
            states = tuple(
                FetchedState(
                    state_body("order", None, id=row.get("id"), object="order", data=without_address(row)),
                    self.api.asked_at,
                )
                for row in rows
            )
            yield StatePage(_ORDERS, f"{_ORDERS}:{path}", states)


@asynccontextmanager
async def _open(access: ApiAccess) -> AsyncIterator[StateSource]:
    headers = {"Authorization": f"Bearer {access.key}"}
    base = access.settings.url or _URL
    async with open_rest(access, base=base, headers=headers, between_requests_s=_BETWEEN_REQUESTS_S) as api:
        yield DreamshipSource(api)


DREAMSHIP = SourceKind(
    provider="dreamship",
    url=_URL,
    open=_open,
    gives=("orders of the last 60 days: status, lines, fulfilments and tracking, as they are now",),
    cannot_give=(
        "the webhooks themselves: their ids, times, and the states between the last known one and now",
        "when an order changed: the API names no such time, so a state counts from when it was asked for",
        "an order that was made more than 60 days before",
        "tickets, and the availability of variants",
        "deleted orders: absent is not zero",
    ),
)
