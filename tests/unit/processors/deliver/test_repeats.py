"""Which deliveries are a retry where the provider's key is no id: real changes are never dropped for looking alike."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from processors.deliver.step import deliver, possible_ids
from processors.runtime.state_store import Change
from schemas.sections.endpoints import EndpointSettings
from tests.providers.fixtures import Fixture, providers
from tests.providers.outcomes import events, nothing_seen

AT = datetime(2026, 11, 24, 10, tzinfo=UTC)
A_TO_B = {"topic": "order:status_update", "order_id": 7, "prev_status": "pending", "new_status": "confirmed"}
B_TO_A = A_TO_B | {"prev_status": "confirmed", "new_status": "pending"}
SECOND = {"updated_at": "2026-11-24 11:00:00"}


def stock(figure: int) -> dict[str, Any]:
    variants = [{"id": "5deae112d30a4f00191d758f", "sku": "A-M", "inventoryAmount": figure}]
    return {"type": "product.inventoryChanged", "data": {"id": "5aa180d29ad9340010459936", "variants": variants}}


def adjusted(figure: int) -> dict[str, Any]:
    figures = {"A": {"sku": "A", "qty_available": figure}}
    return {"topic": "inventory:adjusted", "message": {"stock_adjustments": figures}}


def basic(status: str) -> dict[str, Any]:
    return {"id": 958828806, "status": status, "line_items": []}


class Received:
    """Deliveries of one endpoint as they are received, and what became of each: `new`, `repeated` or `retry`."""

    def __init__(self, provider: str) -> None:
        endpoint = EndpointSettings(provider=provider, signature="verify-if-present")
        self._fixture = Fixture(provider, "made", b"", (), AT, endpoint, {})
        self._store = nothing_seen()
        self._count = 0
        self.ids: list[str] = []

    def __call__(self, body: dict[str, Any], *, after_s: float = 0, again: bool = False) -> str:
        """What becomes of the body, `after_s` seconds after the first one; `again` for a copy of the last request."""
        self._count += 1
        number = self._count - again
        fixture = replace(
            self._fixture,
            body=json.dumps(body).encode(),
            received_at=AT + timedelta(seconds=after_s),
            delivery_id=f"0197a3f0-0000-7000-8000-{number:012d}",
            offset=self._count,
        )
        made = deliver(fixture.record(), fixture.rules(), self._store)
        if made[0].topic == "duplicates":
            return "retry"
        found = events(made)
        ids = [event["id"] for event in found]
        assert set(ids) <= possible_ids(fixture.record(), fixture.rules())
        assert not set(ids) & set(self.ids)
        self.ids += ids
        return "repeated" if found[0].get("repeated") else "new"


BACK_AND_FORTH = [
    ("dropea", [A_TO_B | SECOND, B_TO_A | SECOND, A_TO_B | SECOND]),
    ("dropea", [A_TO_B, B_TO_A, A_TO_B]),
    ("modern_dropship", [stock(5), stock(0), stock(5)]),
    ("shipstream", [adjusted(5), adjusted(0), adjusted(5)]),
    ("dreamship", [basic("submitted"), basic("accepted"), basic("submitted")]),
]


@pytest.mark.parametrize(("provider", "bodies"), BACK_AND_FORTH)
def test_a_change_back_is_no_retry(provider: str, bodies: Sequence[dict[str, Any]]) -> None:
    """A state that comes again after another one is news, and says that it came before; its id is its own."""
    received = Received(provider)
    assert [received(body) for body in bodies] == ["new", "new", "repeated"]
    assert [received(body) for body in bodies[1:]] == ["repeated", "repeated"]


@pytest.mark.parametrize(("provider", "bodies"), BACK_AND_FORTH)
def test_the_same_again_at_once_is_a_retry(provider: str, bodies: Sequence[dict[str, Any]]) -> None:
    """Nothing came between, so nothing can have changed back; also of a change that came back."""
    received = Received(provider)
    told = [received(body, after_s=second) for second, body in enumerate([bodies[0], *bodies, bodies[2], bodies[2]])]
    assert told == ["new", "retry", "new", "repeated", "retry", "retry"]


@pytest.mark.parametrize(
    ("provider", "body", "window_s"),
    [
        ("dropea", A_TO_B, 1_800),
        ("modern_dropship", stock(5), 3_600),
        ("shipstream", adjusted(5), 3_600),
        ("dreamship", basic("submitted"), 32_400),
    ],
)
def test_the_window_of_a_body_is_short(provider: str, body: dict[str, Any], window_s: int) -> None:
    """What comes again later than a provider's first retries is processed, marked, and a window of its own begins."""
    received = Received(provider)
    assert received(body) == "new"
    assert received(body, after_s=window_s) == "retry"
    assert received(body, after_s=window_s + 1) == "repeated"
    assert received(body, after_s=2 * window_s + 1) == "retry"


def test_the_autumn_hour_that_comes_twice_hides_no_change() -> None:
    """The clocks of Madrid show 02:30:10 twice in October, and a change in each of the two hours is a change."""
    received, body = Received("dropea"), A_TO_B | {"updated_at": "2026-10-25 02:30:10"}
    assert [received(body), received(body, after_s=3_600)] == ["new", "repeated"]


def test_another_order_between_changes_nothing() -> None:
    """Only a delivery of the same entity says that the state was another one meanwhile."""
    received = Received("dropea")
    assert [received(A_TO_B), received(B_TO_A | {"order_id": 8}), received(A_TO_B)] == ["new", "new", "retry"]


def test_a_copy_of_one_request_is_no_second_request() -> None:
    """The ingress may send one request to `raw` twice; whatever came between, it is one delivery."""
    received = Received("dropea")
    assert [received(A_TO_B), received(A_TO_B, again=True)] == ["new", "retry"]
    received = Received("modern_dropship")
    assert [received(stock(5)), received(stock(0)), received(stock(0), again=True)] == ["new", "new", "retry"]


def test_a_delivery_with_an_id_of_its_own_has_the_whole_window() -> None:
    """An id tells a retry from a change, so nothing that comes between matters."""
    received = Received("modern_dropship")
    five, zero = stock(5) | {"_id": "e1"}, stock(0) | {"_id": "e2"}
    assert [received(five), received(zero), received(five, after_s=400_000)] == ["new", "new", "retry"]


def test_dropea_v2_knows_a_retry_by_all_but_its_event_id() -> None:
    """The vendor's `event_id` is of one sending: market, topic, resource, time and contents are the event."""
    endpoint = EndpointSettings.model_validate(
        {"provider": "dropea", "secrets": ["env:S"]}, context={"environ": {"S": "made-up"}}
    )
    store = nothing_seen()

    def kinds(event_id: str, **resource: object) -> list[str]:
        body = {"topic": "order.created", "market": "ES", "event_id": event_id, "event_at": "2026-11-24T09:59:09.000Z"}
        content = json.dumps(body | {"resource_id": 14, "resource": {"id": 14, **resource}}).encode()
        sign = endpoint_sign(content)
        fixture = Fixture("dropea", "made", content, sign, AT, endpoint, {}, offset=store.entries + 1)
        made = [record.topic for record in deliver(fixture.record(), fixture.rules(), store)]
        store.commit()
        return made

    assert kinds("0d1f7d4a-9216-4f9c-9c8b-bc1d8b9f5d2e", status="PENDING") == ["orders"]
    assert kinds("0d1f7d4a-9216-4f9c-9c8b-bc1d8b9f5d2e", status="PENDING") == ["duplicates"]
    assert kinds("ffffffff-9216-4f9c-9c8b-bc1d8b9f5d2e", status="PENDING") == ["duplicates"]
    assert kinds("eeeeeeee-9216-4f9c-9c8b-bc1d8b9f5d2e", status="CONFIRMED") == ["orders"]


def endpoint_sign(content: bytes) -> tuple[tuple[str, bytes], ...]:
    (sample,) = [one for one in providers()["dropea"].samples if one.name == "dropea-v2-order"]
    return tuple((name.lower(), value.encode()) for name, value in sample.sign(content, b"made-up", AT).items())


def test_a_counter_that_begins_anew_after_the_window_repeats_no_id() -> None:
    """A webhook that was made anew counts from 1 again; its events are others, so their ids are."""
    endpoint = EndpointSettings(provider="shipstream", signature="verify-if-present")

    def ids(happened_at: datetime, received_at: datetime) -> list[str]:
        message = {"unique_id": "7", "webhook_increment_id": 1, "event_timestamp": happened_at.isoformat()}
        body = json.dumps({"topic": "order:completed", "message": message}).encode()
        fixture = Fixture("shipstream", "made", body, (), received_at, endpoint, {})
        return [event["id"] for event in events(deliver(fixture.record(), fixture.rules(), nothing_seen()))]

    first, anew = ids(AT, AT), ids(AT + timedelta(days=6), AT + timedelta(days=6))
    assert first != anew
    # A retry keeps the time of its event, and so its ids.
    assert ids(AT, AT + timedelta(hours=104)) == first
    # What happened before the first version keeps the id that the number alone gave.
    assert ids(datetime(2026, 1, 1, tzinfo=UTC), AT) == ids(datetime(2026, 2, 1, tzinfo=UTC), AT)


def test_what_was_remembered_is_known_after_a_restart() -> None:
    """The newest delivery of an entity is in the changelog, as every other key is."""
    endpoint = EndpointSettings(provider="dropea", signature="verify-if-present")
    changelog: list[Change] = []
    told: list[str] = []
    for number, body in enumerate([A_TO_B, B_TO_A, A_TO_B, A_TO_B], start=1):
        store = nothing_seen()
        for change in changelog:
            store.restore(*change)
        content = json.dumps(body).encode()
        fixture = Fixture("dropea", "made", content, (), AT, endpoint, {}, delivery_id=f"d{number}", offset=number)
        told.append(deliver(fixture.record(), fixture.rules(), store)[0].topic)
        changelog += store.changes()
    assert told == ["orders", "orders", "orders", "duplicates"]
