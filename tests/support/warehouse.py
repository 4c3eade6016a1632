"""A ShipStream with orders, shipments and stock for tests, from its public pages; it shares nothing with the client.

https://docs.shipstream.io/ref/search-filters.html, .../search-options.html, .../order.html, .../shipment.html,
.../inventory.html, and https://docs.shipstream.io/merchant-api/stock-movement, .../rate-limits. Where a page is silent
it takes the reading that is hardest on a client; each such place says so. Every change gives the webhook of it.
"""

import base64
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from schemas.delivery import Delivery
from tests.integration.shipstream.instance import ApiError, Shipstream

SECRET = b"made-up-secret"
_EXPANSIONS = {"shipping_address", "items", "shipments", "tracking_numbers", "packages", "status_history"}
_ORDER_FILTERS = {"order_id", "unique_id", "order_ref", "status", "created_at", "updated_at"}
_SHIPMENT_FILTERS = {"shipment_id", "order_id", "order_unique_id", "status", "created_at", "updated_at"}
_MOVEMENT_FILTERS = {"id", "entity_type", "entity_id", "product_id", "sku", "created_at", "warehouse_id"}


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook: its sequence id, when its event was made, and the exact body."""

    number: int
    made_at: datetime
    body: bytes

    def delivery(self, endpoint: str, *, received_at: datetime, id_: str = "") -> Delivery:
        """The request that the webhook is."""
        signature = base64.b64encode(hmac.digest(SECRET, self.body, "sha256"))
        headers = (("x-plugin-hmac-sha256", signature),)
        return Delivery(id_, "shipstream", endpoint, received_at, "192.0.2.1", headers, self.body)


@dataclass(slots=True)
class Warehouse(Shipstream):
    """The instance. `at` is its clock, `zone` the merchant's; `on_call` is told of each call before it is answered."""

    at: datetime = datetime(2026, 3, 4, 5, tzinfo=UTC)
    zone: str = "America/New_York"
    page_max: int = 100
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    shipments: dict[int, dict[str, Any]] = field(default_factory=dict)
    stock: dict[str, dict[str, Any]] = field(default_factory=dict)
    movements: list[dict[str, Any]] = field(default_factory=list)
    sent: list[Webhook] = field(default_factory=list)
    # Whether `order.search` takes a filter by `updated_at`; the page does not say.
    filters_updates: bool = True
    has_movements: bool = True
    # How long after its change a webhook says that it happened.
    telling_takes_s: int = 0
    on_call: Callable[[str], None] = lambda _method: None

    # What happens in the warehouse.

    def create_order(self, reference: str, lines: Mapping[str, int]) -> int:
        """A new order; its lines are taken from the stock in the same moment, and told with it."""
        order_id = 1 + max(self.orders, default=0)
        self.orders[order_id] = {
            "order_id": order_id,
            "unique_id": f"1000{order_id:05}",
            "order_ref": reference,
            "status": "new",
            "state": "new",
            "created_at": self.at,
            "updated_at": self.at,
            "delivered_at": None,
            "shipping_address": {"firstname": "Made", "lastname": "Up"},
            "items": [
                {"order_item_id": f"{order_id}{line}", "sku": sku, "qty_ordered": f"{count}.0000"}
                for line, (sku, count) in enumerate(lines.items())
            ],
            "packages": [],
            "status_history": [{"status": "new", "comment": "by hand", "created_at": self.at}],
        }
        for sku, count in lines.items():
            self._move(sku, -count, "order")
        order = self.orders[order_id]
        adjustments = {sku: self._figures(sku, -count) for sku, count in lines.items()}
        fields = {"order_ref": reference, "source": None, "items": order["items"], "stock_adjustments": adjustments}
        self._tell("order:created", {"unique_id": order["unique_id"], **fields})
        return order_id

    def change_status(self, order_id: int, status: str) -> None:
        """The order stands elsewhere now."""
        order = self.orders[order_id]
        old = order["status"]
        order |= {"status": status, "state": status, "updated_at": self.at}
        order["status_history"].append({"status": status, "comment": "", "created_at": self.at})
        fields = {"status": status, "state": status, "old_status": old, "old_state": old}
        self._tell("order:status_changed", {"unique_id": order["unique_id"], "order_ref": order["order_ref"], **fields})

    def track(self, order_id: int, number: str) -> None:
        """The order's shipment has another tracking number; the order itself does not change its time."""
        order = self.orders[order_id]
        shipment_id = next((one for one, row in self.shipments.items() if row["order_id"] == order_id), None)
        if shipment_id is None:
            shipment_id = 1 + max(self.shipments, default=0)
            self.shipments[shipment_id] = {
                "shipment_id": shipment_id,
                "order_id": order_id,
                "order_unique_id": order["unique_id"],
                "status": "packed",
                "created_at": self.at,
            }
        self.shipments[shipment_id]["updated_at"] = self.at
        url = f"https://carrier.example/{number}"
        tracking = [{"number": number, "description": "Ground", "track_url": url}]
        order["packages"] = [{"shipment_id": shipment_id, "carrier": "fedex", "tracking": tracking, "order_items": []}]
        fields = {"carrier": "fedex", "tracking_number": number, "carrier_tracking_url": url, "packages": []}
        self._tell("tracker:updated", {"tracker_id": shipment_id, "order_unique_id": order["unique_id"], **fields})

    def adjust(self, sku: str, count: int) -> None:
        """Pieces of the SKU come or go."""
        self._move(sku, count, "stock")
        self._tell("inventory:adjusted", {"stock_adjustments": {sku: self._figures(sku, count)}})

    def _move(self, sku: str, count: int, entity: str) -> None:
        row = self.stock.setdefault(sku, {"sku": sku, "left": 100, "product_id": 1 + len(self.stock)})
        row |= {"left": row["left"] + count, "moved_at": self.at}
        self.movements.append(
            {
                "id": 1 + len(self.movements),
                "entity_type": entity,
                "entity_action": "adjusted",
                "sku": sku,
                "product_id": row["product_id"],
                "created_at": self.at,
                "qty_available": f"{count}.0000",
            }
        )

    def _figures(self, sku: str, count: int) -> dict[str, Any]:
        left = self.stock[sku]["left"]
        figures = {"qty_adjust": count, "qty_available": left, "qty_advertised": left + 5}
        return {"sku": sku, "external_id": None, "product_id": self.stock[sku]["product_id"], **figures}

    def _tell(self, topic: str, fields: Mapping[str, Any]) -> None:
        made_at = self.at + timedelta(seconds=self.telling_takes_s)
        number = 1 + len(self.sent)
        message = {**fields, "webhook_increment_id": number, "event_timestamp": _iso(made_at)}
        self.sent.append(Webhook(number, made_at, json.dumps({"topic": topic, "message": message}).encode()))

    # What it answers.

    def answer(self, asked: Any, authorization: str | None) -> Any:
        """The result of a request, as the management part gives it, and those of the other resources."""
        params = asked.get("params") if isinstance(asked, dict) else None
        method = params[1] if isinstance(params, list) and len(params) > 1 and isinstance(params[1], str) else ""
        called = {
            "order.search": self._orders,
            "shipment.search": self._shipments,
            "inventory.list": self._inventory,
            "stock_movement.list": self._movements if self.has_movements else None,
        }.get(method)
        self.on_call(method)
        if called is None or params is None:
            return super(Warehouse, self).answer(asked, authorization)
        self._admit(params[0], authorization)
        return called(params[2] if len(params) == 3 else [])

    def _orders(self, arguments: Sequence[Any]) -> Any:
        filters, options, fields = [*arguments, None, None, None][:3]
        allowed = _ORDER_FILTERS if self.filters_updates else _ORDER_FILTERS - {"updated_at"}
        rows = self._page(self.orders.values(), filters, options, allowed, "order_id")
        rows["results"] = [_chosen(row, fields) for row in rows["results"]]
        return rows

    def _shipments(self, arguments: Sequence[Any]) -> Any:
        filters, options = [*arguments, None, None][:2]
        # The page shows no envelope of this method: a bare array is the hardest reading.
        return self._page(self.shipments.values(), filters, options, _SHIPMENT_FILTERS, "shipment_id")["results"]

    def _movements(self, arguments: Sequence[Any]) -> Any:
        filters, options = [*arguments, None, None][:2]
        if "sort_field" not in (options or {}):
            raise ApiError(101, "Invalid filters given. Unknown column order_id.")
        return self._page(self.movements, filters, options, _MOVEMENT_FILTERS, "id")

    def _inventory(self, arguments: Sequence[Any]) -> Any:
        skus, warehouse, since = [*arguments, None, None, None][:3]
        if warehouse is not None or not (skus is None or isinstance(skus, list)):
            raise ApiError(102, "Invalid SKUs.")
        moment = None if since is None else datetime.fromisoformat(since)
        if moment is not None and moment.tzinfo is None:
            raise ApiError(102, "updatedSince has no offset.")
        return [
            {"sku": sku, "qty_available": f"{row['left']}.0000", "qty_advertised": f"{row['left'] + 5}.0000"}
            for sku, row in self.stock.items()
            # Whether it is inclusive is not said: here it is not.
            if (skus is None or sku in skus) and (moment is None or row["moved_at"] > moment) and not row.get("hidden")
        ]

    def _page(
        self,
        rows: Iterable[Mapping[str, Any]],
        filters: Any,
        options: Any,
        allowed: set[str],
        id_name: str,
    ) -> dict[str, Any]:
        options = {"sort_field": id_name, "sort_dir": "asc", "page": 1, "limit": 50, **(options or {})}
        if not 1 <= options["limit"] <= 100 or (unknown := set(filters or {}) - allowed):
            raise ApiError(101, f"Invalid filters given. {sorted(unknown)}")
        found = [row for row in rows if all(self._passes(row[name], one) for name, one in (filters or {}).items())]
        found.sort(key=lambda row: row[options["sort_field"]], reverse=options["sort_dir"] == "desc")
        size = min(options["limit"], self.page_max)
        start = (options["page"] - 1) * size
        results = [_shown(row) for row in found[start : start + size]]
        return {"results": results, "totalCount": len(found), "numPages": -(-len(found) // size)}

    def _passes(self, value: Any, wanted: Any) -> bool:
        if not isinstance(wanted, dict):
            return str(value) == str(wanted)
        exact = wanted.get("datetime", False)
        checks: dict[str, Callable[[Any], bool]] = {
            "eq": lambda limit: value == limit,
            "in": lambda limit: str(value) in {str(one) for one in limit},
            "gt": lambda limit: value > limit,
            "from": lambda limit: self._wall(value) >= _limit(limit, exact=exact),
            # Both ends count; without `datetime` the day does.
            "to": lambda limit: self._wall(value) <= _limit(limit, exact=exact, is_end=True),
        }
        return all(checks[name](limit) for name, limit in wanted.items() if name != "datetime")

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)


def _limit(text: str, *, exact: bool, is_end: bool = False) -> datetime:
    read = datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 it has no zone: it is the merchant's
    if exact:
        return read
    day = read.replace(hour=0, minute=0, second=0)
    return day + timedelta(days=1, seconds=-1) if is_end else day


def _chosen(row: Mapping[str, Any], fields: Any) -> dict[str, Any]:
    if not fields:
        return {name: row[name] for name in ("order_id", "unique_id", "order_ref")}
    names = {name for name in row if name not in _EXPANSIONS} if "*" in fields else set()
    return {name: value for name, value in row.items() if name in names | set(fields)}


def _shown(value: Any) -> Any:
    """The value as JSON shows it: UTC with an offset."""
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, dict):
        return {name: _shown(one) for name, one in value.items()}
    return [_shown(one) for one in value] if isinstance(value, list) else value


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
