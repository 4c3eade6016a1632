"""A lost last delivery shows no hole; the provider's own list tells of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops.reconcile.tail_gaps import Tail, find_tail_gap, judge_tail
from ops.shipstream.webhooks import Webhook
from schemas.notes.sequence_observations import Observation
from schemas.sections.endpoints import ApiSettings, EndpointSettings
from schemas.times import rfc3339
from schemas.vocabulary import TimeQuality
from tests.integration.shipstream.instance import USER
from tests.integration.shipstream.server import running
from tests.support.warehouse import Warehouse
from tests.unit.ops.reconcile.test_plan import seen

NOW = datetime(2026, 3, 4, 20, tzinfo=UTC)
FETCH = "dropstream reconcile --endpoint acme --from 2026-03-04T11:51:00Z"
SEEN = [seen(39, "04T11:00", "04T11:01"), seen(40, "04T12:00", "04T12:01")]


def tail(observed: Sequence[Observation]) -> Tail:
    found = Tail()
    for one in observed:
        found.add(one)
    return found


def webhook(**changes: Any) -> Webhook:
    known = {
        "webhook_id": 3,
        "is_active": True,
        "topics": (),
        "header_names": (),
        "has_secret": True,
        "last_number": 40,
    }
    return Webhook(**{"url": "https://hooks.example/webhooks/acme/TOKEN", **known, **changes})


def steady(pause: timedelta, count: int, until: datetime) -> list[Observation]:
    return [
        Observation(
            endpoint="acme",
            sequence=number,
            time=rfc3339(until - pause * (count - number)),
            timequality=TimeQuality.EXACT,
            recordedtime=rfc3339(until - pause * (count - number)),
            raw="raw/0/1",
        )
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize(
    ("listed", "observed", "level", "words"),
    [
        ([webhook()], SEEN, "ok", "its webhook is active; the newest id that came is 40"),
        ([webhook(last_number=43)], SEEN, "warning", f"ShipStream made 43, the newest that came is 40; {FETCH}"),
        (
            [webhook(is_active=False)],
            SEEN,
            "warning",
            "its webhook 3 is inactive; dropstream shipstream webhooks enable 3",
        ),
        ([], SEEN, "warning", "ShipStream lists no webhook with its URL; is it registered elsewhere?"),
        (
            [webhook(url="https://hooks.example/webhooks/acme2")],
            SEEN,
            "warning",
            "ShipStream lists no webhook with its URL; is it registered elsewhere?",
        ),
        ([webhook(last_number=None)], SEEN, "ok", "its webhook is active; the newest id that came is 40"),
        ([webhook()], [], "ok", "its webhook is active; nothing with a sequence id came yet"),
    ],
)
def test_the_end_of_a_sequence_is_compared(
    listed: Sequence[Webhook], observed: Sequence[Observation], level: str, words: str
) -> None:
    """By the count in the list, where it tells one, and never by a guess."""
    found = judge_tail("acme", listed, tail(observed), NOW)
    assert (found.level, found.sentence) == (level, words)


def test_what_is_on_its_way_is_not_missing() -> None:
    """Within two minutes of the newest delivery nobody is told of anything."""
    observed = steady(timedelta(minutes=5), 30, NOW - timedelta(minutes=1))
    assert judge_tail("acme", [webhook(last_number=33)], tail(observed), NOW).level == "ok"


def test_without_a_count_a_silence_longer_than_the_rhythm_is_told() -> None:
    """Three times the longest pause that there ever was, among enough pauses to know a rhythm."""
    observed = steady(timedelta(minutes=10), 30, NOW - timedelta(minutes=31))
    found = judge_tail("acme", [webhook(last_number=None)], tail(observed), NOW)
    assert found.level == "warning"
    assert found.sentence.startswith("nothing came for 31 min, at most 10 min before; dropstream reconcile")
    calm = steady(timedelta(minutes=10), 30, NOW - timedelta(minutes=29))
    assert judge_tail("acme", [webhook(last_number=None)], tail(calm), NOW).level == "ok"


async def test_the_list_is_asked_for_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the endpoint's own key; without the right one, a sentence says so and the check goes on."""
    with running(Warehouse()) as instance:
        instance.add(3, "https://hooks.example/webhooks/acme/TOKEN", "order:created")
        api = ApiSettings.model_validate({"url": instance.url, "username": USER, "key": "env:RECONCILE_KEY"})
        endpoint = EndpointSettings.model_construct(provider="shipstream", secrets=[], api=api)
        monkeypatch.setenv("RECONCILE_KEY", "tiger/lily key-of-the-api")
        assert (await find_tail_gap("acme", endpoint, tail(SEEN), NOW)).level == "ok"
        monkeypatch.setenv("RECONCILE_KEY", "a wrong one")
        denied = await find_tail_gap("acme", endpoint, tail(SEEN), NOW)
    assert denied.level == "warning"
    assert denied.sentence.startswith("its API cannot be asked: ")
    assert "a wrong one" not in denied.sentence
