"""`dropstream explain`: each step of a delivery says what it found, and where it would stop."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.inspect.explain import explain
from tests.providers.fixtures import Fixture, load_fixtures
from tests.providers.outcomes import event_ids, events, records

FIXTURES = {str(fixture): fixture for fixture in load_fixtures()}
CONFIGURATION = '[endpoints.acme]\nprovider = "shipstream"\nsecrets = ["env:S"]\n'


def found(name: str) -> dict[str, str]:
    fixture = FIXTURES[name]
    return {step.name: step.found for step in explain(fixture.record(), fixture.rules())}


@pytest.mark.parametrize("fixture", FIXTURES.values(), ids=str)
def test_an_explanation_ends_as_the_delivery_does(fixture: Fixture) -> None:
    """It stops somewhere exactly where the delivery is rejected; else it names every event with its id."""
    steps = explain(fixture.record(), fixture.rules())
    rejected = records(fixture)[0].topic == "rejected"
    assert any(step.stops for step in steps) == rejected
    if not rejected:
        assert steps[-1].name == "records"
        assert all(id_ in steps[-1].found for id_ in event_ids(records(fixture)))
        assert {event["timequality"] for event in events(records(fixture))} == {
            step.more["timequality"] for step in steps if step.name == "time"
        }


def test_what_is_signed_is_said() -> None:
    """Over the body, over a time and the body, or nothing; and in which spelling."""
    assert found("shipstream/order-created")["signature"] == "1 given, base64 HMAC-SHA256 over the body: verified"
    assert found("modern_dropship/vector")["signature"] == (
        "1 given, hex HMAC-SHA256 over 11 bytes of time and the body: verified"
    )
    assert found("dropea/v1-unsigned")["signature"] == "the delivery carries none: unsigned"


def test_what_was_done_to_the_body_is_said() -> None:
    """A compressed body was inflated, broken text was mended, a time that cannot be is not believed."""
    assert found("shipstream/gzip-signed-compressed")["compression"] == "content-encoding gzip: inflated to 216 bytes"
    assert found("shipstream/1e400")["parse"] == "a JSON object of 2 fields, mended for readers (repaired)"
    assert found("shipstream/event-timestamp-2121")["time"] == (
        "2121-11-24T09:30:00.000000Z is too far from the receipt to be believed: the time of receipt, received"
    )


def test_a_delivery_that_is_wrong_twice_is_told_twice() -> None:
    """A wrong signature does not hide that the body is no JSON."""
    fixture = replace(FIXTURES["shipstream/body-not-json"], headers=())
    steps = explain(fixture.record(), fixture.rules())
    assert [(step.name, step.more["reason"]) for step in steps if step.stops] == [
        ("signature", "signature_missing"),
        ("parse", "body_not_json"),
    ]


@pytest.mark.parametrize(("secret", "code"), [("made-up-secret", 0), ("another", 1)])
def test_a_file_is_explained_for_programs(secret: str, code: int, tmp_path: Path) -> None:
    """One JSON object for each step; exit code 1 where the delivery is rejected."""
    fixture = FIXTURES["shipstream/ltl-package-tracking-numbers"]
    (tmp_path / "body").write_bytes(fixture.body)
    (tmp_path / "dropstream.toml").write_text(CONFIGURATION, encoding="utf-8")
    headers = [f"--header={name}: {value.decode()}" for name, value in fixture.headers]
    told = CliRunner().invoke(
        app,
        ["explain", str(tmp_path / "body"), "--json", f"--config={tmp_path / 'dropstream.toml'}", *headers],
        env={"S": secret},
    )
    steps = [json.loads(line) for line in told.stdout.splitlines()]
    assert (told.exit_code, any(step["rejected"] for step in steps)) == (code, bool(code))
    assert steps[-1]["step"] == "records"
