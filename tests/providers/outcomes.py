"""What deliveries lead to, in the forms that the laws compare."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.formats.json import JSONFormat
from jsonschema import Draft202012Validator

from ops.docs.json_schema import event_schema
from processors.deliver.dedupe import DedupeStore
from processors.deliver.provider import Provider, Sample
from processors.deliver.step import deliver
from schemas.records import Record
from schemas.sections.endpoints import EndpointSettings
from schemas.vocabulary import Domain
from tests.providers.fixtures import Fixture

AT = datetime(2026, 3, 4, 5, 6, 7, 890_123, tzinfo=UTC)


def nothing_seen() -> DedupeStore:
    """A memory without a delivery."""
    return DedupeStore(window_s=432_000)


def records(fixture: Fixture) -> tuple[Record, ...]:
    """What the delivery leads to; at least one record, always."""
    made = deliver(fixture.record(), fixture.rules(), nothing_seen())
    assert made
    return made


def outcome(fixture: Fixture) -> dict[str, Any]:
    """What the delivery leads to, in the form of `expected.json`."""
    made = records(fixture)
    if made[0].topic == "rejected":
        return {"rejected": header(made[0], "dropstream-reason")}
    observed = [json.loads(record.value) for record in made if record.topic == "sequence"]
    told = [(record, json.loads(record.value)) for record in made if record.topic != "sequence"]
    sequences = {event.get("sequence") for _, event in told}
    if observed:
        assert sequences == {str(observation["sequence"]) for observation in observed}
    assert len(sequences) == len({event["signature"] for _, event in told}) == 1
    return {
        "signature": told[0][1]["signature"],
        "sequence": sequences.pop(),
        "events": [expected_form(record, event) for record, event in told],
    }


def expected_form(record: Record, event: Mapping[str, Any]) -> dict[str, Any]:
    """One event in the form of `expected.json`: no payload, no attribute that a record's place decides."""
    names = ("type", "subject", "time", "timequality", "providerevent")
    data = {name: value for name, value in event["data"].items() if name != "payload"}
    return {
        "topic": record.topic,
        "key": record.key.decode(),
        **{name: event[name] for name in names},
        "data": data,
    }


def reason(fixture: Fixture) -> str:
    """Why the delivery is rejected."""
    (record,) = records(fixture)
    return header(record, "dropstream-reason")


def header(record: Record, name: str) -> str:
    """The value of a record's own header."""
    return dict(record.headers)[name].decode()


def events(made: Sequence[Record]) -> list[dict[str, Any]]:
    """The events among the records."""
    return [json.loads(record.value) for record in made if record.topic not in {"rejected", "sequence"}]


def event_ids(made: Sequence[Record]) -> list[str]:
    """The ids of the events among the records."""
    return [event["id"] for event in events(made)]


def check_events(made: Sequence[Record]) -> None:
    """Asserts that the SDK reads every event as we wrote it, that each keeps its schema, and no two share an id."""
    assert len(set(event_ids(made))) == len(event_ids(made))
    for record in made:
        if record.topic in {"rejected", "sequence"}:
            continue
        written = json.loads(record.value)
        read: BaseCloudEvent = from_kafka(KafkaMessage(dict(record.headers), record.key, record.value), JSONFormat())
        assert (read.get_id(), read.get_subject()) == (written["id"], written["subject"])
        assert read.get_data() == written["data"]
        validator(record.topic).validate(written)


@cache
def validator(topic: str) -> Draft202012Validator:
    """The schema of what the topic holds."""
    (domain,) = (domain for domain in Domain if domain.topic == topic)
    return Draft202012Validator(event_schema(domain), format_checker=Draft202012Validator.FORMAT_CHECKER)


def endpoint_fixture(provider: Provider) -> Fixture:
    """A delivery to an endpoint of the provider with the secret `made-up`, body and headers still empty."""
    endpoint = EndpointSettings.model_validate(
        {"provider": provider.name, "secrets": ["env:SECRET"]}, context={"environ": {"SECRET": "made-up"}}
    )
    return Fixture(provider.name, "made", body=b"", headers=(), received_at=AT, endpoint=endpoint, expected={})


def delivered(provider: Provider, body: bytes, sample: Sample) -> tuple[Record, ...]:
    """What the body leads to, signed as the sample is."""
    signed = sample.sign(body, b"made-up", AT)
    headers = tuple((name.lower(), value.encode()) for name, value in signed.items())
    return records(replace(endpoint_fixture(provider), body=body, headers=headers))
