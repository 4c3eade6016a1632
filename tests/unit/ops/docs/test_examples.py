"""The examples are what the processors write today, of every kind, and each is what the documents say of it."""

import json

import pytest
from jsonschema import Draft202012Validator

from ops.docs.channels import CHANNELS, Channel
from ops.docs.examples import examples
from ops.docs.json_schema import schemas
from processors.providers import discover
from schemas.notes.gaps import GapState
from schemas.topics import TOPICS
from schemas.vocabulary import TimeQuality
from tests.providers.fixtures import load_fixtures
from tests.providers.test_shipstream_topics import TOPICS as SHIPSTREAM_TOPICS

FOUND = examples()
WITH_SCHEMA = [one for one in CHANNELS if one.schema]


def values(topic: str) -> list[dict[str, object]]:
    return [json.loads(record.value) for record in FOUND[topic]]


def event_types() -> set[object]:
    return {
        value["type"] for channel in CHANNELS if channel.schema for value in values(channel.topic) if "type" in value
    }


def test_every_topic_for_others_is_described() -> None:
    """What is described are all topics but the changelogs, each with at least one example."""
    assert {one.topic for one in CHANNELS} == {one.name for one in TOPICS if one.retention_ms is not None}
    assert all(FOUND[one.topic] for one in CHANNELS)


def test_they_are_the_same_every_time() -> None:
    """No clock, no chance: two runs give the same bytes."""
    assert examples() == FOUND


def test_every_event_type_that_a_fixture_leads_to_has_an_example() -> None:
    """Fixtures, samples and ShipStream's documented topics are an outside list of what can come."""
    expected = {f"dropstream.{event}" for _, _, events in SHIPSTREAM_TOPICS for event, _ in events}
    expected |= {name for provider in discover().values() for one in provider.samples for name in one.event_types}
    for fixture in load_fixtures():
        expected |= {event["type"] for event in fixture.expected.get("events", ())}
    assert len(expected) > 60
    assert expected <= event_types()


def test_every_event_has_an_id_of_its_own() -> None:
    """A consumer that is tried out with the examples drops none of them as a repeat."""
    for topic in ("orders", "inventory", "catalog", "incidents", "other"):
        ids = [value["id"] for value in values(topic)]
        assert len(ids) == len(set(ids))


def test_every_quality_of_time_has_an_example() -> None:
    """A consumer sees what each word looks like."""
    assert {value["timequality"] for value in values("orders")} == set(TimeQuality)


def test_every_state_of_a_gap_has_an_example() -> None:
    """Open, filled, lost, reset and mixed."""
    assert {value["state"] for value in values("gaps")} == set(GapState)


@pytest.mark.parametrize("channel", WITH_SCHEMA, ids=lambda one: one.topic)
def test_each_is_what_its_schema_says(channel: Channel) -> None:
    """Every example validates, not only those that are in the schema's file."""
    validator = Draft202012Validator(schemas()[f"{channel.schema}.v1.json"])
    for value in values(channel.topic):
        validator.validate(value)


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda one: one.topic)
def test_headers_are_those_of_the_table(channel: Channel) -> None:
    """Ours are all in the table, and what the table says is always there is."""
    ours = {one.name for one in channel.headers}
    always = {one.name for one in channel.headers if one.always}
    from_providers = {"raw", "rejected"}
    for record in FOUND[channel.topic]:
        names = {name for name, _ in record.headers}
        if channel.topic in from_providers:
            names = {name for name in names if name.startswith("dropstream-")}
        assert always <= names <= ours
