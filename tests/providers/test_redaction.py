"""Redaction on every provider and every fixture: nothing about a person is left, and nothing else is changed."""

import base64
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examined
from hypothesis import strategies as st

from processors.deliver.provider import Provider
from processors.deliver.redaction import MARKER
from processors.deliver.step import deliver
from processors.groups import deliver_rules
from schemas.records import Record
from tests.conftest import SettingsFactory
from tests.providers.fixtures import Fixture, load_fixtures, providers
from tests.providers.outcomes import AT, check_events, endpoint_fixture, events, nothing_seen, records
from tests.providers.strange_json import json_object, mutations, strange_json, walk

FIXTURES = load_fixtures()
ACCEPTED = [fixture for fixture in FIXTURES if "events" in fixture.expected]
PROVIDERS = providers()
SECRET = "gęślą-jaźń-7Q"
# As people spell them; none is of a provider's page.
NAMES = """
    email customerEmail E-Mail buyer_email_address phone phoneNumber mobile_phone firstName last_name full_name
    recipientName sender_name customer shipTo shipping_address billingAddress address1 addressLine2 old-address
    street postalCode zip city signed_by gift_message customerNote comments
""".split()  # noqa: SIM905 a list of words reads better as words
# What a provider's page, or its language, says of its fields; at any place in an order.
OWN_NAMES: Mapping[str, Sequence[str]] = {
    "dreamship": ["address"],
    "shipstream": ["old_address", "sender_name", "signed_by"],
    "modern_dropship": ["packingSlipUrl", "packing_slip_url", "buyer"],
    "dropea": ["direccion", "Dirección", "nombre_cliente", "teléfono", "codigoPostal", "endereço", "cognome"],
}
# Objects whose keys are ids, not names of fields.
MAPS = {"stock_adjustments"}

every_provider = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda one: one.name)
every_accepted = pytest.mark.parametrize("fixture", ACCEPTED, ids=str)


def redacted(fixture: Fixture) -> tuple[Record, ...]:
    return deliver(fixture.record(), replace(fixture.rules(), redact_personal_data=True), nothing_seen())


def known_by(made: Sequence[Record]) -> list[tuple[Any, ...]]:
    """All of a delivery's records but the payloads, in order."""
    told = [(record, json.loads(record.value)) for record in made]
    for record, body in told:
        if record.topic not in {"rejected", "sequence"}:
            del body["data"]["payload"]
    return [(record.topic, record.key, record.headers, body) for record, body in told]


def signed(provider: Provider, body: dict[str, Any]) -> Fixture:
    content = json.dumps(body, ensure_ascii=False).encode(errors="surrogatepass")
    headers = provider.samples[0].sign(content, b"made-up", AT).items()
    received = tuple((name.lower(), value.encode()) for name, value in headers)
    return replace(endpoint_fixture(provider), body=content, headers=received)


personal_values = st.recursive(
    st.sampled_from([SECRET, f"<{SECRET}@example.com>"]),
    lambda inner: st.lists(inner, min_size=1, max_size=2) | st.dictionaries(st.sampled_from(["a", "id"]), inner),
    max_leaves=3,
)


@st.composite
def with_a_person(draw: Callable[[st.SearchStrategy[Any]], Any], original: dict[str, Any], provider: str) -> Any:
    """`original` with a personal field or two somewhere in it."""
    body = json.loads(json.dumps(original))
    for _ in range(draw(st.integers(1, 3))):
        places = [one for path, one in walk(body) if isinstance(one, dict) and not (path and path[-1] in MAPS)]
        draw(st.sampled_from(places))[draw(st.sampled_from((*NAMES, *OWN_NAMES[provider])))] = draw(personal_values)
    return body


@every_provider
def test_no_value_of_a_marked_field_is_left_anywhere(provider: Provider) -> None:
    """Wherever a personal field stands and however it is spelt, no byte of an event, key or header has its value."""
    bodies = [body for one in ACCEPTED if one.provider == provider.name and (body := json_object(one.body))]

    @examined(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        fixture = signed(provider, data.draw(with_a_person(data.draw(st.sampled_from(bodies)), provider.name)))
        made = redacted(fixture)
        plain = records(fixture)
        assert made[0].topic != "rejected"
        everything = b"".join(part for one in made for part in (one.key, one.value, *dict(one.headers).values()))
        assert SECRET.encode() not in everything
        # `json.dumps` is not ours to trust alone: the escaped spelling must be gone as well.
        assert json.dumps(SECRET)[1:-1].encode() not in everything
        assert known_by(made) == known_by(plain)
        check_events(made)

    holds()


@every_provider
def test_no_json_of_a_stranger_is_an_error_to_redaction(provider: Provider) -> None:
    """Whatever a body holds where, what is known of an event is the same with and without, and it keeps its schema."""
    bodies = [body for one in ACCEPTED if one.provider == provider.name and (body := json_object(one.body))]

    @examined(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        body = data.draw(mutations(data.draw(st.sampled_from(bodies))))
        fixture = signed(provider, {**body, "customer": data.draw(strange_json)})
        made = redacted(fixture)
        assert known_by(made) == known_by(records(fixture))
        check_events(made)

    holds()


@every_accepted
def test_all_that_an_event_is_known_by_is_the_same_with_and_without(fixture: Fixture) -> None:
    """Topic, key, headers, order, id and every field in our own words: redaction touches the payload alone."""
    assert known_by(redacted(fixture)) == known_by(records(fixture))


@pytest.mark.parametrize(
    ("provider", "ends"),
    [
        ("dreamship", {"message", "user"}),
        ("shipstream", {"sender_name"}),
        ("modern_dropship", set()),
        ("dropea", {"city", "company_name", "vat_number", "address", "postal_code"}),
    ],
)
def test_what_is_redacted_in_the_fixtures_is_this_and_no_more(provider: str, ends: set[str]) -> None:
    """Redaction takes persons and leaves things: states, carriers, SKUs and the names of products stay."""
    assert {end for one in ACCEPTED if one.provider == provider for end in replaced(one)} == ends


def replaced(fixture: Fixture) -> Iterator[str]:
    for before, after in zip(events(records(fixture)), events(redacted(fixture)), strict=True):
        was = dict(walk(before["data"]["payload"]))
        now = dict(walk(after["data"]["payload"]))
        assert list(was) == list(now)
        for path, value in now.items():
            if value != was[path] and not isinstance(value, dict | list):
                assert value == MARKER
                yield path[-1]


@every_accepted
def test_a_payload_without_a_person_keeps_its_bytes(fixture: Fixture) -> None:
    """Where there is nothing to redact the event is the same to the byte: numbers keep every digit."""
    if not list(replaced(fixture)):
        assert redacted(fixture) == records(fixture)


def test_an_order_with_an_address_keeps_its_shape_and_its_numbers() -> None:
    """Text, numbers and truth values become the marker, null stays, and a price beside them keeps its digits."""
    order = (
        b'{"id":5,"status":"fulfilled","cost":18.50,"big":12345678901234567890123,"line_items":[],'
        b'"address":{"first_name":"a","zip":28001,"verified":true,"company":null,"lines":["a",["b"]],"geo":{}},'
        b'"email":"first@example.com","email":"second@example.com"}'
    )
    headers = (("x-dreamship-signature", hmac.digest(b"made-up", order, "sha256").hex().encode()),)
    (record,) = redacted(replace(endpoint_fixture(PROVIDERS["dreamship"]), body=order, headers=headers))
    assert record.value.endswith(
        b'"payload":{"id":5,"status":"fulfilled","cost":18.50,"big":12345678901234567890123,"line_items":[],'
        b'"address":{"first_name":"[redacted]","zip":"[redacted]","verified":"[redacted]","company":null,'
        b'"lines":["[redacted]",["[redacted]"]],"geo":{}},"email":"[redacted]"}}}'
    )


def test_a_field_that_is_named_beside_its_value_is_redacted() -> None:
    """A form's list of answers says in one value what the other one is."""
    attributes = [{"name": "E-Mail", "value": "a@example.com"}, {"name": "Colour", "value": "blue"}]
    body = {"topic": "order:created", "message": {"unique_id": "1", "attributes": attributes}}
    (event,) = events(redacted(signed(PROVIDERS["shipstream"], body)))
    assert event["data"]["payload"]["message"]["attributes"] == [
        {"name": "E-Mail", "value": MARKER},
        {"name": "Colour", "value": "blue"},
    ]


def test_a_sku_that_is_called_like_a_persons_field_stays() -> None:
    """The keys of a map of stock are SKUs, whatever they spell."""
    stock = {"PHONE": {"sku": "PHONE", "qty_available": 3}, "Ship-To": {"sku": "Ship-To", "qty_available": 4}}
    body = {"topic": "inventory:adjusted", "message": {"webhook_increment_id": 1, "stock_adjustments": stock}}
    fixture = signed(PROVIDERS["shipstream"], body)
    assert redacted(fixture) == records(fixture)


@pytest.mark.parametrize(("everywhere", "here", "expected"), [(True, False, "Lisboa"), (False, True, MARKER)])
def test_an_endpoint_can_say_otherwise(everywhere: bool, here: bool, expected: str) -> None:
    """The endpoint's own word counts before that of the table `process`."""
    body = b'{"topic":"order.created","market":"PT","resource_id":1,"resource":{"shipping_address":{"city":"Lisboa"}}}'
    signature = b"sha256=" + base64.b64encode(hmac.digest(b"made-up", body, "sha256"))
    made = endpoint_fixture(PROVIDERS["dropea"])
    fixture = replace(
        made,
        body=body,
        headers=(("x-dropea-signature", signature),),
        endpoint=made.endpoint.model_copy(update={"redact_personal_data": here}),
    )
    rules = replace(fixture.rules(), redact_personal_data=everywhere)
    (event,) = events(deliver(fixture.record(), rules, nothing_seen()))
    assert event["data"]["payload"]["resource"]["shipping_address"] == {"city": expected}


def test_every_way_to_the_events_heeds_the_setting(settings: SettingsFactory) -> None:
    """The group and a replay are judged by the same rules: what was redacted does not come back by a replay."""
    asked = settings("[process]\nredact_personal_data = true", bootstrap_servers="127.0.0.1:1")
    silent = settings(bootstrap_servers="127.0.0.1:1")
    assert [deliver_rules({}, one, {}).redact_personal_data for one in (asked, silent)] == [True, False]


def test_a_rejected_delivery_keeps_its_body() -> None:
    """What is rejected is kept whole for redriving: it is as personal as `raw`, and is kept no longer."""
    fixture = replace(endpoint_fixture(PROVIDERS["dreamship"]), body=b'{"email":"a@example.com"}')
    assert redacted(fixture)[0].value == fixture.body
