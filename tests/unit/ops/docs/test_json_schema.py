"""The documents on file are those of the code; the schemas say all of every field and refuse what they should."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ops.docs.export import PAGE, exported
from ops.docs.json_schema import event_schema, schemas
from schemas.vocabulary import Domain
from tests.support.checkout import ROOT

FOLDER = ROOT / "schemas" / "json"


def test_files_are_those_of_the_code() -> None:
    """The committed schemas, AsyncAPI document and page are what the code generates; after a change `make schemas`."""
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    written[PAGE] = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
    stale = {name for name, text in exported().items() if written.get(name) != text} | (
        written.keys() - exported().keys()
    )
    assert not stale


def fields(schema: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every field of a schema with its path, those of `data` and of the definitions included."""
    for name, field in schema.get("properties", {}).items():
        yield f"{place}.{name}", field
        yield from fields(field, f"{place}.{name}")
    for name, definition in schema.get("$defs", {}).items():
        yield from fields(definition, f"{place} {name}")


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_field_is_described_with_an_example(name: str) -> None:
    """No field is without its meaning and an example that it would take; a constant is its own."""
    whole = schemas()[name]
    found = list(fields(whole, name))
    assert len(found) >= 5
    for place, field in found:
        if "properties" not in field:
            assert len(field.get("description", "")) >= 10, place
            examples = [field["const"]] if "const" in field else field.get("examples", [])
            assert examples, place
            validator = Draft202012Validator({**field, "$defs": whole.get("$defs", {})})
            assert all(validator.is_valid(one) for one in examples), place


@pytest.mark.parametrize("name", sorted(schemas()))
def test_examples_of_a_schema_are_what_it_describes(name: str) -> None:
    """A schema on file has one to four real records as examples, and takes each."""
    schema = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    assert 1 <= len(schema["examples"]) <= 4
    for example in schema["examples"]:
        Draft202012Validator(schema).validate(example)


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


def test_a_word_of_tomorrow_is_read_where_words_may_come() -> None:
    """A status that nobody knows yet passes, as text; a number does not, nor a quality, whose words are closed."""
    (example, *_) = json.loads((FOLDER / "order-event.v1.json").read_text(encoding="utf-8"))["examples"]
    validator = Draft202012Validator(event_schema(Domain.ORDER))
    assert validator.is_valid({**example, "data": {**example["data"], "status": "teleported"}, "signature": "sealed"})
    assert not validator.is_valid({**example, "data": {**example["data"], "status": 7}})
    assert not validator.is_valid({**example, "timequality": "guessed"})


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_time_says_that_it_is_one(name: str) -> None:
    """Whoever makes code of a schema gets a time with a zone, not a text."""
    times = [field for _, field in fields(schemas()[name], name) if "\\d\\d:\\d\\d" in field.get("pattern", "")]
    assert times
    assert all(field["format"] == "date-time" for field in times)


def test_money_and_stock_are_decimal_text() -> None:
    """A number where decimal text belongs does not pass."""
    available = event_schema(Domain.INVENTORY)["properties"]["data"]["properties"]["available"]
    validator = Draft202012Validator(available)
    assert validator.is_valid("12.50")
    assert validator.is_valid(None)
    assert not validator.is_valid(12.5)
    assert not validator.is_valid("12,5")
    assert not validator.is_valid("1e3")
