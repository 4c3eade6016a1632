"""Dropea, Dreamship and Modern Dropship over HTTP: what changed comes, as an event, once; their faults lose nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from ops.reconcile.source import ApiAccess, StatePage, Window
from ops.reconcile.sources import SOURCES
from processors.deliver.dedupe import DedupeStore
from processors.deliver.step import deliver
from schemas.delivery import Delivery, raw_key, record_headers
from schemas.errors import DropstreamError
from schemas.fetched import FetchOrigin
from schemas.records import Position, RawRecord
from schemas.sections.endpoints import ApiSettings
from tests.integration.reconcile import rest_servers as servers
from tests.integration.reconcile.rest_servers import KEY, RestServer
from tests.support.reconciling import ENDPOINT, RUN, rules_of
from tests.support.waiting import PATIENCE_S

BEGIN = datetime(2026, 3, 4, 5, tzinfo=UTC)
NOW = BEGIN + timedelta(hours=6)
OLD, NEW, NEWER = "2026-03-01T10:00:00.000Z", "2026-03-04T06:00:00.000Z", "2026-03-04T07:00:00.000Z"


@dataclass(frozen=True)
class Case:
    """A provider with rows of which some changed, and what is told of them: type, entity, time, status or figure."""

    provider: str
    make: Callable[[], RestServer]
    answers: Callable[[RestServer], dict[str, Any]]
    fill: Callable[[RestServer], None]
    told: list[tuple[str, str, str, str | None]]


def fill_dropea(server: RestServer) -> None:
    server.orders = [
        {
            "id": number,
            "status": status,
            "sub_status": None,
            "updated_at": at,
            "created_at": OLD,
            "shipping_address": {"name": "x"},
        }
        for number, status, at in (
            (1, "SHIPPING", NEW),
            (2, "PENDING", OLD),
            (3, "CONFIRMED", NEWER),
            (4, "ERROR", NEW),
        )
    ]
    server.issues = [
        {"id": 7, "order_id": 1, "status": "PENDING", "is_active": True, "updated_at": NEW},
        {"id": 8, "order_id": 2, "status": "RESOLVED", "is_active": False, "updated_at": NEW},
        {
            "id": 9,
            "order_id": 3,
            "status": "RESOLVED",
            "is_active": False,
            "updated_at": NEW,
            "resolution_changed_at": NEW,
        },
    ]
    server.webhooks = [
        {"id": 1, "topic": "order.created", "url": "u", "active": True},
        {"id": 2, "topic": "issue.created", "url": "u", "active": False},
    ]


def fill_dreamship(server: RestServer) -> None:
    trackings = [{"carrier": "dhl", "tracking_number": "T1", "tracking_url": "u"}]
    server.orders = [
        {
            "id": 11,
            "status": "fulfilled",
            "created_at": OLD,
            "fulfillments": [{"trackings": trackings}],
            "address": {"name": "x"},
        },
        {"id": 12, "status": "submitted", "created_at": NEW},
        {"id": 13, "status": "cancelled", "created_at": "2025-12-01T10:00:00Z"},
        {"id": 14, "status": "accepted", "created_at": OLD},
    ]


def fill_modern(server: RestServer) -> None:
    server.orders = [
        {"id": "buyer-1", "sellerOrders": [{"_id": "s1", "fulfilled": True, "updated": NEW, "address": {"name": "x"}}]},
        {"id": "buyer-2", "sellerOrders": [{"_id": "s2", "updated": OLD}]},
        {"_id": "s3", "items": [{"id": "1", "cancelled": True}], "updated": NEWER},
    ]
    server.products = [
        {
            "id": "p1",
            "updated": NEW,
            "variants": [{"id": "v1", "inventoryAmount": 5}, {"id": "v2", "inventoryAmount": 0}],
        },
        {"id": "p2", "updated": OLD, "variants": [{"id": "v3", "inventoryAmount": 9}]},
    ]


SIX, SEVEN, ASKED = "2026-03-04T06:00:00.000000Z", "2026-03-04T07:00:00.000000Z", "2026-03-04T10:59:55.000000Z"
CASES = [
    Case(
        "dropea",
        servers.dropea,
        servers.dropea_answer,
        fill_dropea,
        [
            ("incident.observed", "ES:1", SIX, "pending"),
            ("incident.observed", "ES:2", SIX, "resolved"),
            ("incident.observed", "ES:3", SIX, "resolved"),
            ("order.observed", "ES:1", SIX, "shipped"),
            ("order.observed", "ES:3", SEVEN, "confirmed"),
            ("order.observed", "ES:4", SIX, "failed"),
        ],
    ),
    Case(
        "dreamship",
        servers.dreamship,
        servers.dreamship_answer,
        fill_dreamship,
        [
            ("order.observed", "11", ASKED, "shipped"),
            ("order.observed", "12", ASKED, "pending"),
            ("order.observed", "14", ASKED, "confirmed"),
        ],
    ),
    Case(
        "modern_dropship",
        servers.modern_dropship,
        servers.modern_dropship_answer,
        fill_modern,
        [
            ("inventory.observed", "v1", SIX, "5"),
            ("inventory.observed", "v2", SIX, "0"),
            ("order.observed", "s1", SIX, "shipped"),
            ("order.observed", "s3", SEVEN, "cancelled"),
        ],
    ),
]
EACH = pytest.mark.parametrize("case", CASES, ids=[one.provider for one in CASES])


@asynccontextmanager
async def filled(case: Case) -> AsyncIterator[RestServer]:
    async with servers.running(server := case.make(), case.answers(server)):
        case.fill(server)
        yield server


async def fetched(case: Case, server: RestServer, *, cursor: str = "") -> list[StatePage]:
    """Every page, by a client with the settings of a user."""
    given = {"url": server.url, "key": "env:KEY", "answer_timeout_ms": 2_000, "market": "ES"}
    access = ApiAccess(ApiSettings.model_validate(given), KEY, lambda: NOW, lambda _request: None, 0)
    memory = {"issues": "7,8"}
    async with asyncio.timeout(PATIENCE_S), SOURCES[case.provider].open(access) as source:
        return [page async for page in source.pages(Window(BEGIN), cursor=cursor, memory=memory)]


def told(case: Case, pages: list[StatePage]) -> list[tuple[str, str, str, str | None]]:
    """What group `deliver` makes of the pages, repeats dropped."""
    store, found = DedupeStore(window_s=432_000), []
    for offset, state in enumerate(state for page in pages for state in page.states):
        origin = FetchOrigin(RUN)
        delivery = Delivery("1", case.provider, ENDPOINT, state.asked_at, "h", (), state.body, fetched=origin)
        raw = RawRecord(
            Position("dropstream.raw", 0, offset),
            raw_key(ENDPOINT, 1, state.body),
            state.body,
            record_headers(delivery),
            0,
        )
        for record in deliver(raw, rules_of(case.provider), store):
            assert record.topic != "rejected", record.headers
            if record.topic != "duplicates":
                event = json.loads(record.value)
                data = event["data"]
                said = data.get("status") or data.get("available")
                found.append((event["type"].removeprefix("dropstream."), event["subject"], event["time"], said))
                assert event["signature"] == "fetched"
    return sorted(found)


@EACH
async def test_what_changed_is_told_once(case: Case) -> None:
    """Row by row what is in the window, whatever the API filters; no address of a customer is kept."""
    async with filled(case) as server:
        pages = await fetched(case, server)
        assert told(case, pages) == case.told
        assert not [state for page in pages for state in page.states if b"address" in state.body]
        twice = [*pages, *await fetched(case, server)]
        assert told(case, twice) == case.told


@EACH
async def test_a_run_that_is_resumed_misses_nothing(case: Case) -> None:
    """Behind any of its pages: what came before the cursor and what comes after it are all."""
    async with filled(case) as server:
        pages = await fetched(case, server)
        for number, page in enumerate(pages[:-1], start=1):
            rest = await fetched(case, server, cursor=page.cursor)
            assert told(case, [*pages[:number], *rest]) == case.told


@EACH
@pytest.mark.parametrize(
    "fault",
    [
        lambda: web.Response(status=429, headers={"Retry-After": "0"}),
        lambda: web.Response(status=503, text="busy"),
        lambda: web.Response(status=200, text='{"data": {"items": ['),
    ],
    ids=["429", "503", "half a page"],
)
async def test_what_passes_by_itself_is_waited_for(case: Case, fault: Callable[[], web.Response]) -> None:
    """The same request goes out again."""
    async with filled(case) as server:
        server.faults.append(fault)
        assert told(case, await fetched(case, server)) == case.told


@EACH
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda: web.json_response({"data": "none"}), "answers no rows"),
        (lambda: web.json_response([1]), "answers no JSON object"),
        (lambda: web.Response(status=401), "denies access"),
        (lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), "answers HTTP 302"),
        (lambda: web.Response(status=429, headers={"Retry-After": "3600"}), "wait for 3600 s"),
    ],
    ids=["no rows", "no object", "401", "redirect", "429 for an hour"],
)
async def test_what_cannot_be_used_ends_the_run(case: Case, fault: Callable[[], web.Response], words: str) -> None:
    """With a sentence that says what to look at, and without the key."""
    async with filled(case) as server:
        server.faults.append(fault)
        with pytest.raises(DropstreamError, match=words) as caught:
            await fetched(case, server)
        assert KEY not in str(caught.value)


async def test_an_order_of_dropea_that_changes_meanwhile_is_seen_all_the_same() -> None:
    """It jumps to the head while pages are turned; the head is walked again until nothing of it is new."""
    (case,) = [one for one in CASES if one.provider == "dropea"]
    async with filled(case) as server:
        turned = 0

        def change() -> None:
            nonlocal turned
            turned += 1
            if turned == 2:  # The first page is out, with orders 3 and 1; order 4 would be on the second.
                server.orders[3] |= {"status": "FINISH", "updated_at": "2026-03-04T08:00:00.000Z"}

        server.on_request = change
        found = told(case, await fetched(case, server))
        assert ("order.observed", "ES:4", "2026-03-04T08:00:00.000000Z", None) in found


async def test_a_subscription_that_dropea_switched_off_is_said() -> None:
    """Only that it is off: since when is not told."""
    (case,) = [one for one in CASES if one.provider == "dropea"]
    async with filled(case) as server:
        notes = [note for page in await fetched(case, server) for note in page.notes]
    assert notes == [
        "Dropea has switched off: issue.created; make them anew with dropstream endpoints renew, or switch them on "
        "in its dashboard"
    ]


async def test_the_key_goes_to_no_other_host() -> None:
    """A next page on another host is refused."""
    (case,) = [one for one in CASES if one.provider == "dreamship"]
    async with filled(case) as server:
        other = {"paging": {"next": "http://127.0.0.1:1/v1/orders/"}, "data": []}
        server.faults.append(lambda: web.json_response(other))
        with pytest.raises(DropstreamError, match="another host"):
            await fetched(case, server)
