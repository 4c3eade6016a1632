"""The AsyncAPI document is one by AsyncAPI's own schema, and its examples are what its messages say."""

import json
from typing import Any

import pytest
from jsonschema import Draft7Validator

from ops.docs.asyncapi import asyncapi
from ops.docs.examples import examples
from tests.unit.ops.docs.asyncapi_specification import asyncapi_specification

DOCUMENT = asyncapi(examples())
MESSAGES = DOCUMENT["components"]["messages"]


@pytest.fixture(scope="module")
def specification() -> Draft7Validator:
    return Draft7Validator(asyncapi_specification())


def faults(specification: Draft7Validator, document: dict[str, Any]) -> list[str]:
    return [f"{list(fault.absolute_path)}: {fault.message[:200]}" for fault in specification.iter_errors(document)]


def test_it_is_an_asyncapi_document(specification: Draft7Validator) -> None:
    """AsyncAPI's published JSON Schema of 3.0.0 documents takes it."""
    assert faults(specification, DOCUMENT) == []


@pytest.mark.parametrize(
    "broken",
    [
        {**DOCUMENT, "asyncapi": "2.6.0"},
        {**DOCUMENT, "operations": {"one": {"action": "subscribe", "channel": {"$ref": "#/channels/orders"}}}},
        {**DOCUMENT, "components": {"schemas": {"One": {"type": "text"}}}},
    ],
)
def test_the_published_schema_refuses_what_is_none(specification: Draft7Validator, broken: dict[str, Any]) -> None:
    """It has teeth: another version, an action of version 2, a type that does not exist."""
    assert faults(specification, broken)


def test_channels_are_the_topics_by_their_default_names() -> None:
    """One channel for each topic that others read."""
    assert {one["address"] for one in DOCUMENT["channels"].values()} == {
        "dropstream.raw",
        "dropstream.orders",
        "dropstream.inventory",
        "dropstream.catalog",
        "dropstream.incidents",
        "dropstream.other",
        "dropstream.rejected",
        "dropstream.sequence",
        "dropstream.duplicates",
        "dropstream.gaps",
        "dropstream.acts",
    }


def references(value: Any) -> set[str]:
    if isinstance(value, list):
        return {found for one in value for found in references(one)}
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
    return own.union(*(references(one) for name, one in value.items() if name != "examples"))


def test_every_reference_leads_somewhere() -> None:
    """Nothing points out of the document, or at nothing."""
    for reference in references(DOCUMENT):
        found: Any = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        assert found


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_examples_are_what_the_message_says(name: str) -> None:
    """Payload and headers of every example validate against the message's own schemas, in draft 7 as tools read it."""
    message = MESSAGES[name]
    around = {"components": DOCUMENT["components"]}
    assert message["examples"]
    for example in message["examples"]:
        Draft7Validator({**around, "allOf": [message["payload"]]}).validate(example["payload"])
        Draft7Validator(message["headers"]).validate(example["headers"])


def test_a_wrong_payload_is_refused() -> None:
    """The payload's schema holds through its references: a quality that is no word of ours does not pass."""
    message = MESSAGES["OrderEvent"]
    example = json.loads(json.dumps(message["examples"][0]["payload"]))
    example["timequality"] = "gone fishing"
    schema = {"components": DOCUMENT["components"], "allOf": [message["payload"]]}
    assert not Draft7Validator(schema).is_valid(example)
