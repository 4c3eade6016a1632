"""What breaks the rule of compatibility is named with its place, and what keeps it is not."""

import copy
import json
from typing import Any

import pytest

from ops.docs.compatibility import OPENED_SINCE, breaking_changes
from ops.docs.json_schema import schemas
from tests.support.checkout import ROOT

RELEASED = ROOT / "schemas" / "json" / "released"
RELEASES = sorted(folder.name for folder in RELEASED.iterdir())

OLD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^a+$"},
        "count": {"type": "integer", "minimum": 0, "maximum": 10},
        "status": {"anyOf": [{"$ref": "#/$defs/Status"}, {"type": "null"}]},
        "quality": {"$ref": "#/$defs/Quality", "description": "How good."},
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
        "note": {"type": "string"},
        "payload": {},
    },
    "required": ["id", "count", "status", "quality", "items", "payload"],
    "$defs": {
        "Status": {"enum": ["new", "sent"], "type": "string", "x-may-grow": True},
        "Quality": {"enum": ["exact", "rough"], "type": "string"},
        "Item": {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]},
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    """OLD with the value at a path (slashes between names) set, or taken away where it is None."""
    new: dict[str, Any] = copy.deepcopy(OLD)
    *way, last = path.split("/")
    place = new
    for name in way:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return new


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("properties/note", None, "note: is gone"),
        ("properties/id/type", "integer", "id: may now be integer"),
        ("properties/count/type", "number", "count: may now be number"),
        ("properties/count/type", None, "count: may now be array, boolean, null, number, object, string"),
        ("properties/id", {"anyOf": [{"type": "string", "pattern": "^a+$"}, {"type": "null"}]}, "id: may now be null"),
        ("properties/id/pattern", "^b+$", 'id: pattern changed from "^a+$" to "^b+$"'),
        ("properties/id/pattern", None, 'id: pattern changed from "^a+$" to null'),
        ("properties/count/minimum", -1, "count: minimum was 0, is -1"),
        ("properties/count/minimum", None, "count: minimum was 0, is gone"),
        ("properties/count/maximum", 11, "count: maximum was 10, is 11"),
        ("required", ["id", "status", "quality", "items", "payload"], "count: was always there, and may now be absent"),
        ("$defs/Status/enum", ["sent"], 'status: no longer has the words "new"'),
        ("$defs/Quality/enum", ["exact", "rough", "odd"], 'quality: is closed, and has new words: "odd"'),
        ("$defs/Quality/enum", ["exact"], 'quality: no longer has the words "rough"'),
        ("$defs/Quality/enum", None, "quality: is no longer a set of words"),
        ("$defs/Quality/x-may-grow", True, "quality: whether its words may grow is said from the beginning"),
        ("properties/status", {"type": "null"}, 'status: no longer has the words "new", "sent"'),
        ("$defs/Item/properties/sku", None, "items.[].sku: is gone"),
        ("$defs/Item/required", [], "items.[].sku: was always there, and may now be absent"),
        ("properties/items/items", None, "items.[]: may now be array, boolean, integer, null, number, string"),
    ],
)
def test_what_breaks_a_reader_is_named(path: str, value: object, sentence: str) -> None:
    """One change, one sentence, with the field that it is about."""
    assert breaking_changes(OLD, changed(path, value)) == [sentence]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("properties/more", {"type": "string"}),
        ("$defs/Item/properties/more", {"type": "object", "properties": {}}),
        ("$defs/Status/enum", ["new", "sent", "lost"]),
        ("properties/quality", {"enum": ["rough", "exact"], "type": "string"}),
        ("properties/status", {"$ref": "#/$defs/Status"}),
        ("properties/note", {"type": "string", "minLength": 1, "examples": ["one"], "title": "Note"}),
        ("properties/payload", {"type": "object", "properties": {}}),
        ("properties/count/minimum", 1),
        ("required", ["id", "count", "status", "quality", "items", "payload", "note"]),
        ("$defs/Unused", {"type": "null"}),
        ("description", "Another sentence."),
    ],
)
def test_what_a_reader_can_bear_is_not(path: str, value: object) -> None:
    """New fields, words where they may grow, narrower values, and all that is said to people."""
    assert breaking_changes(OLD, changed(path, value)) == []


def test_every_break_is_named() -> None:
    """Two changes, two sentences."""
    new = changed("properties/note", None)
    new["properties"]["id"]["type"] = "boolean"
    assert breaking_changes(OLD, new) == ["id: may now be boolean", "note: is gone"]


@pytest.mark.parametrize("release", RELEASES)
def test_the_code_keeps_what_was_released(release: str) -> None:
    """Whoever reads by the schemas of any release of version 1 reads what the code writes today, opened sets apart."""
    now, opened = schemas(), OPENED_SINCE.get(release, ())
    released = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in (RELEASED / release).iterdir()}
    assert len(released) >= 8
    assert released.keys() <= now.keys(), "a shape is gone"
    broken = {name: breaking_changes(old, now[name], opened=opened) for name, old in released.items()}
    assert {name: found for name, found in broken.items() if found} == {}


def test_a_set_that_was_opened_may_have_more_words_and_lose_none() -> None:
    """Only what is named as opened, and says now that it may grow, is no break; a word that is gone is one."""
    grown = changed("$defs/Quality", {"enum": ["exact", "rough", "odd"], "type": "string", "x-may-grow": True})
    assert breaking_changes(OLD, grown, opened=["quality"]) == []
    closed = changed("$defs/Quality/enum", ["exact", "rough", "odd"])
    assert breaking_changes(OLD, closed, opened=["quality"]) == ['quality: is closed, and has new words: "odd"']
    lost = changed("$defs/Quality", {"enum": ["exact"], "type": "string", "x-may-grow": True})
    assert breaking_changes(OLD, lost, opened=["quality"]) == ['quality: no longer has the words "rough"']


def test_an_open_set_is_compared_by_the_words_that_it_has() -> None:
    """A set that lists its words beside any other text has those words; that 0.1.0 listed them alone is no break."""
    beside = {"x-may-grow": True, "anyOf": [{"enum": ["new", "sent"], "type": "string"}, {"type": "string"}]}
    assert breaking_changes(OLD, changed("$defs/Status", beside)) == []
    fewer = {"x-may-grow": True, "anyOf": [{"enum": ["new"], "type": "string"}, {"type": "string"}]}
    assert breaking_changes(OLD, changed("$defs/Status", fewer)) == ['status: no longer has the words "sent"']
    closed = {"anyOf": [{"enum": ["exact", "rough"], "type": "string"}, {"type": "string"}]}
    assert breaking_changes(OLD, changed("$defs/Quality", closed)) == ["quality: is no longer a set of words"]


def test_a_break_of_a_real_schema_is_seen() -> None:
    """A field taken out of an order's shipments is found through data, list and reference."""
    old = json.loads((RELEASED / RELEASES[0] / "order-event.v1.json").read_text(encoding="utf-8"))
    new = copy.deepcopy(schemas()["order-event.v1.json"])
    del new["$defs"]["Item"]["properties"]["quantity"]
    assert breaking_changes(old, new, opened=OPENED_SINCE[RELEASES[0]]) == [
        "data.items.[].quantity: is gone",
        "data.shipments.[].items.[].quantity: is gone",
    ]
