"""By which rules a part of a partition got its keys, as far as they may differ from today's."""

from dataclasses import replace

import pytest

from ops.audit.reading.eras import Era, Eras
from schemas.notes.rules import RulesVersion

TODAY = RulesVersion(
    version="0.1.0",
    code="c0de",
    settings="of today",
    common="c033",
    endpoints={"acme": "e0d9"},
    partitions={},
    providers={"acme": "shipstream", "shop": "dropea"},
)
OTHER_SECRET = replace(TODAY, settings="before", endpoints={"acme": "another"})
NEW_ENDPOINT = replace(TODAY, providers={"acme": "shipstream"})


@pytest.mark.parametrize(
    ("before", "endpoints", "said"),
    [
        (TODAY, ("acme",), ""),
        (OTHER_SECRET, ("acme",), ""),
        (NEW_ENDPOINT, ("acme", "shop"), ""),
        (replace(TODAY, code="0ther"), (), "version 0.1.0, code 0ther"),
        (replace(TODAY, common="0ther"), (), "other settings"),
        (replace(TODAY, providers={"acme": "dropea"}), ("acme",), "another provider of endpoint acme"),
        (replace(TODAY, providers={"acme": "dropea"}), ("shop",), ""),
        (None, (), "a version that left no note"),
    ],
)
def test_only_what_may_make_other_keys_counts(
    before: RulesVersion | None, endpoints: tuple[str, ...], said: str
) -> None:
    """Code, settings of all and the provider do; a secret, and an endpoint that was not there, do not."""
    eras = Eras(TODAY, (Era(0, before), Era(100, TODAY)))
    assert eras.other_keys_than_today(50, 200, endpoints) == said
    assert eras.other_keys_than_today(99, 100, endpoints) == said
    assert eras.other_keys_than_today(100, 200, endpoints) == ""


def test_what_came_before_the_first_note_is_not_known() -> None:
    """Nobody noted by which rules it was judged."""
    eras = Eras(TODAY, (Era(10, TODAY),))
    assert eras.other_keys_than_today(9, 20, ()) == "a version that left no note"
    assert eras.other_keys_than_today(10, 20, ()) == ""
