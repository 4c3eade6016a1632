"""One record judged again: what a replay and a redrive write of it, and how they count it."""

import base64
import hmac
from dataclasses import replace

import orjson
import pytest

from processors.deliver.dedupe import DedupeStore
from processors.deliver.step import Rules, claimed_entities, deliver, possible_ids
from processors.replay import Known, Replaying, Task, endless_dedupe_store, redrive_step, replay_step, warm_up
from schemas.notes.rejections import read_rejected
from schemas.notes.replays import Choice, Range, ReplayPlan, ReplayProgress, read_plan, read_progress, write
from schemas.records import Position, RawRecord, Record, read_position
from schemas.sections.endpoints import EndpointSettings
from tests.providers.fixtures import RECORD_BYTES_MAX, providers

SECRET = b"known-to-two-parties-only"
ORDER = (
    b'{"topic":"order:created","message":{"unique_id":"1-7","webhook_increment_id":7,'
    b'"stock_adjustments":{"MUG":{"sku":"MUG","qty_adjust":-1,"qty_available":4}}}}'
)
PLACE = Position("d.raw", 0, 40)


def rules(secret: bytes = SECRET) -> Rules:
    endpoint = EndpointSettings.model_validate(
        {"provider": "shipstream", "secrets": ["env:S"]}, context={"environ": {"S": secret.decode()}}
    )
    return Rules({"acme": endpoint}, providers(), RECORD_BYTES_MAX)


def raw(offset: int = 40, body: bytes = ORDER) -> RawRecord:
    signature = base64.b64encode(hmac.digest(SECRET, body, "sha256"))
    headers = (
        ("x-plugin-hmac-sha256", signature),
        ("dropstream-delivery", b"0198"),
        ("dropstream-endpoint", b"acme"),
        ("dropstream-received-at", b"2026-05-21T14:00:00.000000Z"),
    )
    return RawRecord(replace(PLACE, offset=offset), b"acme", body, headers, 1_779_372_000_000)


def rejected(offset: int = 40, body: bytes = ORDER) -> RawRecord:
    """The record of `rejected` that a wrong secret leads to."""
    (record,) = deliver(raw(offset, body), rules(b"wrong"), memory())
    return RawRecord(Position("d.rejected", 0, offset + 2), record.key, record.value, record.headers, 0)


def memory() -> DedupeStore:
    return endless_dedupe_store()


def state() -> Replaying:
    return Replaying("replay-20260521T140000Z-3fa9c1", 0, memory(), ReplayProgress(next=0))


def task(known: Known | None = None, **choice: object) -> Task:
    plan = ReplayPlan(id="replay-20260521T140000Z-3fa9c1", source="raw", choice=Choice(**choice), ranges=())  # type: ignore[arg-type] # as each test says
    return Task(plan, replace(rules(), replay=plan.id), known or Known())


def counted(one: Replaying) -> ReplayProgress:
    one.commit()
    return one.progress


def topics(records: object) -> list[str]:
    assert isinstance(records, list | tuple)
    return [record.topic for record in records if isinstance(record, Record)]


def test_a_rejected_record_gives_back_the_raw_one() -> None:
    """Place, headers, body and time of receipt, as they were; and the reason."""
    assert read_rejected(rejected()) == (raw(), "signature_invalid")
    assert read_rejected(raw()) is None
    assert read_rejected(replace(rejected(), headers=rejected().headers[-3:])) is None


@pytest.mark.parametrize("text", ["", "d.raw", "d.raw/0", "d.raw/0/x", "/0/1", "d.raw/-1/1", "d.raw/0/1" + "0" * 30])
def test_what_is_no_place_is_none(text: str) -> None:
    """A place that another producer made up stops nothing."""
    assert read_position(text) is None
    assert read_position("d.raw/0/1") == Position("d.raw", 0, 1)


def test_in_place_events_are_written_and_marked() -> None:
    """Observations only of what told the gap tracker nothing at first; rejections and retries leave nothing."""
    one = state()
    written = replay_step(raw(), one, task())
    assert set(topics(written)) == {"orders", "inventory"}
    assert {orjson.loads(record.value)["replay"] for record in written} == {"replay-20260521T140000Z-3fa9c1"}
    assert {dict(record.headers)["replay"] for record in written} == {b"replay-20260521T140000Z-3fa9c1"}
    assert replay_step(raw(41), one, task()) == ()
    assert replay_step(raw(42, b"{"), one, task()) == ()
    assert counted(one) == ReplayProgress(next=43, became=1, rejected=1, retries=1, events=len(written))
    assert "sequence" in topics(replay_step(raw(), state(), task(Known(rejected={PLACE}))))


def test_into_topics_of_its_own_goes_all_but_the_observation() -> None:
    """Events, rejections and notes of retries, each under the suffix."""
    one, into = state(), task(into="x")
    assert set(topics(replay_step(raw(), one, into))) == {"orders.x", "inventory.x"}
    assert topics(replay_step(raw(41), one, into)) == ["duplicates.x"]
    assert topics(replay_step(raw(42, b"{"), one, into)) == ["rejected.x"]


def test_what_is_not_chosen_is_left_out() -> None:
    """By endpoint, by provider, by topic: counted, and not written."""
    for choice in ({"endpoint": "other"}, {"provider": "dropea"}, {"topics": ("catalog",)}):
        one = state()
        assert list(replay_step(raw(), one, task(**choice))) == []
        assert counted(one) == ReplayProgress(next=41, left_out=1)
    assert topics(replay_step(raw(), state(), task(topics=("orders",)))) == ["orders"]


def test_of_named_deliveries_only_those_are_written_and_a_retry_stays_one() -> None:
    """A delivery that is not named is left out; it still makes a named retry of it none, where it was accepted."""
    one, named = state(), task(deliveries=("0:41", "0:43"))
    assert list(replay_step(raw(40), one, named)) == []
    assert list(replay_step(raw(41), one, named)) == []
    assert counted(one) == ReplayProgress(next=42, left_out=1, retries=1)
    other = task(Known(rejected={PLACE}), deliveries=("0:41",))
    two = state()
    assert list(replay_step(raw(40), two, other)) == []
    assert set(topics(replay_step(raw(41), two, other))) == {"orders", "inventory"}
    assert redrive_step(rejected(40), state(), named) == ()
    assert set(topics(redrive_step(rejected(41), state(), named))) == {"orders", "inventory", "sequence"}


def test_before_the_range_what_was_rejected_is_not_remembered() -> None:
    """A first try that was an event makes its retry none, whatever secret is right today; a rejected one does not."""
    one, late = state(), Task(task().plan, rules(b"of today"), Known())
    warm_up(raw(39), one, late)
    assert replay_step(raw(), one, task()) == ()
    other = state()
    warm_up(raw(39), other, task(Known(rejected={replace(PLACE, offset=39)})))
    assert set(topics(replay_step(raw(), other, task()))) == {"orders", "inventory"}


def test_a_resumed_run_remembers_what_the_run_before_it_judged() -> None:
    """What was rejected at first and became an event in this replay makes its retry none, after a resume too."""
    known = Known(rejected={replace(PLACE, offset=39)})
    plan = replace(task().plan, ranges=(Range(0, 39, 41),))
    one, resumed = state(), Task(plan, rules(), known)
    warm_up(raw(39), one, resumed)
    assert replay_step(raw(), one, resumed) == ()
    assert counted(one) == ReplayProgress(next=41, retries=1)


def test_a_redrive_writes_what_is_good_today_once() -> None:
    """Events and observation of the first try; nothing of its retry, and nothing of what is still bad."""
    one = state()
    written = redrive_step(rejected(), one, task())
    assert set(topics(written)) == {"orders", "inventory", "sequence"}
    assert redrive_step(rejected(41), one, task()) == ()
    assert redrive_step(rejected(42, b"{"), one, task()) == ()
    assert redrive_step(raw(43), one, task()) == ()
    assert counted(one) == ReplayProgress(next=44, became=1, rejected=1, retries=1, left_out=1, events=len(written) - 1)


def test_what_is_an_event_already_is_not_redriven() -> None:
    """Whole: nothing is written. In part, as a replay of one topic leaves it: the other part is."""
    ids = {record.topic: orjson.loads(record.value)["id"] for record in deliver(raw(), rules(), memory())[:-1]}
    one = state()
    assert redrive_step(rejected(), one, task(Known(events={PLACE: set(ids.values())}))) == ()
    assert counted(one) == ReplayProgress(next=43, retries=1)
    part = redrive_step(rejected(), state(), task(Known(events={PLACE: {ids["orders"]}})))
    assert topics(part) == ["inventory", "sequence"]
    assert redrive_step(rejected(), state(), task(Known(gone=set(ids.values())))) == ()


def test_ids_and_entities_are_told_without_a_memory() -> None:
    """Both ids that each event can have; the entities also of what cannot be believed."""
    first = {orjson.loads(record.value)["id"] for record in deliver(raw(), rules(), memory())[:-1]}
    assert first < possible_ids(raw(), rules())
    assert len(possible_ids(raw(), rules())) == 2 * len(first)
    assert possible_ids(raw(), rules(b"wrong")) == frozenset()
    assert "MUG" in claimed_entities(raw(), rules(b"wrong"))
    assert claimed_entities(raw(body=b"{"), rules()) == frozenset()


def test_a_transaction_that_failed_is_not_counted() -> None:
    """Progress and memory go back to what is committed."""
    one = state()
    replay_step(raw(), one, task())
    assert read_progress(one.changes()[0][1]) == ReplayProgress(next=41, became=1, events=2)
    one.roll_back()
    assert one.changes() == ()
    assert set(topics(replay_step(raw(), one, task()))) == {"orders", "inventory"}


@pytest.mark.parametrize("value", [None, b"", b"[]", b'{"id":1}', b'{"next":-1}'])
def test_what_others_wrote_is_no_plan_and_no_progress(value: bytes | None) -> None:
    """Whatever lies in `replay-state` is read or passed over."""
    assert read_plan(value) is None
    assert read_progress(value) is None
    assert read_plan(write(task().plan)) == task().plan
