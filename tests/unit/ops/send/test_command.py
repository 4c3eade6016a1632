"""What `dropstream send` sends where, and how it counts; the sending itself is tested against a real ingress."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from yarl import URL

from ops.send.client import AnswerTally, IngressAnswer, delivery_url, sign
from ops.send.command import choose
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.settings import Settings

ENVIRON = {"SHIP": "2RUJ8NXLnLRrAj3", "DROPEA": "dropea-api-key", "TOKEN": "a token/with ?"}
ONE = """
[endpoints.off]
provider = "shipstream"
secrets = ["env:SHIP"]
enabled = false
[endpoints.acme]
provider = "shipstream"
secrets = ["env:SHIP"]
"""
TWO = ONE + '[endpoints.dropea]\nprovider = "dropea"\nsecrets = ["env:DROPEA"]\ntoken = "env:TOKEN"\n'
BODY = b'{"topic":"test:ping","message":{"webhook_increment_id":1}}'


def settings_of(text: str) -> Settings:
    return read_configuration(text, source="here.toml", context=Context(environ=ENVIRON, providers=discover()))


def test_a_sample_goes_to_the_first_enabled_endpoint_of_its_provider() -> None:
    """Without --endpoint a sample finds its way; each of its deliveries differs."""
    target = choose("shipstream-order-created", settings_of(TWO), discover(), endpoint_name=None, sign_as=None)
    assert target.endpoint_name == "acme"
    first, second = target.deliveries(7, 2)
    assert first.body != second.body
    assert b'"webhook_increment_id":7' in first.body


def test_a_file_is_sent_byte_for_byte_with_the_right_signature(tmp_path: Path) -> None:
    """The body of a file is not touched, and ShipStream's published recipe signs it: base64 HMAC-SHA256."""
    file = tmp_path / "body.json"
    file.write_bytes(BODY)
    target = choose(str(file), settings_of(TWO), discover(), endpoint_name="acme", sign_as=None)
    (outgoing,) = target.deliveries(1, 1)
    assert outgoing.body == BODY
    # printf %s "$BODY" | openssl dgst -sha256 -hmac 2RUJ8NXLnLRrAj3 -binary | base64
    assert outgoing.headers["X-Plugin-Hmac-Sha256"] == "06BJwgeZTfecvcY1w/TpR1asmYdbePbUmzYVBPZWkoI="
    assert outgoing.headers["Content-Type"] == "application/json"


def test_a_file_can_name_its_wire_contract(tmp_path: Path) -> None:
    """--as picks between the contracts of one provider."""
    file = tmp_path / "body.json"
    file.write_bytes(b"{}")
    target = choose(str(file), settings_of(TWO), discover(), endpoint_name="dropea", sign_as="dropea-v2-order")
    assert target.sample.contract == "Dropea v2"


def test_a_file_needs_an_endpoint_where_there_are_several(tmp_path: Path) -> None:
    """Nobody guesses where a file is to go."""
    file = tmp_path / "body.json"
    file.write_bytes(b"{}")
    with pytest.raises(typer.BadParameter, match="a file needs one of: off, acme, dropea"):
        choose(str(file), settings_of(TWO), discover(), endpoint_name=None, sign_as=None)


def test_an_endpoint_without_secrets_gets_unsigned_deliveries() -> None:
    """Where there is nothing to sign with, nothing is signed."""
    settings = settings_of('[endpoints.d]\nprovider = "dropea"\nsignature = "verify-if-present"\n')
    sample = discover()["dropea"].samples[0]
    outgoing = sign(b"{}", settings.endpoints["d"], sample, datetime(2026, 1, 1, tzinfo=UTC))
    assert dict(outgoing.headers) == {"Content-Type": "application/json"}


def test_the_first_secret_that_has_not_expired_signs() -> None:
    """An expired secret in front is passed over; where all have expired the first one signs."""
    old = '{ value = "env:DROPEA", expires = 2026-05-31T00:00:00Z }'
    text = f'[endpoints.a]\nprovider = "shipstream"\nsecrets = [{old}, "env:SHIP"]\n'
    text += f'[endpoints.b]\nprovider = "shipstream"\nsecrets = [{old}]\n'
    endpoints = settings_of(text + ONE).endpoints
    sample = discover()["shipstream"].samples[0]

    def headers(name: str, day: int) -> dict[str, str]:
        return dict(sign(BODY, endpoints[name], sample, datetime(2026, 5, day, tzinfo=UTC)).headers)

    assert headers("a", 31) == headers("acme", 31)
    assert headers("a", 30) == headers("b", 30) == headers("b", 31) != headers("acme", 31)


def test_the_token_is_the_last_segment_of_the_path() -> None:
    """Whatever a token holds, it stays one segment."""
    endpoints = settings_of(TWO).endpoints
    assert delivery_url("http://127.0.0.1:8080", "acme", endpoints["acme"]) == URL(
        "http://127.0.0.1:8080/webhooks/acme"
    )
    assert delivery_url("http://h/base/", "dropea", endpoints["dropea"]).raw_path == (
        "/base/webhooks/dropea/a%20token%2Fwith%20%3F"
    )


def test_what_is_sent_does_not_print() -> None:
    """Neither body nor signature is in a repr."""
    outgoing = next(
        choose("dropea-v1-order", settings_of(TWO), discover(), endpoint_name=None, sign_as=None).deliveries(1, 1)
    )
    assert repr(outgoing) == "Outgoing()"


def test_answers_are_counted_by_status_and_time() -> None:
    """The summary says how many of each, the middle and the slow end."""
    tally = AnswerTally(
        [IngressAnswer(200, "id", number / 1000) for number in range(1, 100)] + [IngressAnswer(503, None, 0.5)]
    )
    assert tally.by_status() == {200: 99, 503: 1}
    assert tally.milliseconds_at(0.5) == 50.0
    assert tally.milliseconds_at(0.99) == 99.0
    assert tally.milliseconds_at(1.0) == 500.0
    assert AnswerTally().milliseconds_at(0.5) == 0.0
