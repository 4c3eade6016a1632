"""Modern Dropship (Convictional): buyer orders and products whose `updated` is in the window, page by page by `next`.

Filters by the time of change stand in old pages only; they are sent, and every row is looked at all the same, for a
filter that is ignored looks like a full list. https://developers.convictional.com/reference/introduction
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

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
from processors.deliver.fields import first_id, objects, text
from processors.deliver.times import read_instant

_URL = "https://api.convictional.com"
_VERSION = "application/vnd.convictional.2022-03-03"
_BETWEEN_REQUESTS_S = 0.25  # 5 requests a second for each key.
_ORDERS, _PRODUCTS = "orders", "products"


@dataclass(slots=True)
class ModernDropshipSource:
    """The Buyer API."""

    api: RestApi

    async def pages(self, window: Window, *, cursor: str, memory: Mapping[str, str]) -> AsyncIterator[StatePage]:
        """Orders, then the variants of products; behind the page of the cursor."""
        del memory
        begun, _, after = cursor.partition(":")
        for step, path in ((_ORDERS, "/buyer/orders"), (_PRODUCTS, "/buyer/products")):
            if begun == _PRODUCTS and step == _ORDERS:
                continue
            place = after if begun == step else path
            query = None if begun == step else self._query(window)
            number = 0
            while place:
                number = pages_left(number + 1)
                answer = await self.api.get(place, query)
                rows, query = rows_of(answer, "data"), None
                place = text(answer.get("next")) or ""
                yield StatePage(step, f"{step}:{place}", tuple(self._states(step, rows, window)))

    @staticmethod
    def _query(window: Window) -> dict[str, str]:
        query = {"updatedAfter": window.begin.isoformat(), "limit": "100"}
        return query if window.end is None else {**query, "updatedBefore": window.end.isoformat()}

    def _states(self, step: str, rows: list[Mapping[str, Any]], window: Window) -> Iterator[FetchedState]:
        wanted: list[tuple[str, dict[str, Any], Mapping[str, Any]]]
        for row in rows:
            if step == _ORDERS:
                # A buyer's order lists the orders of its sellers, of which webhooks tell.
                orders = objects(row.get("sellerOrders")) or [row]
                wanted = [("order", {"data": without_address(one)}, one) for one in orders]
            else:
                product_id = first_id(row.get("_id"), row.get("id"))
                more = {"product_id": product_id, "updated": row.get("updated")}
                wanted = [("inventory", {"data": one, **more}, row) for one in objects(row.get("variants"))]
            for kind, body, dated in wanted:
                updated = read_instant(dated.get("updated"))
                if updated is not None and window.holds(updated):
                    yield FetchedState(state_body(kind, None, **body), self.api.asked_at)


@asynccontextmanager
async def _open(access: ApiAccess) -> AsyncIterator[StateSource]:
    headers = {"Authorization": access.key, "Accept": _VERSION}
    base = access.settings.url or _URL
    async with open_rest(access, base=base, headers=headers, between_requests_s=_BETWEEN_REQUESTS_S) as api:
        yield ModernDropshipSource(api)


MODERN_DROPSHIP = SourceKind(
    provider="modern_dropship",
    url=_URL,
    open=_open,
    gives=(
        "orders of each seller: lines, cancelled lines, fulfilments and tracking, as they are now",
        "stock of the variants of products that changed",
    ),
    cannot_give=(
        "the webhooks themselves: their ids, times, and the states between the last known one and now",
        "anything fresher than the platform itself: it asks sellers for orders every 15 minutes, for stock every hour",
        "tracking that was edited after an order was shipped whole: the platform asks for it no more",
        "products that were withdrawn: absent is not zero",
    ),
)
