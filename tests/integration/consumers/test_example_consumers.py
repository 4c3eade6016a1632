"""The example consumers show what the processors wrote: all of it once, from where they begin.

They are in Python, Java, Go and Node, and held to the same lines.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import GroupCoordinatorNotAvailableError
from uuid_utils import uuid7

from ops.docs.examples import examples
from ops.kafka.clients import admin
from ops.kafka.reader import read_topic
from processors.providers import discover
from schemas.delivery import Delivery, kept_headers
from schemas.kafka.arguments import transactional_producer_arguments
from schemas.records import RawRecord
from schemas.settings import Settings
from tests.conftest import KafkaUnderTest, SettingsFactory
from tests.support.consuming import Consumer, Program, consumer, orders_of, write
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    PROCESS,
    SECRET,
    audited,
    deliveries,
    prepared,
    processors,
    put,
    signed,
)
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kafka

_COUNT = 27
_ORDER = b"dropea:dropea:77"
# Madrid's clocks showed this hour twice; the delivery came in the first of them.
_AUTUMN = datetime(2025, 10, 26, 0, 30, 2, tzinfo=UTC)


def status_change(old: str, new: str, madrid: str, received_at: datetime) -> Delivery:
    """A signed delivery of Dropea v1: order 77 changed its status at that hour of Madrid."""
    change = {"order_id": 77, "prev_status": old, "new_status": new, "updated_at": madrid}
    body = orjson.dumps({"topic": "order:status_update", **change})
    sign = discover()["dropea"].samples[0].sign
    headers = kept_headers((name.encode(), value.encode()) for name, value in sign(body, SECRET, received_at).items())
    return Delivery(str(uuid7()), "dropea", "dropea", received_at, "192.0.2.1", headers, body)


def expected_line(record: RawRecord, age: str = "new") -> str:
    """The line of a record, made without the code under test."""
    event: dict[str, Any] = orjson.loads(record.value or b"")
    hour = {"ambiguous": "+-1h", "shifted": "+-1h"}.get(event["timequality"], "")
    what = event["type"].split(".", 1)[1]
    status = event["data"]["status"] or "-"
    time = event["time"][:19] + "Z"
    return f"order {time} {event['timequality']}{hour} {age} {(record.key or b'').decode()} {what} {status}"


async def abort(settings: Settings, record: RawRecord) -> None:
    """An event of a transaction that was aborted: it lies in the log, and must never be shown."""
    event = {**orjson.loads(record.value or b""), "id": "aborted", "type": "dropstream.order.aborted"}
    name = f"{settings.kafka.topic_prefix}abort"
    async with AIOKafkaProducer(**transactional_producer_arguments(settings, transactional_id=name)) as producer:
        await producer.begin_transaction()
        topic = settings.kafka.topic_prefix + "orders"
        await producer.send_and_wait(topic, key=record.key, value=orjson.dumps(event))
        await producer.abort_transaction()


def second_batch() -> list[Delivery]:
    """Order 77 tells of its past, then of an hour that came twice; ShipStream's number 10 comes late."""
    now = datetime.now(UTC)
    shipstream = discover()["shipstream"]
    return [
        status_change("new", "pending", "2026-05-21 11:00:00", now),
        status_change("pending", "confirmed", "2025-10-26 02:30:00", _AUTUMN),
        signed(shipstream.samples[0], "shipstream", "shipstream", 10),
    ]


async def test_a_consumer_shows_everything_once_from_where_it_is_told(
    program: Program, kafka: KafkaUnderTest, settings: SettingsFactory, tmp_path: Path
) -> None:
    """Beginning, group, time and offset; repeats and aborted records never, late events marked, gaps told."""
    mine = await prepared(settings(ENDPOINTS + PROCESS + "[sequence]\ngrace_seconds = 1\n", environ=ENVIRON))
    common = ("--prefix", mine.kafka.topic_prefix)
    first = status_change("confirmed", "pending", "2026-05-21 12:00:00", datetime.now(UTC))
    await put(mine, [*deliveries(_COUNT), first])
    async with (
        processors(mine, tmp_path) as start,
        consumer(program, kafka.bootstrap_servers, *common, "--group", f"{common[1]}one") as one,
    ):
        await start("processor")
        assert (await audited(mine, _COUNT + 1)).clean
        before = await read_topic(mine, "orders")
        told = sorted(expected_line(record) for record in before)
        # The samples' numbers are 7, 8, 16, 17, 25, 26: what lies between is missing.
        gaps = ["gap shipstream open 9-15, 7 missing: 9-15", "gap shipstream open 18-24, 14 missing: 9-15 18-24"]
        await one.prints(lambda lines: len(orders_of(lines)) >= len(told) and set(gaps) <= set(lines))
        assert sorted(orders_of(one.lines)) == told
        known = next(record for record in before if record.key == _ORDER)
        await abort(mine, known)
        await write(mine, key=_ORDER, value=known.value)  # As a cluster that lost a leader may have it.
        await write(mine, key=_ORDER, value=b"no event")
        later = datetime.now(UTC)
        await put(mine, second_batch())
        filled = "gap shipstream filled 10-10, 13 missing: 9-9 11-15 18-24"
        await one.prints(lambda lines: len(orders_of(lines)) >= len(told) + 3 and filled in lines)
        assert await one.stop() == program.stopped_code
    after = [record for record in await read_topic(mine, "orders") if record.timestamp_ms >= _ms(later)]
    news = [
        "order 2026-05-21T09:00:00Z exact late dropea:dropea:77 order.status_changed pending",
        "order 2025-10-26T00:30:00Z ambiguous+-1h late dropea:dropea:77 order.status_changed confirmed",
        *(expected_line(record) for record in after if record.key != _ORDER),
    ]
    assert Counter(orders_of(one.lines)) == Counter([*told, *news])
    assert [line for line in one.lines if line.startswith("gap ")] == [*gaps, filled]
    assert any(line.startswith("passed over: ") for line in one.errors)
    assert one.errors[-1] == f"stopped: {len(told) + 3} shown, 1 repeats dropped, 1 passed over"
    await _goes_on_and_starts_elsewhere(program, kafka, mine, later=later, news=news, known=known)


async def _goes_on_and_starts_elsewhere(
    program: Program, kafka: KafkaUnderTest, mine: Settings, *, later: datetime, news: list[str], known: RawRecord
) -> None:
    prefix = mine.kafka.topic_prefix

    async def shown(group: str, count: int, *arguments: str) -> list[str]:
        command = ("--prefix", prefix, "--group", f"{prefix}{group}", *arguments)
        async with consumer(program, kafka.bootstrap_servers, *command) as running:
            await running.prints(lambda lines: len(orders_of(lines)) >= count)
            assert await running.stop() == program.stopped_code
            return orders_of(running.lines)

    await write(mine, key=b"dropea:dropea:78", value=known.value)
    again = expected_line(known).replace(":77 ", ":78 ")
    # It goes on where the group stood. Its memory of ids began anew, so the repeat is shown.
    assert await shown("one", 1) == [again]
    # From here on nothing tells that the first event of order 77 is late; the one of autumn still is.
    since = [news[0].replace(" late ", " new "), *news[1:], again]
    assert Counter(await shown("two", len(since), "--from", later.isoformat())) == Counter(since)
    place = known.position
    beside = [one for one in await read_topic(mine, "orders") if one.position.partition == place.partition]
    rest = [
        one for one in beside if one.position.offset >= place.offset and one.value not in {b"no event", known.value}
    ]
    lines = [expected_line(one, "late" if one.key == _ORDER else "new") for one in rest]
    expected = [expected_line(known), *lines]
    assert await shown("three", len(expected), "--from", f"{place.partition}:{place.offset}") == expected


async def test_an_uncertain_time_does_not_take_back_a_certain_one(
    program: Program, kafka: KafkaUnderTest, settings: SettingsFactory
) -> None:
    """What an exact time has made late stays late, though an hour that came twice was told of in between."""
    mine = await prepared(settings())
    event: dict[str, Any] = orjson.loads(examples()["orders"][0].value)
    told = [("12:00", "exact", "new"), ("11:00", "ambiguous", "new"), ("11:00", "exact", "late")]
    for number, (hour, quality, _) in enumerate(told):
        stamped = {"id": str(number), "time": f"2025-10-26T{hour}:00.000000Z", "timequality": quality}
        await write(mine, key=_ORDER, value=orjson.dumps({**event, **stamped}))
    group = f"{mine.kafka.topic_prefix}times"
    arguments = ("--prefix", mine.kafka.topic_prefix, "--group", group, "--from", "beginning")
    async with consumer(program, kafka.bootstrap_servers, *arguments) as running:
        await running.prints(lambda lines: len(orders_of(lines)) == len(told))
        assert await running.stop() == program.stopped_code
    assert [line.split()[3] for line in orders_of(running.lines)] == [age for *_, age in told]


async def test_what_a_replay_corrects_is_shown_once_more(
    program: Program, kafka: KafkaUnderTest, settings: SettingsFactory
) -> None:
    """An event of a known id comes `again` with each replay, once; behind something newer it is late all the same."""
    mine = await prepared(settings())
    event: dict[str, Any] = orjson.loads(examples()["orders"][0].value)
    told = [
        ("1", None, "pending", "12:00"),
        ("1", None, "pending", "12:00"),
        ("1", "replay-a", "confirmed", "12:00"),
        ("1", "replay-a", "confirmed", "12:00"),
        ("2", None, "shipped", "13:00"),
        ("1", "replay-b", "confirmed", "12:00"),
        ("3", "redrive-c", "returned", "14:00"),
        ("3", "redrive-c", "returned", "14:00"),
    ]
    for id_, replay, status, hour in told:
        stamped = {"id": id_, "time": f"2026-05-21T{hour}:00.000000Z", "timequality": "exact", "type": event["type"]}
        marked = {} if replay is None else {"replay": replay}
        data = {**event["data"], "status": status}
        await write(mine, key=_ORDER, value=orjson.dumps({**event, **stamped, **marked, "data": data}))
    group = f"{mine.kafka.topic_prefix}again"
    arguments = ("--prefix", mine.kafka.topic_prefix, "--group", group, "--from", "beginning")
    async with consumer(program, kafka.bootstrap_servers, *arguments) as running:
        await running.prints(lambda lines: len(orders_of(lines)) == 5)
        assert await running.stop() == program.stopped_code
    assert [line.split()[3] + " " + line.split()[6] for line in orders_of(running.lines)] == [
        "new pending",
        "again confirmed",
        "new shipped",
        "late confirmed",
        "new returned",
    ]
    assert running.errors[-1] == "stopped: 5 shown, 3 repeats dropped, 0 passed over"


async def test_words_and_fields_of_tomorrow_are_read(
    program: Program, kafka: KafkaUnderTest, settings: SettingsFactory
) -> None:
    """A status, a quality of time and a state of a gap that nobody knows yet are told as they are."""
    mine = await prepared(settings())
    event: dict[str, Any] = orjson.loads(examples()["orders"][0].value)
    stamped = {"id": "1", "time": "2026-05-21T14:32:11.000000Z", "timequality": "guessed", "later": {"is": ["new"]}}
    status = {**event["data"], "status": "on_the_moon", "orbit": 3}
    await write(mine, key=_ORDER, value=orjson.dumps({**event, **stamped, "data": status}))
    gap: dict[str, Any] = orjson.loads(examples()["gaps"][0].value)
    big = 2**63
    for state, first, last in (
        ("open", 5, 9),
        ("of_tomorrow", 6, 6),
        ("open", big, big + 1),
        ("dismissed", 7, 7),
        ("lost", 8, 9),
        ("reconciled", 9, 9),
        ("mixed", 10, 900),
    ):
        words = {"endpoint": "acme", "state": state, "first": first, "last": last}
        await write(mine, key=b"acme", value=orjson.dumps({**gap, **words}), topic="gaps")
    group = f"{mine.kafka.topic_prefix}words"
    arguments = ("--prefix", mine.kafka.topic_prefix, "--group", group, "--from", "beginning")
    async with consumer(program, kafka.bootstrap_servers, *arguments) as running:
        await running.prints(lambda lines: len(lines) == 8)
        assert await running.stop() == program.stopped_code
    what = event["type"].removeprefix("dropstream.")
    assert orders_of(running.lines) == [
        f"order 2026-05-21T14:32:11Z guessed+-1h new dropea:dropea:77 {what} on_the_moon"
    ]
    assert [line for line in running.lines if line.startswith("gap ")] == [
        "gap acme open 5-9, 5 missing: 5-9",
        "gap acme of_tomorrow 6-6, 5 missing: 5-9",
        "gap acme open 9223372036854775808-9223372036854775809, 7 missing: 5-9 9223372036854775808-9223372036854775809",
        "gap acme dismissed 7-7, 6 missing: 5-6 8-9 9223372036854775808-9223372036854775809",
        "gap acme lost 8-9, 6 missing: 5-6 8-9 9223372036854775808-9223372036854775809",
        "gap acme reconciled 9-9, 5 missing: 5-6 8-8 9223372036854775808-9223372036854775809",
        "gap acme mixed 10-900, 0 missing: none",
    ]


async def test_members_of_a_group_share_the_work(
    program: Program, kafka: KafkaUnderTest, settings: SettingsFactory
) -> None:
    """Two show every event once between them; when one leaves, the other shows what comes then, and nothing again."""
    mine = await prepared(settings(partitions=6))
    found = examples()["orders"]
    arguments = ("--prefix", mine.kafka.topic_prefix, "--group", f"{mine.kafka.topic_prefix}shared")
    async with (
        consumer(program, kafka.bootstrap_servers, *arguments) as one,
        consumer(program, kafka.bootstrap_servers, *arguments) as two,
    ):
        await joined(mine, arguments[-1], members=2)
        for record in found[:20]:
            await write(mine, key=record.key, value=record.value)
        # Who is given which partition is the group's affair; all that counts is what they show together.
        showing = [asyncio.ensure_future(one_of.prints(lambda _: _together(one, two) >= 20)) for one_of in (one, two)]
        await asyncio.wait(showing, return_when=asyncio.FIRST_COMPLETED)
        for task in showing:
            task.cancel()
        await asyncio.gather(*showing, return_exceptions=True)
        assert await one.stop() == program.stopped_code
        for record in found[20:]:
            await write(mine, key=record.key, value=record.value)
        await two.prints(lambda _: _together(one, two) >= len(found))
        assert await two.stop() == program.stopped_code
    shown = Counter(line.split()[5] for line in orders_of(one.lines) + orders_of(two.lines))
    assert shown == Counter(orjson.loads(record.value)["type"].split(".", 1)[1] for record in found)


async def joined(settings: Settings, group: str, *, members: int) -> None:
    """Returns once the group has so many members, and each knows its partitions."""
    async with admin(settings) as client, asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(GroupCoordinatorNotAvailableError):  # A broker that is new makes its first group.
                _, _, state, _, _, found, *_ = (await client.describe_consumer_groups([group]))[0].groups[0]
                if state == "Stable" and len(found) == members:
                    return
            await asyncio.sleep(0.1)


def _together(one: Consumer, two: Consumer) -> int:
    return len(orders_of(one.lines)) + len(orders_of(two.lines))


def _ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
