"""Event ids of deliveries that were read rightly before stay what they were: consumers drop what they know by its id.

`frozen_ids.json` was written by the code of 27 November 2026, before the mapping of the providers was mended; it holds
the ids of every fixture that was accepted then, in order of its events, and of two samples of each kind. One is left
out: `dropea/v2-headers-stripped` was believed without a signature, and is rejected now.
"""

import json
from pathlib import Path

import pytest

from tests.providers.fixtures import Fixture, load_fixtures, providers
from tests.providers.outcomes import AT, delivered, event_ids, records

FROZEN: dict[str, list[str]] = json.loads(Path(__file__).with_name("frozen_ids.json").read_text("utf-8"))
FIXTURES = {str(fixture): fixture for fixture in load_fixtures()}
SAMPLES = {
    f"{sample.name} {number}": (provider, sample, number)
    for provider in providers().values()
    for sample in provider.samples
    for number in (1, 2)
}


@pytest.mark.parametrize("name", sorted(FROZEN.keys() & FIXTURES.keys()))
def test_the_ids_of_a_fixture_are_those_of_before(name: str) -> None:
    """The same delivery has the same ids in every version of dropstream."""
    fixture: Fixture = FIXTURES[name]
    assert event_ids(records(fixture)) == FROZEN[name]


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_ids_of_a_sample_are_those_of_before(name: str) -> None:
    """So have the samples that `dropstream send` makes."""
    provider, sample, number = SAMPLES[name]
    assert event_ids(delivered(provider, sample.body(number, AT), sample)) == FROZEN[name]


def test_no_frozen_delivery_is_forgotten() -> None:
    """A fixture that goes away would take its frozen ids with it unseen."""
    assert FROZEN.keys() <= FIXTURES.keys() | SAMPLES.keys()
