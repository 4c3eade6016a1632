"""ShipStream: orders by their own and their shipments' time of change, stock by SKU; pages by id, never by number.

An order that changes meanwhile leaves a page, and the rest would move up; an id stays. Vendor pages:
https://docs.shipstream.io/ref/search-filters.html, .../order.html, .../shipment.html, .../inventory.html and
https://docs.shipstream.io/merchant-api/stock-movement, .../rate-limits.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ops.reconcile.merchant_clock import MerchantClock, find_clock
from ops.reconcile.source import (
    ApiAccess,
    FetchedState,
    SourceError,
    SourceKind,
    StatePage,
    StateSource,
    Window,
    state_body,
)
from ops.shipstream.client import Account, CallLimits, Exchange, open_api
from ops.shipstream.errors import INVALID_FILTERS, ShipstreamError
from ops.shipstream.operations import Caller
from ops.shipstream.protocol import ApiCall
from processors.deliver.fields import mapping, text_id, whole_number
from processors.deliver.times import read_instant
from schemas.shipstream_api import api_url

_ROWS_MAX = 100  # The most that a page may have: https://docs.shipstream.io/ref/search-options.html
# 10 requests a second for each API user; one request at a time is far below the 5 in flight.
_BETWEEN_REQUESTS_S = 0.1
_LIMITS = CallLimits(answer_bytes_max=67_108_864, tries_max=6, wait_max_s=120.0)
# The address and e-mail of a customer are not asked for.
_ORDER_FIELDS = ["*", "items", "shipments", "packages", "status_history"]
_FIELDS = ["*"]
_OPEN_STATUSES = ["new", "processing", "holded", "backordered", "partial_backorder", "delayed_shipment"]
_OPEN_STATUSES += ["invalid_address", "unable_to_process", "unresolved"]
# Whether a change of the very second counts is not documented, and ids may show up a little out of order.
_OVERLAP = timedelta(minutes=5)
_NO_METHOD = frozenset({3, 4})
_ORDERS, _SHIPPED, _STOCK = "orders", "shipments", "stock"


@dataclass(slots=True)
class ShipstreamSource:
    """The Merchant API of one instance."""

    api: Caller
    access: ApiAccess
    _done: set[str] = field(default_factory=set)
    _clock: MerchantClock | None = None
    _free_at: float = 0.0

    async def pages(self, window: Window, *, cursor: str, memory: Mapping[str, str]) -> AsyncIterator[StatePage]:
        """The orders that changed, the orders whose shipments did, and the stock that did; oldest ids first."""
        step, _, after = cursor.partition(":")
        if step in {"", _ORDERS}:
            async for page in self._orders(window, after=int(after or 0)):
                yield page
            step, after = _SHIPPED, ""
        if step == _SHIPPED:
            async for page in self._orders_of_shipments(window, after=int(after or 0)):
                yield page
        yield await self._stock(window, memory)

    async def _orders(self, window: Window, *, after: int) -> AsyncIterator[StatePage]:
        async for rows, last in self._changed("order.search", "order_id", _FIELDS, window, after):
            ids = {order_id for row in rows if (order_id := text_id(row.get("order_id")))}
            self._done |= ids
            yield StatePage(_ORDERS, f"{_ORDERS}:{last}", await self._states_of(ids))

    async def _orders_of_shipments(self, window: Window, *, after: int) -> AsyncIterator[StatePage]:
        """A change of a shipment may leave the time of its order as it is."""
        async for rows, last in self._changed("shipment.search", "shipment_id", _FIELDS, window, after):
            ids = {order_id for row in rows if (order_id := text_id(row.get("order_id")))} - self._done
            self._done |= ids
            yield StatePage(_SHIPPED, f"{_SHIPPED}:{last}", await self._states_of(ids))

    async def _states_of(self, ids: Collection[str]) -> tuple[FetchedState, ...]:
        """Each order with all of its shipments, whichever of them changed: so a second run gives the same state.

        The shipments are asked for first. So an order holds at least what its shipments' times say, whatever changes
        between the two answers.
        """
        shipments: dict[str | None, list[Mapping[str, Any]]] = {}
        for row in await self._rows_of("shipment.search", "order_id", sorted(ids), _FIELDS, by="shipment_id"):
            shipments.setdefault(text_id(row.get("order_id")), []).append(row)
        asked_at = self.access.now()
        orders = await self._rows_of("order.search", "order_id", sorted(ids), _ORDER_FIELDS)
        return tuple(
            FetchedState(state_body("order", row, shipments=shipments.get(text_id(row.get("order_id")), [])), asked_at)
            for row in orders
        )

    async def _stock(self, window: Window, memory: Mapping[str, str]) -> StatePage:
        """The figures of every SKU that changed; those that the log of movements names are asked for by name too."""
        asked_at = self.access.now()
        since = (window.begin - _OVERLAP).isoformat(timespec="seconds")
        rows = _items(await self._call("inventory.list", None, None, since))
        states = {
            sku: FetchedState(state_body("inventory", row), asked_at)
            for row in rows
            if (sku := text_id(row.get("sku")))
        }
        touched, newest, notes = await self._touched(window, memory)
        asked = sorted(touched - states.keys())
        for some in _parts(asked):
            asked_at = self.access.now()
            for row in _items(await self._call("inventory.list", some, None, None)):
                if (sku := text_id(row.get("sku"))) is not None:
                    states[sku] = FetchedState(state_body("inventory", row), asked_at)
        if absent := [sku for sku in asked if sku not in states]:
            # Disabled and hidden products are left out of the answer; that is no figure.
            notes = (*notes, f"{len(absent)} SKUs moved and have no figure now: absent is not zero")
        return StatePage(
            _STOCK, f"{_STOCK}:", tuple(states.values()), {"movement": str(newest)} if newest else {}, notes
        )

    async def _touched(self, window: Window, memory: Mapping[str, str]) -> tuple[set[str], int, tuple[str, ...]]:
        """The SKUs that moved since the last known movement, or in the window; and the newest settled movement."""
        known = whole_number(memory.get("movement")) or 0
        settled_at = self.access.now() - _OVERLAP
        skus: set[str] = set()
        newest = known
        try:
            pages = self._changed("stock_movement.list", "id", None, window, known, is_whole=known > 0, at="created_at")
            async for rows, _ in pages:
                for row in rows:
                    skus |= {sku for sku in [text_id(row.get("sku"))] if sku}
                    made_at = read_instant(row.get("created_at"))
                    if made_at is not None and made_at <= settled_at:
                        newest = max(newest, whole_number(row.get("id")) or 0)
        except ShipstreamError as error:
            if error.code not in _NO_METHOD:
                raise
            return set(), 0, ("this instance has no log of stock movements (it is older than 2024.2)",)
        return skus, newest, ()

    async def _changed(
        self,
        method: str,
        id_name: str,
        fields: Sequence[str] | None,
        window: Window,
        after: int,
        *,
        is_whole: bool = False,
        at: str = "updated_at",
    ) -> AsyncIterator[tuple[list[Mapping[str, Any]], int]]:
        """Pages of the rows whose time `at` is in the window, each with its last id; all rows where `is_whole`."""
        filters: dict[str, Any] = {}
        if not is_whole:
            filters[at] = await self._span(window)
        try:
            async for rows, last in self._by_id(method, id_name, fields, filters, after):
                yield [row for row in rows if is_whole or _is_in(window, row.get(at))], last
        except ShipstreamError as error:
            if error.code != INVALID_FILTERS or at != "updated_at" or method != "order.search":
                raise
            # The page lists no fields that can be filtered; then what is new and what is open is looked through.
            for instead in ({"created_at": filters[at]}, {"status": {"in": _OPEN_STATUSES}}):
                async for rows, last in self._by_id(method, id_name, fields, instead, 0):
                    yield [row for row in rows if _is_in(window, row.get(at))], last

    async def _span(self, window: Window) -> dict[str, Any]:
        self._clock = self._clock or await find_clock(self._search, self.access.now())
        return self._clock.span(window)

    async def _rows_of(
        self, method: str, name: str, ids: Sequence[str], fields: Sequence[str], *, by: str | None = None
    ) -> list[Mapping[str, Any]]:
        """The rows whose `name` is one of `ids`, by the id `by`."""
        found: list[Mapping[str, Any]] = []
        for some in _parts(ids):
            async for rows, _ in self._by_id(method, by or name, fields, {name: {"in": list(some)}}, 0):
                found += rows
        return found

    async def _by_id(
        self, method: str, id_name: str, fields: Sequence[str] | None, filters: Mapping[str, Any], after: int
    ) -> AsyncIterator[tuple[list[Mapping[str, Any]], int]]:
        """The rows above the id `after`, as many at a time as the API gives, until it gives none."""
        while True:
            own = dict(mapping(filters.get(id_name)))
            limits = {**filters, id_name: {**own, "gt": after}}
            rows, total = await self._search(method, limits, fields, id_name)
            if not rows:
                return
            last = max(whole_number(row.get(id_name)) or 0 for row in rows)
            if last <= after:
                raise SourceError(
                    f"ShipStream's {method} gives rows without a higher {id_name}: its filter does not work"
                )
            yield rows, last
            if total is not None and total <= len(rows):
                return
            after = last

    async def _search(
        self, method: str, filters: Mapping[str, Any], fields: Sequence[str] | None, sort: str
    ) -> tuple[list[Mapping[str, Any]], int | None]:
        """One page of rows, and how many there are in all where the answer says so."""
        options = {"sort_field": sort, "sort_dir": "asc", "page": 1, "limit": _ROWS_MAX}
        answer = await self._call(method, filters, options, *([] if fields is None else [list(fields)]))
        # Some pages show an envelope, some a bare array.
        rows = answer.get("results") if isinstance(answer, dict) else answer
        if not isinstance(rows, list) or any(not isinstance(row, dict) for row in rows):
            raise SourceError(f"ShipStream's {method} answers no list of rows: its documentation has changed")
        return rows, whole_number(answer.get("totalCount")) if isinstance(answer, dict) else None

    async def _call(self, method: str, *arguments: object) -> Any:
        """The answer; requests go out one after the other, no faster than ShipStream allows."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._free_at - loop.time()))
        between_s = self.access.between_requests_s
        self._free_at = loop.time() + (_BETWEEN_REQUESTS_S if between_s is None else between_s)
        return await self.api.call(ApiCall(method, arguments, (self.access.key,)))


def _is_in(window: Window, moment: object) -> bool:
    read = read_instant(moment)
    return read is not None and window.holds(read)


def _items(answer: Any) -> list[Mapping[str, Any]]:
    """The items of `inventory.list`: an array, or PHP's map of them."""
    rows = list(answer.values()) if isinstance(answer, dict) else answer
    if not isinstance(rows, list) or any(not isinstance(row, dict) for row in rows):
        raise SourceError("ShipStream's inventory.list answers no list of items: its documentation has changed")
    return rows


def _parts(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _ROWS_MAX] for start in range(0, len(ids), _ROWS_MAX))


@asynccontextmanager
async def _open(access: ApiAccess) -> AsyncIterator[StateSource]:
    settings = access.settings
    if settings.url is None or settings.username is None:
        raise SourceError("ShipStream's API needs url and username in the endpoint's table api")

    def tell(exchange: Exchange) -> None:
        access.on_request(f"{exchange.method} {exchange.status or 'no answer'}")

    account = Account(
        url=api_url(settings.url),
        username=settings.username,
        api_key=access.key,
        authentication="basic",
        answer_timeout_s=settings.answer_timeout_ms / 1000,
    )
    async with open_api(account, tell, _LIMITS) as api:
        yield ShipstreamSource(api, access)


SHIPSTREAM = SourceKind(
    provider="shipstream",
    url="",
    open=_open,
    gives=(
        "orders: status, items, packages and tracking as they are now, with their history of statuses",
        "stock: the figures of every SKU that changed, as they are now",
    ),
    cannot_give=(
        "the webhooks themselves: their sequence ids, their times, and the states between the last known one and now",
        "deliveries (inbound), manifests, imports, labels, and serial numbers",
        "tracking events, a carrier's words, and an address that was changed",
        "adjustments of stock: they are a log of movements, and figures are published instead",
        "deleted or hidden orders and products: absent is not zero",
    ),
)
