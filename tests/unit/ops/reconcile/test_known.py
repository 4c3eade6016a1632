"""Whether a fetched state is news, by what `raw` holds."""

import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson

from ops.reconcile.known import KnownStates, StateVerdict
from schemas.delivery import Delivery, raw_key, record_headers
from schemas.fetched import FetchOrigin
from schemas.records import Position, RawRecord
from schemas.times import timestamp_ms
from tests.support.reconciling import ENDPOINT, RUN, rules_of
from tests.support.warehouse import SECRET

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
STEP = timedelta(minutes=10)


def record(delivery: Delivery) -> RawRecord:
    return RawRecord(
        Position("dropstream.raw", 0, 7),
        raw_key(ENDPOINT, 1, delivery.body),
        delivery.body,
        record_headers(delivery),
        timestamp_ms(delivery.received_at),
    )


def fetched(status: str, at: datetime) -> RawRecord:
    """The state of an order at Dreamship, whose API says no time of its change."""
    body = orjson.dumps({"fetched": "order", "id": 14, "object": "order", "data": {"id": 14, "status": status}})
    return record(Delivery("1", "dreamship", ENDPOINT, at, "h", (), body, fetched=FetchOrigin(RUN)))


def webhook(status: str, at: datetime, *, secret: bytes = SECRET) -> RawRecord:
    event = {"uuid": f"85fd0f85-6e93-4bba-a0cb-{timestamp_ms(at):012d}"[:36], "action": "order-status-updated"}
    event |= {"timestamp": at.isoformat(), "object_id": "14", "object_type": "order"}
    body = orjson.dumps({"id": 14, "object": "order", "event": event, "data": {"id": 14, "status": status}})
    headers = (("x-dreamship-signature", hmac.digest(secret, body, "sha256").hex().encode()),)
    return record(Delivery("2", "dreamship", ENDPOINT, at, "192.0.2.1", headers, body))


def known(*records: RawRecord) -> KnownStates:
    states = KnownStates(ENDPOINT, rules_of("dreamship"))
    for one in records:
        states.add(one)
    return states


def test_a_state_without_a_time_is_known_until_something_else_is_told() -> None:
    """The same state again is no news; but once a webhook told of another one, a change back is."""
    first, again = fetched("accepted", AT), fetched("accepted", AT + 3 * STEP)
    assert known().judge(first).verdict is StateVerdict.NEWS
    assert known(first).judge(again).verdict is StateVerdict.KNOWN
    between = webhook("submitted", AT + STEP)
    assert known(first, between).judge(again).verdict is StateVerdict.NEWS


def test_a_webhook_that_is_newer_is_named() -> None:
    """Its time goes into the record, so that the step judges the same on any machine."""
    later = AT + STEP
    judged = known(webhook("submitted", later)).judge(fetched("accepted", AT))
    assert (judged.verdict, judged.newest_known) == (StateVerdict.NEWS, later)
    assert known(webhook("submitted", AT - STEP)).judge(fetched("accepted", AT)).newest_known is None


def test_what_a_stranger_claims_is_not_known() -> None:
    """A delivery with a wrong signature makes no state overtaken."""
    forged = webhook("submitted", AT + STEP, secret=b"another")
    assert known(forged).judge(fetched("accepted", AT)).newest_known is None


def test_records_of_other_endpoints_say_nothing() -> None:
    """Order 14 of another shop is another order."""
    other = webhook("submitted", AT + STEP)
    headers = tuple((name, b"other" if name == "dropstream-endpoint" else value) for name, value in other.headers)
    assert known(replace(other, headers=headers)).judge(fetched("accepted", AT)).newest_known is None


def test_what_is_no_state_is_unreadable() -> None:
    """It is counted, and not written."""
    empty = replace(fetched("accepted", AT), value=b"{}")
    assert known().judge(empty).verdict is StateVerdict.UNREADABLE
