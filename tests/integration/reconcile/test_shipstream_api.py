"""The API of ShipStream over HTTP: nothing of its faults and limits makes a page missing, double or wrong."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import orjson
import pytest

from ops.reconcile.shipstream import SHIPSTREAM
from ops.reconcile.source import ApiAccess, FetchedState, StatePage, Window
from schemas.errors import DropstreamError
from schemas.sections.endpoints import ApiSettings
from tests.integration.shipstream.instance import KEY, USER, Fault
from tests.integration.shipstream.server import running
from tests.support.waiting import PATIENCE_S
from tests.support.warehouse import Warehouse

BEGIN = datetime(2026, 3, 4, 5, tzinfo=UTC)
NOW = BEGIN + timedelta(hours=6)


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    """An instance with seven orders, one of them with a shipment, and two SKUs."""
    instance = Warehouse(at=BEGIN - timedelta(hours=1), page_max=3)
    with running(instance):
        for number in range(7):
            instance.create_order(f"R-{number}", {"MUG": 1, f"CAP-{number % 2}": 1})
            instance.at += timedelta(minutes=20)
        instance.track(1, "T-1")
        yield instance


async def fetched(
    warehouse: Warehouse,
    window: Window,
    *,
    cursor: str = "",
    memory: dict[str, str] | None = None,
    timeout_ms: int = 60_000,
    between_requests_s: float | None = 0,
) -> list[StatePage]:
    """Every page, by a client with the settings of a user."""
    settings = ApiSettings(url=warehouse.url, username=USER, key="env:KEY", answer_timeout_ms=timeout_ms)  # type: ignore[arg-type] # read by pydantic
    access = ApiAccess(settings, KEY, lambda: NOW, lambda _request: None, between_requests_s)
    async with asyncio.timeout(PATIENCE_S), SHIPSTREAM.open(access) as source:
        return [page async for page in source.pages(window, cursor=cursor, memory=memory or {})]


def ids(pages: list[StatePage]) -> list[str]:
    """The order references and SKUs of the pages, in order."""
    states = [orjson.loads(state.body) for page in pages for state in page.states]
    return [one["row"].get("order_ref") or one["row"]["sku"] for one in states]


def spans(warehouse: Warehouse, method: str) -> list[dict[str, object]]:
    """The filters by the time of change that the instance was asked with."""
    filters = [one["params"][2][0] for one in warehouse.requests if one["params"][1] == method]
    return [one["updated_at"] for one in filters if "updated_at" in one]


ALL = ["R-3", "R-4", "R-5", "R-6", "R-0", "MUG", "CAP-0", "CAP-1"]


async def test_what_changed_comes_once_and_an_order_with_its_shipment(warehouse: Warehouse) -> None:
    """Four orders by their own time, one by its shipment's, and every SKU that moved; no address is asked for."""
    pages = await fetched(warehouse, Window(BEGIN))
    assert ids(pages) == ALL
    bodies = [orjson.loads(state.body) for page in pages for state in page.states]
    (shipped,) = [one for one in bodies if one["row"].get("order_ref") == "R-0"]
    assert [one["shipment_id"] for one in shipped["shipments"]] == [1]
    assert shipped["row"]["packages"][0]["tracking"][0]["number"] == "T-1"
    assert not [one for one in bodies if "shipping_address" in one["row"]]


async def test_a_window_that_ends_holds_both_of_its_ends(warehouse: Warehouse) -> None:
    """What changed in the second of an end is in it, and nothing after that."""
    second = BEGIN + timedelta(minutes=20)
    assert ids(await fetched(warehouse, Window(second, second)))[:1] == ["R-4"]


async def test_a_page_that_was_had_is_not_asked_for_again(warehouse: Warehouse) -> None:
    """A cursor goes on behind its page, whatever step it is of."""
    pages = await fetched(warehouse, Window(BEGIN))
    rest = [ids(await fetched(warehouse, Window(BEGIN), cursor=page.cursor)) for page in pages]
    assert [len(one) for one in rest] == [8, 5, 4, 3, 3]
    assert rest[1] == ["R-6", "R-0", "MUG", "CAP-0", "CAP-1"]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu", "Australia/Lord_Howe"])
async def test_the_merchants_clock_is_found_out(warehouse: Warehouse, zone: str) -> None:
    """Wherever the merchant is; the filter is never wider than two hours on each side."""
    warehouse.zone = zone
    assert ids(await fetched(warehouse, Window(BEGIN))) == ALL
    asked = spans(warehouse, "shipment.search")
    wall = BEGIN.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    since = datetime.strptime(str(asked[0]["from"]), "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 it has no zone
    assert timedelta(0) <= wall - since <= timedelta(hours=2)
    assert asked[0]["datetime"] is True


async def test_without_an_order_that_shows_the_clock_any_clock_is_taken() -> None:
    """A filter of 26 hours more, and rows by their own time."""
    with running(Warehouse(at=BEGIN)) as instance:
        assert isinstance(instance, Warehouse)
        instance.adjust("MUG", 1)
        assert ids(await fetched(instance, Window(BEGIN))) == ["MUG"]
        (asked,) = spans(instance, "order.search")
        assert asked["from"] == "2026-03-03 17:00:00"


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("order.search", Fault.LIMITED),
        ("order.search", Fault.TOO_MANY),
        ("order.search", Fault.BUSY),
        ("shipment.search", Fault.BROKEN_AFTER),
        ("inventory.list", Fault.CUT_OFF),
        ("stock_movement.list", Fault.BUSY),
    ],
)
async def test_what_passes_by_itself_is_waited_for(warehouse: Warehouse, method: str, fault: Fault) -> None:
    """A call that only reads is repeated, and no page is had twice."""
    warehouse.faults.append((method, fault))
    assert ids(await fetched(warehouse, Window(BEGIN))) == ALL
    assert warehouse.faults == []


@pytest.mark.parametrize(
    ("method", "fault", "words"),
    [
        ("order.search", Fault.NO_LIST, "answers no list of rows"),
        ("inventory.list", Fault.NO_LIST, "answers no list of items"),
        ("order.search", Fault.PAGE, "a web page, not JSON"),
        ("order.search", Fault.LIMITED_LONG, "wait for 3600 s"),
        ("shipment.search", Fault.STRANGER, "answered another request"),
    ],
)
async def test_what_cannot_be_used_ends_the_run(warehouse: Warehouse, method: str, fault: Fault, words: str) -> None:
    """With a sentence, and nothing guessed of what was not answered; the key is not in it."""
    warehouse.faults.append((method, fault))
    with pytest.raises(DropstreamError, match=words) as caught:
        await fetched(warehouse, Window(BEGIN))
    assert KEY not in str(caught.value)


async def test_an_answer_that_never_comes_is_not_waited_for_beyond_its_time(warehouse: Warehouse) -> None:
    """A slow answer is asked for again."""
    warehouse.faults.append(("shipment.search", Fault.HANGS_BEFORE))
    assert ids(await fetched(warehouse, Window(BEGIN), timeout_ms=300)) == ALL


async def test_rows_that_change_while_pages_are_turned_are_neither_lost_nor_double(warehouse: Warehouse) -> None:
    """An order that moves to the window's end leaves its page; the others keep their places, for pages go by id."""
    turned = 0

    def change(method: str) -> None:
        nonlocal turned
        turned += method == "order.search"
        warehouse.at = NOW
        if turned == 9:
            warehouse.change_status(4, "processing")
            warehouse.change_status(5, "processing")

    warehouse.on_call = change
    found = ids(await fetched(warehouse, Window(BEGIN)))
    assert turned > 9
    assert sorted(found) == sorted(ALL)


async def test_an_instance_that_filters_no_updates_is_looked_through(warehouse: Warehouse) -> None:
    """New orders and open ones, and of these those that changed; no page says which fields can be filtered."""
    warehouse.filters_updates = False
    assert sorted(set(ids(await fetched(warehouse, Window(BEGIN))))) == sorted(ALL)


async def test_stock_that_moved_is_asked_for_by_name(warehouse: Warehouse) -> None:
    """Movements since the last known one; what is hidden has no figure, and is said."""
    for row in warehouse.stock.values():
        row["moved_at"] = BEGIN - timedelta(days=2)  # as a bundle, whose own time a movement of a part leaves as it is
    warehouse.stock["CAP-0"]["hidden"] = True
    (page,) = [one for one in await fetched(warehouse, Window(BEGIN)) if one.step == "stock"]
    assert ids([page]) == ["MUG", "CAP-1"]
    assert page.notes == ("1 SKUs moved and have no figure now: absent is not zero",)
    assert page.memory == {"movement": "14"}
    (later,) = [
        one for one in await fetched(warehouse, Window(BEGIN), memory={"movement": "14"}) if one.step == "stock"
    ]
    assert ids([later]) == []


async def test_an_old_instance_has_no_movements(warehouse: Warehouse) -> None:
    """The figures that changed come all the same, and the person is told."""
    warehouse.has_movements = False
    (page,) = [one for one in await fetched(warehouse, Window(BEGIN)) if one.step == "stock"]
    assert ids([page]) == ["MUG", "CAP-0", "CAP-1"]
    assert page.notes == ("this instance has no log of stock movements (it is older than 2024.2)",)


async def test_no_more_than_ten_requests_a_second_and_one_at_a_time(warehouse: Warehouse) -> None:
    """ShipStream bears ten a second, five at once; more would be answered 429 and 409."""
    times: list[float] = []
    warehouse.on_call = lambda _method: times.append(time.monotonic())
    await fetched(warehouse, Window(BEGIN), between_requests_s=None)
    assert len(times) > 12
    assert times[-1] - times[0] >= 0.09 * (len(times) - 1)


async def test_a_state_says_when_it_was_asked_for(warehouse: Warehouse) -> None:
    """Before the request went out: then whatever the state includes was there."""
    states: list[FetchedState] = [one for page in await fetched(warehouse, Window(BEGIN)) for one in page.states]
    assert {one.asked_at for one in states} == {NOW}
