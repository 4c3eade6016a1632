"""The second judge: every payload that the vendors' documents allow is known, and what is read of it is on file."""

import pytest

from schemas.vocabulary import Domain
from tests.providers.field_report import PAGE, body, events, page
from tests.providers.fixtures import providers
from tests.providers.outcomes import validator
from tests.providers.vendor_shapes import BODIES

TOPICS = [(provider, topic) for provider, topics in BODIES.items() for topic in topics]


def test_the_shapes_hold_every_topic() -> None:
    """51 topics of ShipStream, which a webhook can be subscribed to, and six of Dropea v2."""
    assert set(BODIES["shipstream"]) == set(providers()["shipstream"].setup.topics)
    assert (len(BODIES["shipstream"]), len(BODIES["dropea"])) == (51, 6)


@pytest.mark.parametrize(("provider", "topic"), TOPICS, ids=[topic for _, topic in TOPICS])
def test_a_whole_payload_is_known_and_keeps_its_schema(provider: str, topic: str) -> None:
    """With every field that the documents name there is no unknown event, none without an id, and no rejection."""
    made = events(provider, body(topic, BODIES[provider][topic], market="ES"))
    found = [event for event in made if "type" in event]
    assert found
    assert {"dropstream.other.unknown_event", "dropstream.other.unidentified"}.isdisjoint(e["type"] for e in found)
    for event in found:
        domain = Domain(event["type"].split(".")[1])
        validator(domain.topic).validate({**event, "data": {**event["data"], "payload": None}})


def test_the_page_is_that_of_the_code() -> None:
    """After a change of the mapping: python -m tests.providers.field_report."""
    assert PAGE.read_text(encoding="utf-8") == page()
