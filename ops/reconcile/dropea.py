"""Dropea v2: orders newest change first until older than the window, incidents that are open and those just resolved.

Orders have no filter by their time of change, but a sort. https://public-api.dropea.com/dropshipper/openapi.json
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from ops.reconcile.rest import RestApi, open_rest, pages_left, rows_of
from ops.reconcile.source import (
    ApiAccess,
    FetchedState,
    SourceError,
    SourceKind,
    StatePage,
    Subscription,
    Window,
    state_body,
    without_address,
)
from processors.deliver.fields import mapping, text_id, whole_number
from processors.deliver.times import read_instant

_ROWS_MAX = 100
# 60 requests in any minute for each key; a client that caps itself at 45 was never refused.
_BETWEEN_REQUESTS_S = 60 / 45
# Create and delete are all that can be done to one: https://public-api.dropea.com/dropshipper/openapi.json
_WEBHOOKS = "/dropshipper/webhooks"
_ORDERS, _ISSUES, _HOOKS = "orders", "incidents", "subscriptions"


@dataclass(slots=True)
class DropeaSource:
    """The public API of one market."""

    api: RestApi
    market: str

    async def pages(self, window: Window, *, cursor: str, memory: Mapping[str, str]) -> AsyncIterator[StatePage]:
        """Orders, then incidents, then a look at the subscriptions; a run that is resumed walks its step again."""
        step = cursor.partition(":")[0]
        if step in {"", _ORDERS}:
            async for page in self._orders(window):
                yield page
        if step in {"", _ORDERS, _ISSUES}:
            async for page in self._issues(window, memory):
                yield page
        yield await self._subscriptions()

    async def _orders(self, window: Window) -> AsyncIterator[StatePage]:
        """An order that changes meanwhile jumps to the head, so the head is walked until nothing of it is new."""
        since, newest = window.begin, None
        while True:
            head = None
            async for rows in self._rows("/dropshipper/orders", {"sort_by": "updated_at", "sort_order": "desc"}):
                times = [at for row in rows if (at := read_instant(row.get("updated_at"))) is not None]
                head = head or max(times, default=None)
                states = [
                    self._state("order", row)
                    for row in rows
                    if (at := read_instant(row.get("updated_at"))) is not None and at >= since and window.holds(at)
                ]
                yield StatePage(_ORDERS, f"{_ORDERS}:", tuple(states))
                if times and min(times) < since:
                    break
            if head is None or head == newest:
                return
            since = newest = head

    async def _issues(self, window: Window, memory: Mapping[str, str]) -> AsyncIterator[StatePage]:
        """Open ones, those resolved in the window, and those that were open at the last run and are no more."""
        known = {one for one in memory.get("issues", "").split(",") if one}
        still_open: set[str] = set()
        async for rows in self._rows("/dropshipper/issues", {"is_active": "true"}):
            still_open |= {issue_id for row in rows if (issue_id := text_id(row.get("id")))}
            yield StatePage(_ISSUES, f"{_ISSUES}:", tuple(self._state("issue", row) for row in rows))
        resolved = {"resolution_changed_at_from": window.begin.isoformat()}
        async for rows in self._rows("/dropshipper/issues", resolved):
            yield StatePage(_ISSUES, f"{_ISSUES}:", tuple(self._state("issue", row) for row in rows))
        # What the carrier closed has no filter, so it is asked for by its id.
        closed = []
        for issue_id in sorted(known - still_open):
            row = mapping(mapping((await self.api.get(f"/dropshipper/issues/{issue_id}")).get("data")))
            closed += [self._state("issue", row)] if row else []
        yield StatePage(_ISSUES, f"{_ISSUES}:", tuple(closed), {"issues": ",".join(sorted(still_open))})

    async def _subscriptions(self) -> StatePage:
        """A subscription that Dropea switched off shows as inactive, without since when."""
        dead = sorted(one.topic for one in await self.listed() if one.active is False)
        what_to_do = "make them anew with dropstream endpoints renew, or switch them on in its dashboard"
        notes = (f"Dropea has switched off: {', '.join(dead)}; {what_to_do}",) if dead else ()
        return StatePage(_HOOKS, f"{_HOOKS}:", notes=notes)

    async def listed(self) -> list[Subscription]:
        """All subscriptions of the account: the list has no pages."""
        rows = rows_of(await self.api.get(_WEBHOOKS), "data", "webhooks")
        return [
            Subscription(str(row.get("id")), str(row.get("topic")), str(row.get("url")), _said(row.get("active")))
            for row in rows
        ]

    async def create(self, topic: str, url: str) -> None:
        """Makes one: of one topic, with an id of its own."""
        await self.api.change("POST", _WEBHOOKS, {"topic": topic, "url": url})

    async def delete(self, subscription: Subscription) -> None:
        """Deletes one."""
        await self.api.change("DELETE", f"{_WEBHOOKS}/{quote(subscription.id, safe='')}")

    async def _rows(self, path: str, query: Mapping[str, str]) -> AsyncIterator[list[Mapping[str, Any]]]:
        number = 1
        while True:
            asked = {**query, "page": str(pages_left(number)), "limit": str(_ROWS_MAX)}
            answer = await self.api.get(path, asked)
            rows = rows_of(answer, "data", "items")
            yield rows
            pages = whole_number(mapping(mapping(answer.get("data")).get("pagination")).get("total_pages"))
            if not rows or (pages is not None and number >= pages):
                return
            number += 1

    def _state(self, kind: str, row: Mapping[str, Any]) -> FetchedState:
        body = state_body(kind, None, market=self.market, resource_id=row.get("id"), resource=without_address(row))
        return FetchedState(body, self.api.asked_at)


def _said(active: object) -> bool | None:
    return active if isinstance(active, bool) else None


@asynccontextmanager
async def _open(access: ApiAccess) -> AsyncIterator[DropeaSource]:
    base = access.settings.url
    host = urlsplit(base or "").hostname or ""
    market = access.settings.market or host.partition(".")[0].upper()
    if base is None or not market.isalpha():
        raise SourceError(
            "Dropea's API needs url, such as https://es.public-api.dropea.com, in the endpoint's table api"
        )
    headers = {"Authorization": f"Bearer {access.key}"}
    async with open_rest(access, base=base, headers=headers, between_requests_s=_BETWEEN_REQUESTS_S) as api:
        yield DropeaSource(api, market)


DROPEA = SourceKind(
    provider="dropea",
    url="",
    open=_open,
    gives=(
        "orders of version 2: status, sub-status, lines and the latest shipment, as they are now",
        "incidents that are open, that were resolved, or that were open at the last run",
        "which subscriptions Dropea has switched off",
    ),
    cannot_give=(
        "the webhooks themselves: their event ids, times, and the states between the last known one and now",
        "an earlier shipment of an order, and the milestones between",
        "an incident that opened and was closed by the carrier between two runs",
        "anything of version 1, whose API is being switched off",
        "stock: no webhook of Dropea tells it",
    ),
    subscriptions=_open,
)
