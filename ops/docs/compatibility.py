"""Finds what in a change of a schema needs a new version.

Within version 1, whoever reads by an older schema and passes over what it does not know reads everything newer:

- a field may be added; none is removed, renamed, retyped, or left out where it was always there;
- what a field may hold may become narrower, never wider: no null, no other form, no larger range;
- a set of words is closed, but for those marked `x-may-grow`: there words are added, and a reader takes an unknown one
  as "none that I know"; no word is ever taken away. Such a set lists its words beside any other text, so that code made
  of the schema reads an unknown one, too; 0.1.0 listed them as if they were all (`known_words`);
- a meaning never changes. What breaks this rule is a new version, with its own files, beside the old for 90 days.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

MAY_GROW = "x-may-grow"

# By release: sets of words that were closed in it and may grow since. The changelog tells the readers of each.
OPENED_SINCE: Mapping[str, Collection[str]] = {"0.1.0": ("signature", "state")}

Schema = Mapping[str, Any]

# Keywords that say something to a person and nothing about a value.
_ANNOTATIONS = {"title", "description", "examples", "default", "$schema", "$id", "$defs", MAY_GROW}
_COMPARED = {"$ref", "anyOf", "type", "const", "enum", "properties", "required", "items", "minimum", "minLength"}
_COMPARED |= {"maximum", "maxLength"}
_LOWER_BOUNDS = ("minimum", "minLength")
_UPPER_BOUNDS = ("maximum", "maxLength")


def breaking_changes(old: Schema, new: Schema, *, opened: Collection[str] = ()) -> list[str]:
    """Sentences, each with the path, about what in `new` breaks readers of `old`; empty where nothing does.

    Takes the JSON Schemas that `ops.docs.json_schema` makes. A keyword that it does not know must stay as it is. The
    words at the paths `opened` may have become more, where the new schema says that they may grow.
    """
    return list(_compare(old, new, _SchemaPath(old.get("$defs", {}), new.get("$defs", {}), "", opened)))


class _SchemaPath:
    """A path in both schemas, and the definitions that references there lead to."""

    def __init__(self, old_definitions: Schema, new_definitions: Schema, path: str, opened: Collection[str]) -> None:
        self.old_definitions = old_definitions
        self.new_definitions = new_definitions
        self.path = path
        self.opened = opened

    def at(self, name: str) -> "_SchemaPath":
        path = f"{self.path}.{name}" if self.path else name
        return _SchemaPath(self.old_definitions, self.new_definitions, path, self.opened)

    def says(self, sentence: str) -> str:
        return f"{self.path or 'the value'}: {sentence}"


def _compare(old: Schema, new: Schema, path: _SchemaPath) -> Iterator[str]:
    old, new = _resolved(old, path.old_definitions), _resolved(new, path.new_definitions)
    if "anyOf" in old or "anyOf" in new:
        yield from _compare_alternatives(old, new, path)
        return
    if not _types(new) <= _types(old):
        wider = ", ".join(sorted(_types(new) - _types(old)))
        yield path.says(f"may now be {wider}")
        return
    yield from _compare_words(old, new, path)
    yield from _compare_bounds(old, new, path)
    yield from _compare_fields(old, new, path)
    if "items" in old:
        yield from _compare(old["items"], new.get("items", {}), path.at("[]"))
    for keyword in sorted((old.keys() | new.keys()) - _ANNOTATIONS - _COMPARED):
        if keyword in old and old[keyword] != new.get(keyword):
            yield path.says(f"{keyword} changed from {_text(old[keyword])} to {_text(new.get(keyword))}")


def _compare_alternatives(old: Schema, new: Schema, path: _SchemaPath) -> Iterator[str]:
    """Every alternative of the new one must be no wider than one of the old ones."""
    old_ones, new_ones = old.get("anyOf", [old]), new.get("anyOf", [new])
    compared = [[list(_compare(old_one, new_one, path)) for old_one in old_ones] for new_one in new_ones]
    broken = [min(found, key=len) for found in compared if all(found)]
    for sentences in broken:
        yield from sentences
    lost = {word for one in old_ones for word in _words_of(one, path.old_definitions)}
    lost -= {word for one in new_ones for word in _words_of(one, path.new_definitions)}
    if lost and not broken:
        yield path.says(f"no longer has the words {', '.join(sorted(lost))}")


def _compare_words(old: Schema, new: Schema, path: _SchemaPath) -> Iterator[str]:
    old_words, new_words = _words(old), _words(new)
    if old_words is None:
        return
    if new_words is None:
        yield path.says("is no longer a set of words")
        return
    if lost := old_words - new_words:
        yield path.says(f"no longer has the words {', '.join(sorted(lost))}")
    if path.path in path.opened and new.get(MAY_GROW):
        return
    if (more := new_words - old_words) and not old.get(MAY_GROW):
        yield path.says(f"is closed, and has new words: {', '.join(sorted(more))}")
    if old.get(MAY_GROW, False) != new.get(MAY_GROW, False):
        yield path.says("whether its words may grow is said from the beginning")


def _compare_bounds(old: Schema, new: Schema, path: _SchemaPath) -> Iterator[str]:
    for keyword in _LOWER_BOUNDS:
        if keyword in old and (keyword not in new or new[keyword] < old[keyword]):
            yield path.says(f"{keyword} was {old[keyword]}, is {new.get(keyword, 'gone')}")
    for keyword in _UPPER_BOUNDS:
        if keyword in old and (keyword not in new or new[keyword] > old[keyword]):
            yield path.says(f"{keyword} was {old[keyword]}, is {new.get(keyword, 'gone')}")


def _compare_fields(old: Schema, new: Schema, path: _SchemaPath) -> Iterator[str]:
    old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
    still_there = set(new.get("required", ()))
    for name in old_fields:
        if name not in new_fields:
            yield path.at(name).says("is gone")
            continue
        if name in old.get("required", ()) and name not in still_there:
            yield path.at(name).says("was always there, and may now be absent")
        yield from _compare(old_fields[name], new_fields[name], path.at(name))


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """`schema` with what it refers to instead of the reference."""
    while isinstance(reference := schema.get("$ref"), str):
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**definitions[reference.rpartition("/")[2]], **rest}
    return known_words(schema)


def known_words(schema: Schema) -> Schema:
    """A set of words that may grow, as the words that it has now; any other schema as it is."""
    if not schema.get(MAY_GROW) or "anyOf" not in schema:
        return schema
    known, _ = schema["anyOf"]
    return {**{key: value for key, value in schema.items() if key != "anyOf"}, "enum": known["enum"], "type": "string"}


def _types(schema: Schema) -> set[str]:
    """The JSON types that a value may have; all where the schema does not say."""
    named = schema.get("type", ["null", "boolean", "number", "string", "array", "object"])
    types = {named} if isinstance(named, str) else set(named)
    return types | {"integer"} if "number" in types else types


def _words(schema: Schema) -> set[str] | None:
    """The values of a closed set, each as JSON; None where the schema is none."""
    if "const" in schema:
        return {_text(schema["const"])}
    return {_text(word) for word in schema["enum"]} if "enum" in schema else None


def _words_of(schema: Schema, definitions: Schema) -> set[str]:
    return _words(_resolved(schema, definitions)) or set()


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
