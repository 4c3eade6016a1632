"""Deliveries listed, searched and opened, by what the topics of a real Kafka hold."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import orjson
import pytest

from ops.deliveries.detail import read_delivery
from ops.deliveries.listing import ROWS_MAX, DeliveryQuery, Ended, Found, Looked, open_listing
from ops.deliveries.summary import DeliveryOutcome, DeliverySummary
from ops.deliveries.words import read_words
from ops.kafka.reader import read_topic
from processors.groups import deliver_rules
from processors.providers import discover
from schemas.delivery import Delivery
from schemas.errors import UsageError
from schemas.settings import Settings
from schemas.times import timestamp_ms
from tests.conftest import SettingsFactory
from tests.support.histories import delete_before, process
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, STARTED_AT, deliveries, prepared, put, signed

pytestmark = pytest.mark.kafka

SHIPSTREAM = discover()["shipstream"]


async def history(settings: SettingsFactory) -> tuple[Settings, list[Delivery]]:
    """Sixty deliveries of four providers, a retry, one that nobody signed; and one that the group has not come to."""
    ours = await prepared(settings(PROCESS + ENDPOINTS, environ=ENVIRON))
    batch = [as_received(one, number) for number, one in enumerate(deliveries(60))]
    late = STARTED_AT + timedelta(seconds=1)
    retry = replace(batch[7], id="01980000-0000-7000-8000-00000000aaaa", received_at=late)
    forged = replace(batch[8], id="01980000-0000-7000-8000-00000000bbbb", received_at=late, headers=())
    await put(ours, [*batch, retry, forged])
    await process(ours)
    waiting = as_received(
        replace(signed(SHIPSTREAM.samples[0], "shipstream", "shipstream", 900), received_at=late), 900
    )
    await put(ours, [waiting])
    return ours, [*batch, retry, forged, waiting]


def as_received(delivery: Delivery, number: int) -> Delivery:
    """The delivery with an id that tells its time of receipt, as the ingress gives it (UUIDv7)."""
    return replace(delivery, id=str(UUID(f"{timestamp_ms(delivery.received_at):012x}7000800000000000{number:04x}")))


async def found(ours: Settings, query: DeliveryQuery) -> tuple[list[DeliverySummary], int | None]:
    """What one call gives, and where the next one goes on."""
    rows: list[DeliverySummary] = []
    until_ms: int | None = None
    async with open_listing(ours) as listing:
        async for step in listing.run(query):
            if isinstance(step, Found):
                rows.append(step.one)
            elif isinstance(step, Ended):
                until_ms = step.next_until_ms
    return rows, until_ms


async def ids(ours: Settings, text: str) -> list[str]:
    """The ids of the deliveries that a search for the text gives."""
    rows, _ = await found(ours, DeliveryQuery(words=read_words(text, ours.kafka.topic_prefix)))
    return [one.delivery for one in rows]


def newest_first(rows: Sequence[DeliverySummary]) -> bool:
    times = [one.at_ms for one in rows]
    return times == sorted(times, reverse=True)


async def test_every_delivery_is_listed_once_and_searched_by_each_of_its_ids(settings: SettingsFactory) -> None:
    """The newest first over all partitions, each with what became of it; and each word leads to its delivery."""
    ours, sent = await history(settings)
    first, until_ms = await found(ours, DeliveryQuery())
    assert len(first) == ROWS_MAX
    assert newest_first(first)
    rest, end = await found(ours, DeliveryQuery(until_ms=until_ms))
    assert end is None
    known = {one.delivery: one for one in [*first, *rest]}
    assert set(known) == {one.id for one in sent}
    outcomes = [known[one.id].outcome for one in sent]
    assert outcomes == [DeliveryOutcome.ACCEPTED] * 60 + [
        DeliveryOutcome.RETRY,
        DeliveryOutcome.REJECTED,
        DeliveryOutcome.WAITING,
    ]
    retry, forged = known[sent[60].id], known[sent[61].id]
    assert retry.first == known[sent[7].id].position
    assert forged.rejected is not None
    assert forged.rejected[1] == "signature_missing"

    one = known[sent[0].id]
    event = one.events[0]
    topic, partition, offset = event.place.split(":")
    assert await ids(ours, one.delivery) == [one.delivery]
    assert await ids(ours, event.id) == [one.delivery]
    assert one.delivery in await ids(ours, event.subject)
    assert await ids(ours, f"{topic}/{partition}/{offset}") == [one.delivery]
    assert await ids(ours, one.place) == [one.delivery]
    assert await ids(ours, f"rejected {forged.rejected[0]}") == [forged.delivery]
    numbered = next(each for each in known.values() if each.sequence is not None)
    assert numbered.delivery in await ids(ours, str(numbered.sequence))
    assert await ids(ours, "nobody-ever") == []
    assert await ids(ours, "99:0") == await ids(ours, "0:99999") == []


async def test_filters_leave_what_they_say(settings: SettingsFactory) -> None:
    """By endpoint, provider, outcome, type of event and time of receipt, alone and together."""
    ours, sent = await history(settings)
    rejected, _ = await found(ours, DeliveryQuery(outcome=DeliveryOutcome.REJECTED))
    assert [one.delivery for one in rejected] == [sent[61].id]
    retries, _ = await found(ours, DeliveryQuery(outcome=DeliveryOutcome.RETRY))
    assert [one.delivery for one in retries] == [sent[60].id]
    waiting, _ = await found(ours, DeliveryQuery(outcome=DeliveryOutcome.WAITING))
    assert [one.delivery for one in waiting] == [sent[62].id]
    of_dropea, _ = await found(ours, DeliveryQuery(provider="dropea", outcome=DeliveryOutcome.ACCEPTED))
    assert {one.endpoint for one in of_dropea} == {"dropea"}
    assert len(of_dropea) == sum(one.provider == "dropea" for one in sent[:60])
    at_dreamship, _ = await found(ours, DeliveryQuery(endpoint="dreamship"))
    assert len(at_dreamship) == sum(one.endpoint == "dreamship" for one in sent)
    created, _ = await found(ours, DeliveryQuery(event_type="inventory.adjusted"))
    assert created
    assert all("dropstream.inventory.adjusted" in one.event_types for one in created)
    begin_ms = timestamp_ms(STARTED_AT + timedelta(milliseconds=11))
    between, _ = await found(ours, DeliveryQuery(begin_ms=begin_ms, until_ms=begin_ms + 10))
    assert {one.delivery for one in between} == {one.id for one in sent[10:20]}
    assert (await found(ours, DeliveryQuery(endpoint="nobody")))[0] == []


async def test_a_delivery_opens_with_all_that_became_of_it(settings: SettingsFactory) -> None:
    """Its request, its events with their JSON, its retry; of a rejected one why, and what today's rules make of it."""
    ours, sent = await history(settings)
    rules = deliver_rules(ours.endpoints, ours, discover())
    places = {one.delivery: one.position for one in (await found(ours, DeliveryQuery()))[0]}
    places |= {
        one.delivery: one.position
        for id_ in (sent[7].id,)
        for one in (await found(ours, DeliveryQuery(words=read_words(id_, ""))))[0]
    }
    first = places[sent[7].id]
    detail = await read_delivery(ours, rules, first.partition, first.offset)
    assert detail.delivery.body == sent[7].body
    assert detail.summary.outcome is DeliveryOutcome.ACCEPTED
    assert [one.delivery for one in detail.retries] == [sent[60].id]
    assert detail.looked_until_ms is None
    written = [orjson.loads(record.value or b"") for _, record in detail.events]
    assert {one["delivery"] for one in written} == {sent[7].id}
    expected = [one for one in detail.would_become if one.topic != "sequence"]
    assert {one["id"] for one in written} == {orjson.loads(one.value)["id"] for one in expected}

    rejected = places[sent[61].id]
    detail = await read_delivery(ours, rules, rejected.partition, rejected.offset)
    assert detail.summary.outcome is DeliveryOutcome.REJECTED
    assert detail.events == []
    assert [one.topic for one in detail.would_become] == ["rejected"]


async def test_an_id_that_tells_its_time_is_looked_for_in_nothing_older(settings: SettingsFactory) -> None:
    """Of an id of after the last delivery no record is read; of one of before the first, all: a body may hold it."""
    ours, sent = await history(settings)
    last_ms = timestamp_ms(max(one.received_at for one in sent))
    assert await records_read(ours, uuid7_at(last_ms + 120_000)) == 0
    assert await records_read(ours, uuid7_at(last_ms - 120_000)) == len(sent)


async def records_read(ours: Settings, text: str) -> int:
    """How many records a search that finds nothing reads."""
    read = 0
    async with open_listing(ours) as listing:
        async for step in listing.run(DeliveryQuery(words=read_words(text, ours.kafka.topic_prefix))):
            assert not isinstance(step, Found)
            read = step.done if isinstance(step, Looked) else read
    return read


def uuid7_at(at_ms: int) -> str:
    """A UUIDv7 of that time that no delivery has."""
    return str(UUID(int=at_ms << 80 | 0x7 << 76 | 0b10 << 62 | 0x5EEC))


async def test_what_is_deleted_is_said_and_never_called_lost(settings: SettingsFactory) -> None:
    """A place before the beginning of `raw` gets a sentence with what is left; the list goes on with what is there."""
    ours, sent = await history(settings)
    raw = [one for one in await read_topic(ours, "raw") if one.position.partition == 0]
    await delete_before(ours, {("raw", 0): raw[-1].position.offset})
    rules = deliver_rules(ours.endpoints, ours, discover())
    with pytest.raises(UsageError, match="no delivery lies at 0:0"):
        await read_delivery(ours, rules, 0, 0)
    rows, _ = await found(ours, DeliveryQuery())
    assert 0 < len(rows) <= len(sent) - len(raw) + 1
    assert newest_first(rows)
