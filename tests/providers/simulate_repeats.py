"""Counts what each rule for deliveries without an id would get wrong: `python -m tests.providers.simulate_repeats`.

A delivery that is known by its body alone may be a retry or a change back, and nothing in it says which. Here a shop
with a known truth sends: entities change between few states, some answers are lost, and the provider sends again after
its first delay. Each rule is asked about every delivery, in the order in which it came:

- false drops: real changes that the rule calls retries. Where the change was the newest of its entity, the last state
  that a consumer has is wrong: `wrong at the end`;
- false doubles: retries that the rule calls changes.

The rule `window and nothing between` is that of `processors.deliver.repeats`, run through the product's own step.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from processors.deliver.step import deliver
from schemas.sections.endpoints import EndpointSettings
from tests.providers.fixtures import Fixture
from tests.providers.outcomes import nothing_seen

_AT = datetime(2026, 11, 24, tzinfo=UTC)
_ENTITIES = 200
_CHANGES = 20_000
_STATES = 3
_LOST_ANSWERS = 0.01
_SEED = 18


@dataclass(frozen=True, slots=True)
class Shop:
    """How one provider behaves: after how long it sends again, how long a state lasts (median), both in seconds."""

    provider: str
    retry_after_s: float
    state_lasts_s: float
    body: Callable[[int, int], dict[str, object]]


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery as it came; `is_retry` is the truth that nobody can see."""

    at_s: float
    entity: int
    state: int
    is_retry: bool


Rule = Callable[[Shop, list[Received]], list[bool]]

SHOPS = (
    Shop(
        "dropea",
        60,
        1_800,
        lambda entity, state: {
            "topic": "order:status_update",
            "order_id": entity,
            "prev_status": "x",
            "new_status": str(state),
        },
    ),
    Shop(
        "modern_dropship",
        60,
        900,
        lambda entity, state: {
            "type": "product.inventoryChanged",
            "data": {"id": "p", "variants": [{"id": f"v{entity}", "inventoryAmount": state}]},
        },
    ),
    Shop(
        "shipstream",
        60,
        900,
        lambda entity, state: {
            "topic": "inventory:adjusted",
            "message": {"stock_adjustments": {f"S{entity}": {"sku": f"S{entity}", "qty_available": state}}},
        },
    ),
    Shop(
        "dreamship",
        28_800,
        43_200,
        lambda entity, state: {"id": entity + 1, "status": f"s{state}", "line_items": []},
    ),
)


def received(shop: Shop, seed: int) -> list[Received]:
    """The deliveries of a shop in the order in which they come, retries among them."""
    choose = random.Random(seed)  # noqa: S311 a simulation, no secret
    found: list[Received] = []
    for entity in range(_ENTITIES):
        at_s, state = choose.uniform(0, shop.state_lasts_s), 0
        for _ in range(_CHANGES // _ENTITIES):
            state = choose.choice([other for other in range(_STATES) if other != state])
            found.append(Received(at_s, entity, state, is_retry=False))
            if choose.random() < _LOST_ANSWERS:
                found.append(Received(at_s + shop.retry_after_s, entity, state, is_retry=True))
            at_s += choose.expovariate(0.693 / shop.state_lasts_s) + 1
    return sorted(found, key=lambda one: one.at_s)


def by_window(window_s: float) -> Rule:
    """Every equal body within the window is a retry."""

    def judge(_: Shop, deliveries: list[Received]) -> list[bool]:
        last: dict[tuple[int, int], float] = {}
        calls = []
        for one in deliveries:
            key = (one.entity, one.state)
            is_retry = key in last and one.at_s - last[key] <= window_s
            if not is_retry:
                last[key] = one.at_s
            calls.append(is_retry)
        return calls

    return judge


def never(_: Shop, deliveries: list[Received]) -> list[bool]:
    """Nothing is a retry."""
    return [False for _ in deliveries]


def as_built(shop: Shop, deliveries: list[Received]) -> list[bool]:
    """What the product says: its own step, with the provider's own window."""
    endpoint = EndpointSettings(provider=shop.provider, signature="verify-if-present")
    fixture = Fixture(shop.provider, "made", b"", (), _AT, endpoint, {})
    rules, store = fixture.rules(), nothing_seen()
    calls = []
    for number, one in enumerate(deliveries):
        raw = replace(
            fixture,
            body=json.dumps(shop.body(one.entity, one.state)).encode(),
            received_at=_AT + timedelta(seconds=one.at_s),
            delivery_id=f"{number}",
            offset=number,
        ).record()
        calls.append(deliver(raw, rules, store)[0].topic == "duplicates")
    return calls


RULES: tuple[tuple[str, Rule], ...] = (
    ("120 hours (before)", by_window(432_000)),
    ("1 hour", by_window(3_600)),
    ("5 minutes", by_window(300)),
    ("never", never),
    ("window and nothing between", as_built),
)


def counts(shop: Shop, rule: Rule, seed: int = _SEED) -> tuple[int, int, int, int, int]:
    """Changes, retries, false drops, entities whose last state is wrong, false doubles."""
    deliveries = received(shop, seed)
    calls = rule(shop, deliveries)
    truth: dict[int, int] = {}
    shown: dict[int, int] = {}
    drops = doubles = 0
    for one, is_called_retry in zip(deliveries, calls, strict=True):
        drops += is_called_retry and not one.is_retry
        doubles += one.is_retry and not is_called_retry
        if not one.is_retry:
            truth[one.entity] = one.state
        if not is_called_retry:
            shown[one.entity] = one.state
    retries = sum(one.is_retry for one in deliveries)
    wrong = sum(shown.get(entity) != state for entity, state in truth.items())
    return len(deliveries) - retries, retries, drops, wrong, doubles


def table() -> Iterator[str]:
    """The table of docs/decisions.md, line by line."""
    yield "| provider | rule | changes | retries | false drops | wrong at the end | false doubles |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for shop in SHOPS:
        for name, rule in RULES:
            figures = " | ".join(f"{one:,}" for one in counts(shop, rule))
            yield f"| {shop.provider} | {name} | {figures} |"


if __name__ == "__main__":
    for line in table():
        sys.stdout.write(f"{line}\n")
