"""The laws that hold for every provider and every fixture; a new provider or fixture comes under them unasked.

What each delivery must become is literal, in its fixture; what must hold of all of them stands here.
"""

import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.deliver.provider import Provider, Sample
from tests.providers.fixtures import Fixture, fixture_folders, load_fixtures, providers
from tests.providers.outcomes import (
    AT,
    check_events,
    delivered,
    endpoint_fixture,
    event_ids,
    events,
    outcome,
    reason,
    records,
)
from tests.providers.strange_json import json_object, mutations, readable, walk

FIXTURES = load_fixtures()
ACCEPTED = [fixture for fixture in FIXTURES if "events" in fixture.expected]
VERIFIED = [fixture for fixture in FIXTURES if fixture.expected.get("signature") == "verified"]
REJECTED = [fixture for fixture in FIXTURES if "rejected" in fixture.expected]
PROVIDERS = providers()
SAMPLES = [(provider, sample) for provider in PROVIDERS.values() for sample in provider.samples]
# 32 bytes as base64 or hex; nothing else in a header is as long without a break.
MAC = re.compile(rb"[0-9A-Za-z+/]{43,}")
FLIPS_MAX = 64
# Headers that the vendors write as lists with commas; RFC 9110 section 5.3 lets a list be several lines.
LISTS = {"x-dreamship-signature", "convictional-signature", "x-signature"}


def signature_header(fixture: Fixture) -> tuple[str, bytes]:
    """Name and value of the one header that holds a MAC, its lines joined."""
    found = [field for field in fixture.headers if MAC.search(field[1])]
    (name,) = {name for name, _ in found}
    return name, b",".join(value for _, value in found)


def has_one_signature(fixture: Fixture) -> bool:
    """Whether the header holds one signature only: of several any one may match."""
    return len(MAC.findall(signature_header(fixture)[1])) == 1


SINGLY_SIGNED = [fixture for fixture in VERIFIED if has_one_signature(fixture)]

every_fixture = pytest.mark.parametrize("fixture", FIXTURES, ids=str)
every_accepted = pytest.mark.parametrize("fixture", ACCEPTED, ids=str)
every_rejected = pytest.mark.parametrize("fixture", REJECTED, ids=str)
every_verified = pytest.mark.parametrize("fixture", VERIFIED, ids=str)
every_single_signature = pytest.mark.parametrize("fixture", SINGLY_SIGNED, ids=str)
every_sample = pytest.mark.parametrize(("provider", "sample"), SAMPLES, ids=lambda part: part.name)
every_provider = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
modest = settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


@every_fixture
def test_a_delivery_becomes_exactly_what_its_fixture_says(fixture: Fixture) -> None:
    """Outcome, order, key, time and every field of data are the literal ones."""
    assert outcome(fixture) == fixture.expected


@every_rejected
def test_a_rejected_delivery_is_kept_whole(fixture: Fixture) -> None:
    """The rejected record is the raw one, with the reason, a sentence and the place added."""
    raw, (record,) = fixture.record(), records(fixture)
    assert (record.topic, record.key, record.value) == ("rejected", raw.key, raw.value)
    assert record.headers[:-3] == raw.headers
    assert [name for name, _ in record.headers[-3:]] == ["dropstream-reason", "dropstream-detail", "dropstream-raw"]


@every_verified
def test_a_flipped_bit_in_the_body_is_refused(fixture: Fixture) -> None:
    """No part of a signed body can change unseen: bits evenly spread over it."""
    for body in flipped(fixture.body, FLIPS_MAX):
        # The frame of a compressed body (its time, its system) is no part of the text that was signed.
        if body[:2] != b"\x1f\x8b" or uncompressed(body) != uncompressed(fixture.body):
            assert reason(replace(fixture, body=body)) == "signature_invalid"


@every_single_signature
def test_a_flipped_bit_in_the_signature_is_refused(fixture: Fixture) -> None:
    """No part of a header with one signature can change unseen, timestamp and punctuation included."""
    name, value = signature_header(fixture)
    for changed in flipped(value, FLIPS_MAX):
        assert reason(with_header(fixture, name, (changed,))) == "signature_invalid"


@every_provider
def test_any_flipped_bit_is_refused(provider: Provider) -> None:
    """No bit at all can change unseen: every one of the provider's smallest body and of its signature."""
    fixture = min((one for one in SINGLY_SIGNED if one.provider == provider.name), key=lambda one: len(one.body))
    name, value = signature_header(fixture)
    for body in flipped(fixture.body, 8 * len(fixture.body)):
        assert reason(replace(fixture, body=body)) == "signature_invalid"
    for changed in flipped(value, 8 * len(value)):
        assert reason(with_header(fixture, name, (changed,))) == "signature_invalid"


@every_verified
def test_a_missing_signature_is_told_from_a_wrong_one(fixture: Fixture) -> None:
    """Without its signature a delivery is unsigned where the endpoint allows that, else rejected as missing one."""
    name, _ = signature_header(fixture)
    unsigned = with_header(fixture, name, ())
    policy = fixture.endpoint.signature or PROVIDERS[fixture.provider].signature_policy
    if policy == "require":
        assert reason(unsigned) == "signature_missing"
    else:
        assert {event["signature"] for event in events(records(unsigned))} == {"unsigned"}


@every_verified
def test_a_doubled_signature_header_is_refused_unless_it_is_a_list(fixture: Fixture) -> None:
    """Two headers leave open which one counts, so neither does; but the lines of a list are one list."""
    name, value = signature_header(fixture)
    doubled = with_header(fixture, name, (value, value))
    if name in LISTS and fixture.endpoint.signature_scheme.format != "labelled":
        assert outcome(doubled) == fixture.expected
    else:
        assert reason(doubled) == "signature_invalid"


@every_fixture
def test_the_same_record_gives_the_same_records(fixture: Fixture) -> None:
    """Every output is a function of the raw record and the rules alone."""
    assert records(fixture) == records(fixture)


@every_accepted
def test_an_event_id_is_of_the_message_and_the_endpoint_only(fixture: Fixture) -> None:
    """Ids survive a retry (another delivery, offset and time), are unique in a delivery, and differ by endpoint."""
    retry = replace(
        fixture,
        delivery_id="0197a3f0-0000-7000-8000-000000000002",
        offset=fixture.offset + 1,
        received_at=fixture.received_at - timedelta(seconds=1),
    )
    ids = event_ids(records(fixture))
    assert event_ids(records(retry)) == ids
    assert len(set(ids)) == len(ids)
    assert not set(ids) & set(event_ids(records(replace(fixture, endpoint_name="another"))))


@every_accepted
def test_the_official_sdk_reads_every_event_and_every_event_keeps_its_schema(fixture: Fixture) -> None:
    """Every event is CloudEvents 1.0 and validates against the JSON Schema of its shape."""
    check_events(records(fixture))


@every_accepted
def test_a_payload_is_the_providers_own_json_and_comes_last(fixture: Fixture) -> None:
    """What an event stands on is found in the body, whole or in part; as it is, or as every JSON reader takes it."""
    for event in events(records(fixture)):
        text = uncompressed(fixture.body)
        parts = [part for _, part in walk(readable(text) if event.get("repaired") else json.loads(text))]
        assert list(event["data"])[-1] == "payload"
        assert event["data"]["payload"] in parts


@every_provider
def test_no_json_of_a_stranger_is_an_error(provider: Provider) -> None:
    """Whatever a body holds where, it leads to at least one record, and every event keeps its schema."""
    bodies = [body for one in FIXTURES if one.provider == provider.name and (body := json_object(one.body))]

    @modest
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        body = data.draw(mutations(data.draw(st.sampled_from(bodies))))
        check_events(delivered(provider, json.dumps(body).encode(), data.draw(st.sampled_from(provider.samples))))

    holds()


@every_provider
def test_no_bytes_of_a_stranger_are_an_error(provider: Provider) -> None:
    """Any bytes as the body and any values of any signature header lead to at least one record."""
    names = sorted({name.lower() for sample in provider.samples for name in sample.sign(b"", b"key", AT)})

    @modest
    @given(st.binary() | st.text().map(str.encode), st.lists(st.tuples(st.sampled_from(names), st.binary())))
    def holds(body: bytes, headers: list[tuple[str, bytes]]) -> None:
        check_events(delivered(provider, body, provider.samples[0]))
        check_events(records(replace(endpoint_fixture(provider), body=body, headers=tuple(headers))))

    holds()


@every_sample
def test_a_sample_is_verified_and_becomes_what_it_promises(provider: Provider, sample: Sample) -> None:
    """`event_types` names every event that a signed sample leads to."""
    made = events(delivered(provider, sample.body(1, AT), sample))
    assert {event["signature"] for event in made} == {"verified"}
    assert sorted(event["type"] for event in made) == sorted(sample.event_types)


@every_sample
def test_a_sample_differs_by_number_and_time_and_by_nothing_else(provider: Provider, sample: Sample) -> None:
    """Samples are no retries of one another, in one run or in two; the same one is the same bytes."""
    assert sample.body(1, AT) == sample.body(1, AT)
    given_times = [(1, AT), (2, AT), (1, AT + timedelta(seconds=1)), (2, AT + timedelta(seconds=1))]
    ids = [id_ for number, at in given_times for id_ in event_ids(delivered(provider, sample.body(number, at), sample))]
    assert len(set(ids)) == len(ids) == len(given_times) * len(sample.event_types)


def test_every_provider_has_fixtures_and_every_fixture_a_provider() -> None:
    """No provider escapes these laws, and no folder lies about unread."""
    assert fixture_folders() == set(PROVIDERS)
    assert {fixture.provider for fixture in VERIFIED} == set(PROVIDERS)
    assert {fixture.provider for fixture in REJECTED} == set(PROVIDERS)


def test_sample_names_are_unique() -> None:
    """`dropstream send NAME` means one sample."""
    names = [sample.name for _, sample in SAMPLES]
    assert len(set(names)) == len(names)


def uncompressed(body: bytes) -> bytes:
    """The text of a body, whether it is compressed or not; the body itself where it cannot be inflated."""
    try:
        return zlib.decompress(body, wbits=47)
    except zlib.error:
        return body


def with_header(fixture: Fixture, name: str, values: Sequence[bytes]) -> Fixture:
    """The delivery with exactly these values of the header."""
    kept = tuple(field for field in fixture.headers if field[0] != name)
    return replace(fixture, headers=(*kept, *((name, value) for value in values)))


def flipped(content: bytes, count_max: int) -> Iterator[bytes]:
    """`content` with one bit changed: each, or `count_max` of them at an odd distance, so that no place is left out."""
    number, width = int.from_bytes(content), len(content)
    for bit in range(0, 8 * width, (8 * width - 1) // count_max | 1):
        yield (number ^ 1 << bit).to_bytes(width)
