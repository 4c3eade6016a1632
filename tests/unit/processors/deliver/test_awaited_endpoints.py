"""Which deliveries wait for an endpoint that the processors do not know yet, and how long."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from structlog.testing import capture_logs

from processors.deliver.awaited_endpoints import AwaitedEndpoints
from processors.deliver.dedupe import DedupeStore
from processors.deliver.deliver_step import DeliverStep
from processors.deliver.step import Rules
from processors.providers import discover
from schemas.records import Position, RawRecord
from schemas.sections.endpoints import EndpointSettings
from schemas.times import timestamp_ms

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACME: Mapping[str, EndpointSettings] = {"acme": EndpointSettings(provider="shipstream", signature="verify-if-present")}


def waits(awaited: AwaitedEndpoints, name: str, *, age_s: float = 0.0, at_s: float = 100.0) -> bool:
    return awaited.waits(name, NOON - timedelta(seconds=age_s), NOON, at_s)


def test_a_delivery_waits_until_the_bound_after_its_receipt() -> None:
    """So no delivery is late by more than the bound, however many endpoints are unknown before it."""
    awaited = AwaitedEndpoints(60)
    assert [waits(awaited, "fresh", age_s=age) for age in (0, 59, 60, 5_000)] == [True, True, False, False]
    assert awaited.count(100.0) == 1


def test_an_endpoint_is_waited_for_once() -> None:
    """By the monotonic clock, so that a wrong clock does not wait for ever; later deliveries are judged at once."""
    awaited = AwaitedEndpoints(60)
    times = (100.0, 159.9, 160.0, 161.0, 9_000.0)
    assert [waits(awaited, "fresh", at_s=at) for at in times] == [True, True, False, False, False]
    assert [waits(awaited, "fresh", age_s=-3_600, at_s=at) for at in (9_001.0, 9_100.0)] == [False, False]
    assert awaited.count(9_100.0) == 0


def test_an_endpoint_that_came_and_went_again_is_not_waited_for() -> None:
    """A person took it out of the configuration; one that came is waited for no more."""
    awaited = AwaitedEndpoints(60)
    awaited.learn({}, 99.0)
    assert waits(awaited, "acme")
    awaited.learn(ACME, 101.0)
    assert awaited.count(101.0) == 0
    awaited.learn({}, 102.0)
    assert not waits(awaited, "acme", at_s=103.0)


def test_a_header_of_anybody_else_makes_no_known_endpoint_wait() -> None:
    """Who may write to `raw` can put a reason there; the delivery is rejected for its own one, at once."""
    headers = [("dropstream-endpoint", b"acme"), ("dropstream-reason", b"endpoint_unknown")]
    raw = RawRecord(Position("raw", 0, 7), b"acme", b"no JSON", tuple(headers), timestamp_ms(datetime.now(UTC)))
    step = DeliverStep(Rules(ACME, discover(), 1_000_000), AwaitedEndpoints(60))
    (record,) = step(raw, DedupeStore(window_s=9))
    assert record.topic == "rejected"
    assert dict(record.headers)["dropstream-reason"] == b"body_not_json"


def test_what_no_configuration_can_name_is_not_waited_for() -> None:
    """Another producer's records, names without bound, and a bound of 0 hold up nothing."""
    awaited = AwaitedEndpoints(60)
    assert [waits(awaited, name) for name in ("", "No Name", "\ufffd", "x" * 64)] == [False] * 4
    assert [waits(awaited, f"e{number}") for number in (*range(1_000), 1_000)].count(False) == 1
    assert not waits(AwaitedEndpoints(0), "fresh")


def test_the_end_of_a_wait_is_told_once() -> None:
    """From then on deliveries of the endpoint are rejected, so a person hears when that began."""
    awaited = AwaitedEndpoints(60)
    with capture_logs() as told:
        assert [waits(awaited, "late", at_s=at) for at in (100, 159, 160, 161)] == [True, True, False, False]
    assert [(line["event"], line["endpoint"]) for line in told] == [
        ("endpoint_awaited", "late"),
        ("endpoint_not_awaited", "late"),
    ]


def test_no_more_than_a_thousand_names_are_waited_for() -> None:
    """Who may write to raw can make up names without end; what is beyond them is rejected at once."""
    awaited = AwaitedEndpoints(60)
    assert [waits(awaited, f"made-up-{number}") for number in range(1_001)] == [True] * 1_000 + [False]
    assert not waits(awaited, "no name / of an endpoint")
    assert awaited.count(100.0) == 1_000
