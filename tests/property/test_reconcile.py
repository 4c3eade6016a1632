"""Whatever is lost: after a reconciliation a consumer's newest states are the provider's; a second run adds nothing."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from hypothesis import example, given
from hypothesis import settings as how
from hypothesis import strategies as st

from schemas.notes.reconciliations import ReconcileRun
from tests.support.reconciling import (
    BEGIN,
    ENDPOINT,
    KilledError,
    Log,
    Store,
    hours,
    new_run,
    reconciliation,
    rules_of,
    seen_in,
    truth_of,
)
from tests.support.warehouse import Warehouse

STATUSES = ("processing", "holded", "complete", "canceled")
SKUS = ("MUG", "CAP", "TEE")


@dataclass(frozen=True)
class Change:
    """One thing that happens in the warehouse, and what becomes of its webhook."""

    what: str
    which: int
    seconds: int
    fate: str


CHANGES = st.lists(
    st.builds(
        Change,
        what=st.sampled_from(("create", "status", "track", "stock")),
        which=st.integers(0, 5),
        # Several changes in one second are the hardest to tell apart.
        seconds=st.integers(0, 3),
        fate=st.sampled_from(("comes", "comes", "late", "lost")),
    ),
    max_size=30,
)


def happen(warehouse: Warehouse, change: Change) -> None:
    """Lets the change happen; nothing can be done to an order that is not there."""
    orders = sorted(warehouse.orders)
    if change.what == "create" or (not orders and change.what != "stock"):
        warehouse.create_order(f"R-{len(orders)}", {SKUS[change.which % 3]: 1, SKUS[(change.which + 1) % 3]: 2})
    elif change.what == "stock":
        warehouse.adjust(SKUS[change.which % 3], change.which - 3)
    elif change.what == "status":
        warehouse.change_status(orders[change.which % len(orders)], STATUSES[change.which % len(STATUSES)])
    else:
        warehouse.track(orders[change.which % len(orders)], f"T{len(warehouse.sent)}")


def arrive(warehouse: Warehouse, log: Log, changes: list[Change]) -> None:
    """Lets all of it happen; webhooks come, come late and out of order, or never come. Before the window all came."""
    for change in (Change("create", 0, 0, "comes"), Change("create", 1, 0, "comes"), Change("track", 0, 0, "comes")):
        happen(warehouse, change)
        log.receive(warehouse.sent[-1].delivery(ENDPOINT, received_at=warehouse.at))
    warehouse.at = BEGIN
    late = []
    for change in changes:
        warehouse.at += timedelta(seconds=change.seconds)
        happen(warehouse, change)
        webhook = warehouse.sent[-1]
        if change.fate == "comes":
            log.receive(webhook.delivery(ENDPOINT, received_at=warehouse.at + timedelta(seconds=1)))
        elif change.fate == "late":
            late.append(webhook)
    for webhook in reversed(late):
        log.receive(webhook.delivery(ENDPOINT, received_at=warehouse.at + timedelta(seconds=2)))


def run_to_its_end(warehouse: Warehouse, log: Log, deaths: list[int], *, after_h: float = 3) -> ReconcileRun:
    """Runs, is killed at each of these steps, and is resumed; hours after everything happened."""
    now = warehouse.at + hours(after_h)
    store = Store()
    for death in [*deaths, None]:
        left = death

        def die(_of: object = None) -> None:
            nonlocal left
            if left is not None:
                left -= 1
                if left < 0:
                    raise KilledError

        warehouse.on_call = lambda _method: die()
        store.on_keep = die
        try:
            run = store.kept or new_run()
            return asyncio.run(reconciliation(warehouse, log, store, now=lambda: now).run(run))
        except KilledError:
            continue
    raise AssertionError("the last turn has no death")


@given(changes=CHANGES, page=st.sampled_from((1, 2, 100)), telling=st.integers(0, 2))
@example(changes=[Change("stock", 0, 0, "lost")], page=100, telling=0)
@example(changes=[Change("create", 0, 0, "comes"), Change("track", 0, 1, "lost")], page=100, telling=0)
@example(
    changes=[Change("create", 0, 0, "comes"), Change("status", 0, 0, "lost"), Change("track", 0, 3, "comes")],
    page=1,
    telling=2,
)
@how(max_examples=80)
def test_after_a_reconciliation_a_consumer_believes_what_the_provider_does(
    changes: list[Change], page: int, telling: int
) -> None:
    """For any set of lost, late and disordered webhooks, any size of page, and a clock of the merchant's own."""
    warehouse, log = Warehouse(at=BEGIN - hours(2), page_max=page, telling_takes_s=telling), Log(rules_of())
    arrive(warehouse, log, changes)
    run_to_its_end(warehouse, log, [])
    assert seen_in(log.view()) == truth_of(warehouse)
    written = len(log.raw)
    run_to_its_end(warehouse, log, [], after_h=4)
    assert len(log.raw) == written


@given(changes=CHANGES, deaths=st.lists(st.integers(0, 25), max_size=3))
@how(max_examples=60)
def test_a_run_that_is_killed_anywhere_ends_as_one_that_is_not(changes: list[Change], deaths: list[int]) -> None:
    """No state twice and none missing, wherever the process dies and however often; the counts are of all its lives."""
    whole, broken = Log(rules_of()), Log(rules_of())
    for log, ends in ((whole, []), (broken, deaths)):
        warehouse = Warehouse(at=BEGIN - hours(2), page_max=2)
        arrive(warehouse, log, changes)
        run_to_its_end(warehouse, log, ends)
        log.process()
    events = [[one.value for one in log.outputs if one.topic != "duplicates"] for log in (whole, broken)]
    assert len(events[0]) == len(events[1])
    assert seen_in(whole.view()) == seen_in(broken.view())


@given(changes=CHANGES, meanwhile=CHANGES, page=st.sampled_from((1, 2, 100)), skew=st.integers(-3, 3))
@how(max_examples=60)
def test_what_happens_while_a_run_asks_is_never_overtaken(
    changes: list[Change], meanwhile: list[Change], page: int, skew: int
) -> None:
    """Webhooks that come while pages are turned count, whatever the page says; the provider's clock may be off."""
    warehouse, log = Warehouse(at=BEGIN - hours(2), page_max=page), Log(rules_of())
    arrive(warehouse, log, changes)
    now = warehouse.at + hours(3)
    left = list(meanwhile)
    calls = 0

    def one_more(_method: str) -> None:
        nonlocal now, calls
        calls += 1
        now += timedelta(milliseconds=700)
        if left and calls > 8:  # The clock of the merchant is found out by then.
            change = left.pop()
            warehouse.at = (now + timedelta(seconds=skew)).replace(microsecond=0)
            happen(warehouse, change)
            log.receive(warehouse.sent[-1].delivery(ENDPOINT, received_at=now))

    warehouse.on_call = one_more
    asyncio.run(reconciliation(warehouse, log, Store(), now=lambda: now).run(new_run()))
    assert seen_in(log.view()) == truth_of(warehouse)
