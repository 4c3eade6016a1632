"""A reconciliation without Kafka and HTTP: a log in memory, the real step, the real run, a warehouse beside it."""

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from dropstream_events.events import read_event
from dropstream_events.states import NewestStates

from ops.reconcile.known import KnownStates
from ops.reconcile.run import Reconciliation
from ops.reconcile.shipstream import ShipstreamSource
from ops.reconcile.source import ApiAccess
from ops.shipstream.errors import refusal
from ops.shipstream.protocol import ApiCall
from processors.deliver.dedupe import DedupeStore
from processors.deliver.step import Rules, deliver
from processors.providers import discover
from schemas.delivery import Delivery, raw_key, record_headers
from schemas.notes.reconciliations import ReconcileRun
from schemas.records import Position, RawRecord, Record
from schemas.secrets import Secret
from schemas.sections.endpoints import ApiSettings, EndpointSettings, SigningSecret
from schemas.times import rfc3339, timestamp_ms
from tests.integration.shipstream.instance import KEY, USER, ApiError
from tests.support.warehouse import SECRET, Warehouse

ENDPOINT = "shipstream"
RUN = "reconcile-20260304T120000Z-3fa9c1"
BEGIN = datetime(2026, 3, 4, 5, tzinfo=UTC)


class KilledError(Exception):
    """The process is gone at this point."""


@dataclass
class Log:
    """`raw` of one endpoint, and the events that it leads to, processed at once or later."""

    rules: Rules
    raw: list[RawRecord] = field(default_factory=list)
    outputs: list[Record] = field(default_factory=list)
    store: DedupeStore = field(default_factory=lambda: DedupeStore(window_s=432_000))
    _read: int = 0
    _processed: int = 0

    async def more(self) -> Iterable[RawRecord]:
        new, self._read = self.raw[self._read :], len(self.raw)
        return new

    async def append(self, records: Sequence[RawRecord]) -> None:
        for one in records:
            self.raw.append(replace(one, position=Position("dropstream.raw", 0, len(self.raw))))

    def receive(self, delivery: Delivery) -> None:
        """Takes a delivery in as the ingress does."""
        record = RawRecord(
            position=Position("dropstream.raw", 0, len(self.raw)),
            key=raw_key(delivery.endpoint, 1, delivery.body),
            value=delivery.body,
            headers=record_headers(delivery),
            timestamp_ms=timestamp_ms(delivery.received_at),
        )
        self.raw.append(record)

    def process(self) -> None:
        """Lets group `deliver` catch up."""
        for one in self.raw[self._processed :]:
            self.outputs += deliver(one, self.rules, self.store)
        self._processed = len(self.raw)

    def view(self) -> NewestStates:
        """What a consumer of the events keeps."""
        self.process()
        states = NewestStates()
        for one in self.outputs:
            if one.topic in {"orders", "inventory"}:
                states.take(one.key.decode(), read_event(one.value))
        return states

    def reread(self) -> None:
        """A new process reads from the beginning."""
        self._read = 0


@dataclass
class WarehouseApi:
    """The API of the warehouse without HTTP."""

    warehouse: Warehouse

    async def call(self, call: ApiCall) -> Any:
        basic = "Basic " + base64.b64encode(f"{USER}:{KEY}".encode()).decode()
        # Through JSON, as over the wire.
        asked = {"jsonrpc": "2.0", "id": "1", "method": "call", "params": [None, call.method, list(call.arguments)]}
        try:
            return json.loads(json.dumps(self.warehouse.answer(json.loads(json.dumps(asked)), basic)))
        except ApiError as error:
            raise refusal(call.method, error.code, error.message) from error


@dataclass
class Store:
    """The progress of the run, as a compacted topic keeps it."""

    kept: ReconcileRun | None = None
    on_keep: Callable[[ReconcileRun], None] = lambda _run: None

    async def keep(self, run: ReconcileRun) -> None:
        self.on_keep(run)
        self.kept = run


def rules_of(provider: str = "shipstream") -> Rules:
    """The rules of one endpoint whose secret is the warehouse's."""
    secret = SigningSecret.model_construct(value=Secret("env:SECRET", SECRET), expires=None)
    endpoint = EndpointSettings.model_construct(provider=provider, secrets=[secret])
    return Rules({ENDPOINT: endpoint}, discover(), 4_194_304)


def new_run(begin: datetime = BEGIN, end: datetime | None = None) -> ReconcileRun:
    """A run that has not begun."""
    return ReconcileRun(
        id=RUN, endpoint=ENDPOINT, begin=rfc3339(begin), end=rfc3339(end) if end else None, changed_at=rfc3339(begin)
    )


def reconciliation(warehouse: Warehouse, log: Log, store: Store, *, now: Callable[[], datetime]) -> Reconciliation:
    """The work of a run against the warehouse; a new process, which knows nothing yet."""
    log.reread()
    ids = count(1)
    key = Secret("env:KEY", b"")
    settings = ApiSettings.model_construct(url=None, username=USER, key=key)
    access = ApiAccess(settings, KEY, now, lambda _request: None, between_requests_s=0)
    return Reconciliation(
        source=ShipstreamSource(WarehouseApi(warehouse), access),
        known=KnownStates(ENDPOINT, log.rules),
        log=log,
        store=store,
        endpoint=log.rules.endpoints[ENDPOINT],
        remote="acme.shipstream.app",
        now=now,
        new_id=lambda: f"019e4b02-a578-7000-8000-{next(ids):012x}",
        on_page=lambda _run: None,
    )


def truth_of(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """What the provider would say of everything, in the words of events."""
    words = {"new": "pending", "processing": "processing", "holded": "on_hold", "complete": "packed"}
    words |= {"canceled": "cancelled"}
    orders = {
        f"shipstream:{ENDPOINT}:{row['unique_id']}": {
            "status": words[row["status"]],
            "tracking": [one["number"] for package in row["packages"] for one in package["tracking"]],
        }
        for row in warehouse.orders.values()
    }
    stock = {
        f"shipstream:{ENDPOINT}:{sku}": {"available": row["left"], "advertised": row["left"] + 5}
        for sku, row in warehouse.stock.items()
    }
    return orders | stock


def seen_in(states: NewestStates) -> dict[str, dict[str, Any]]:
    """What a consumer believes, in the same form."""
    seen: dict[str, dict[str, Any]] = {}
    for key in states.entities():
        found = states.of(key)
        if "available" in found:
            seen[str(key)] = {name: int(found[name]) for name in ("available", "advertised")}
        else:
            tracking = [one.tracking_number for one in found.get("shipments", ())]
            seen[str(key)] = {"status": found.get("status"), "tracking": tracking}
    return seen


def hours(number: float) -> timedelta:
    return timedelta(hours=number)
