"""A rejected record holds the delivery whole: every reason by one delivery, and what the record must not say."""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from processors.deliver.dedupe import DedupeStore
from processors.deliver.step import Rules, deliver
from schemas.notes.rejections import Reason
from schemas.records import Record
from schemas.sections.endpoints import EndpointSettings
from tests.providers.fixtures import RECORD_BYTES_MAX, Fixture, providers

SECRET = b"known-to-two-parties-only"
TOKEN = "unguessable-path-segment"
SIGNED_AT = b"1772600767"  # 2026-03-04T05:06:07Z
RECEIVED_AT = datetime(2026, 3, 4, 5, 6, 7, 890_123, tzinfo=UTC)
GOOD = b'{"topic":"product:created","message":{"sku":"PRIVATE-GOODS","webhook_increment_id":5}}'
EXPIRED = {"value": "env:SECRET", "expires": datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)}


@dataclass(frozen=True, slots=True)
class Case:
    """A delivery: `body` signed with `secret`, None for not at all, to an endpoint of these options."""

    body: bytes = GOOD
    secret: bytes | None = SECRET
    provider: str = "shipstream"
    options: Mapping[str, Any] | None = None


CASES: dict[tuple[Reason, str], Case] = {
    (Reason.SIGNATURE_MISSING, "none"): Case(secret=None),
    (Reason.SIGNATURE_INVALID, "another's secret"): Case(secret=b"known-to-somebody-else"),
    (Reason.SECRET_EXPIRED, "at this second"): Case(options={"secrets": [EXPIRED]}),
    (Reason.TIMESTAMP_OUTSIDE_TOLERANCE, "61 s"): Case(
        provider="modern_dropship", options={"timestamp_tolerance_seconds": 60}
    ),
    (Reason.BODY_NOT_JSON, "broken off"): Case(body=GOOD[:-9]),
    (Reason.BODY_NOT_JSON, "empty"): Case(body=b""),
    (Reason.BODY_NOT_JSON, "no text"): Case(body=b'{"topic":"PRIVATE-GOODS \xff"}'),
    (Reason.BODY_UNRECOGNISED, "a list"): Case(body=b'["PRIVATE-GOODS"]'),
    (Reason.BODY_UNRECOGNISED, "no known shape"): Case(body=b'{"message":{"sku":"PRIVATE-GOODS"}}'),
    (Reason.ENDPOINT_UNKNOWN, "removed"): Case(),
}
EVERY = pytest.mark.parametrize(("named", "case"), CASES.items(), ids=[f"{one}: {how}" for one, how in CASES])


def signature_headers(case: Case) -> tuple[tuple[str, bytes], ...]:
    """The signature, made with the standard library alone."""
    if case.secret is None:
        return ()
    if case.provider == "modern_dropship":
        signed_at = b"%d" % (int(SIGNED_AT) - 61)
        signature = hmac.digest(case.secret, signed_at + b"." + case.body, "sha256").hex().encode()
        return (("convictional-signature", signed_at + b"," + signature),)
    return (("x-plugin-hmac-sha256", base64.b64encode(hmac.digest(case.secret, case.body, "sha256"))),)


def fixture(case: Case) -> Fixture:
    endpoint = EndpointSettings.model_validate(
        {"secrets": ["env:SECRET"], **(case.options or {}), "provider": case.provider, "token": "env:TOKEN"},
        context={"environ": {"SECRET": SECRET.decode(), "TOKEN": TOKEN}},
    )
    # Repeated names and bytes that are no UTF-8 must come through as they are.
    headers = (("x-twice", b"one"), ("x-twice", b"\xff\x00"), *signature_headers(case))
    return Fixture(case.provider, "made", case.body, headers, RECEIVED_AT, endpoint, expected={})


def outcome(reason: Reason, given: Fixture) -> tuple[Record, ...]:
    """What the delivery leads to; where its endpoint is to be unknown, it was removed meanwhile."""
    rules = given.rules()
    if reason is Reason.ENDPOINT_UNKNOWN:
        rules = Rules({}, providers(), RECORD_BYTES_MAX)
    return deliver(given.record(), rules, DedupeStore(window_s=432_000))


def test_no_reason_is_without_a_delivery() -> None:
    """The closed set has seven reasons of the delivery, and each is met below; one more is Kafka's."""
    assert {reason.value for reason, _ in CASES} == {
        "endpoint_unknown",
        "signature_missing",
        "signature_invalid",
        "secret_expired",
        "timestamp_outside_tolerance",
        "body_not_json",
        "body_unrecognised",
    }
    assert {reason for reason, _ in CASES} == set(Reason) - {Reason.KAFKA_REFUSED}


@EVERY
def test_the_record_is_the_raw_one_with_three_headers_more(named: tuple[Reason, str], case: Case) -> None:
    """Key, value and headers are the raw record's, byte for byte; reason, detail and place come after them."""
    reason, _ = named
    given = fixture(case)
    (record,) = outcome(reason, given)
    assert (record.topic, record.key, record.value) == ("rejected", b"fixture", case.body)
    assert record.headers[:-3] == (
        ("x-twice", b"one"),
        ("x-twice", b"\xff\x00"),
        *signature_headers(case),
        ("dropstream-delivery", b"0197a3f0-0000-7000-8000-000000000001"),
        ("dropstream-provider", case.provider.encode()),
        ("dropstream-endpoint", b"fixture"),
        ("dropstream-received-at", b"2026-03-04T05:06:07.890123Z"),
        ("dropstream-remote", b"192.0.2.1"),
    )
    (first, why), (second, detail), last = record.headers[-3:]
    assert (first, why) == ("dropstream-reason", reason.value.encode())
    assert (second, bool(detail)) == ("dropstream-detail", True)
    assert last == ("dropstream-raw", b"dropstream.raw/3/7")


@EVERY
def test_the_detail_tells_no_secret_and_nothing_of_the_body(named: tuple[Reason, str], case: Case) -> None:
    """The sentence is one printable line without secret, token, signature or a word of what was sent."""
    reason, _ = named
    given = fixture(case)
    detail = dict(outcome(reason, given)[0].headers)["dropstream-detail"].decode()
    assert detail.isprintable()
    assert len(detail) < 200
    private = [SECRET, (case.secret or SECRET), TOKEN.encode(), b"PRIVATE", b"GOODS", b"product:created"]
    private += [part for _, value in signature_headers(case) for part in value.split(b",")[-1:]]
    private += [hmac.digest(SECRET, case.body, "sha256").hex().encode()]
    for text in private:
        assert text.decode() not in detail


@EVERY
def test_the_same_delivery_set_right_is_no_rejection(named: tuple[Reason, str], case: Case) -> None:
    """Each case is rejected for its one reason: put that right, and it leads to its event and nothing else."""
    assert named
    options = {name: value for name, value in (case.options or {}).items() if name == "signature_scheme"}
    body = GOOD if case.provider == "shipstream" else b'{"type":"product.selected","data":{"id":"p"}}'
    right = fixture(replace(case, body=body, secret=SECRET, options=options))
    made = deliver(right.record(), right.rules(), DedupeStore(window_s=432_000))
    assert [record.topic for record in made if record.topic != "sequence"] == ["catalog"]


def test_a_rejected_delivery_is_no_retry_when_it_comes_again() -> None:
    """The second try of what was rejected is rejected too, with its own place, and never called a duplicate."""
    given = fixture(CASES[Reason.SIGNATURE_INVALID, "another's secret"])
    store = DedupeStore(window_s=432_000)
    first = deliver(given.record(), given.rules(), store)
    again = deliver(replace(given, offset=8).record(), given.rules(), store)
    places = [dict(record.headers)["dropstream-raw"] for record in (*first, *again)]
    assert places == [b"dropstream.raw/3/7", b"dropstream.raw/3/8"]
