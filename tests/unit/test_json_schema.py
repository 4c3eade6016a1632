"""The JSON Schemas in the repository are those of the code, and refuse what they should."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from schemas.json_schema import event_schema, schemas
from schemas.vocabulary import Domain

FOLDER = Path(__file__).resolve().parents[2] / "schemas" / "json"


def test_files_are_those_of_the_code() -> None:
    """The committed schemas are what the code generates; after a change run `make schemas`."""
    written = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
    assert written == schemas()


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_schema_is_one(name: str) -> None:
    """Each is valid JSON Schema, 2020-12."""
    Draft202012Validator.check_schema(schemas()[name])


@pytest.mark.parametrize("domain", Domain)
def test_an_event_without_its_time_is_refused(domain: Domain) -> None:
    """What is always written is required, and what may be absent is not."""
    required = event_schema(domain)["required"]
    assert "time" in required
    assert "payload" in event_schema(domain)["properties"]["data"]["required"]
    assert not {"sequence", "replay"} & set(required)


def test_money_and_stock_are_decimal_text() -> None:
    """A number where decimal text belongs does not pass."""
    available = event_schema(Domain.INVENTORY)["properties"]["data"]["properties"]["available"]
    validator = Draft202012Validator(available)
    assert validator.is_valid("12.50")
    assert validator.is_valid(None)
    assert not validator.is_valid(12.5)
    assert not validator.is_valid("12,5")
    assert not validator.is_valid("1e3")
