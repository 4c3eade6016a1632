"""Whatever is said to keep the rule, a reader by the old schema can read; a schema keeps the rule with itself."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ops.docs.compatibility import MAY_GROW, breaking_changes

Schema = dict[str, Any]

_NAMES = st.sampled_from(["a", "b", "c", "d"])
_WORDS = st.lists(st.sampled_from(["x", "y", "z", "w"]), min_size=1, max_size=3, unique=True)
_NUMBERS = st.integers(-3, 3)


def _object(fields: dict[str, Schema], kept: int) -> Schema:
    return {
        "type": "object",
        "properties": fields,
        "required": [name for i, name in enumerate(fields) if kept >> i & 1],
    }


def _with_bounds(kind: str, low: int | None, high: int | None) -> Schema:
    names = ("minimum", "maximum") if kind != "string" else ("minLength", "maxLength")
    bounds = {name: value for name, value in zip(names, (low, high), strict=True) if value is not None}
    return {"type": kind, **({name: abs(value) for name, value in bounds.items()} if kind == "string" else bounds)}


_LEAVES = st.one_of(
    st.builds(
        _with_bounds, st.sampled_from(["string", "integer", "number"]), st.none() | _NUMBERS, st.none() | _NUMBERS
    ),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {}]),
    st.builds(
        lambda words, grows: {"enum": words, "type": "string", **({MAY_GROW: True} if grows else {})},
        _WORDS,
        st.booleans(),
    ),
    st.builds(lambda word: {"const": word, "type": "string"}, st.sampled_from(["x", "y"])),
)
SCHEMAS: st.SearchStrategy[Schema] = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(_object, st.dictionaries(_NAMES, inner, max_size=3), st.integers(0, 7)),
        st.builds(lambda one: {"type": "array", "items": one}, inner),
        st.builds(lambda one: {"anyOf": [one, {"type": "null"}]}, inner),
    ),
    max_leaves=5,
)


def _values(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that are likely, not certain, to be of the schema."""
    if "anyOf" in schema:
        return st.one_of([_values(one) for one in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    known: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
        "string": lambda: st.text("ab", max_size=4),
        "integer": lambda: st.integers(-4, 4),
        "number": lambda: st.floats(-4, 4) | st.integers(-4, 4),
        "boolean": st.booleans,
        "null": st.none,
        "array": lambda: st.lists(_values(schema.get("items", {})), max_size=2),
        "object": lambda: _objects(schema),
    }
    make = known.get(str(schema.get("type")))
    return make() if make else st.sampled_from([None, True, 1, 1.5, "x", [], {}])


def _objects(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    fields, required = schema.get("properties", {}), set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: _values(one) for name, one in fields.items() if name in required},
        optional={name: _values(one) for name, one in fields.items() if name not in required},
    )


def _as_an_old_reader_sees(value: Any, old: Schema) -> Any:
    """The value with fields passed over that the old schema does not know, and new words taken as one that it knows."""
    if old.get(MAY_GROW) and isinstance(value, str) and value not in old["enum"]:
        return old["enum"][0]
    if "anyOf" in old:
        return None if value is None else _as_an_old_reader_sees(value, old["anyOf"][0])
    if isinstance(value, dict) and "properties" in old:
        fields = old["properties"]
        return {name: _as_an_old_reader_sees(one, fields[name]) for name, one in value.items() if name in fields}
    if isinstance(value, list) and "items" in old:
        return [_as_an_old_reader_sees(one, old["items"]) for one in value]
    return value


@st.composite
def changes(draw: st.DrawFn, old: Schema) -> Schema:
    """A schema not far from the old one: one thing in it is other, more, less, or wider."""
    kind = draw(st.sampled_from(["deeper"] * 8 + ["other", "nullable"]))
    if kind == "other":
        return draw(SCHEMAS)
    if kind == "nullable":
        return {"anyOf": [old, {"type": "null"}]}
    if "anyOf" in old:
        return (
            {"anyOf": [draw(changes(old["anyOf"][0])), *old["anyOf"][1:]]} if draw(st.booleans()) else old["anyOf"][0]
        )
    if "items" in old:
        return {**old, "items": draw(changes(old["items"]))}
    if "enum" in old:
        return {**old, "enum": sorted({*old["enum"], *draw(_WORDS)})}
    if bounds := [name for name in old if name.startswith(("min", "max"))]:
        name = draw(st.sampled_from(bounds))
        return {**old, name: max(old[name] + draw(st.sampled_from([-1, 1])), 0 if "Length" in name else -9)}
    return draw(_other_fields(old)) if "properties" in old else {**old, **draw(_LEAVES)}


@st.composite
def _other_fields(draw: st.DrawFn, old: Schema) -> Schema:
    """An object with one field changed, added, taken away, or no longer always there."""
    fields, required = dict(old["properties"]), list(old["required"])
    name = draw(st.sampled_from(sorted(fields))) if fields else "p"
    what = draw(st.sampled_from(["change", "change", "change", "add", "remove", "require", "allow absence"]))
    if what == "change" and name in fields:
        fields[name] = draw(changes(fields[name]))
    elif what == "remove":
        fields.pop(name, None)
    elif what == "add":
        fields["p"] = draw(_LEAVES)
    elif what == "require":
        required = sorted(fields)
    elif required:
        required.pop()
    return {"type": "object", "properties": fields, "required": [one for one in required if one in fields]}


@given(schema=SCHEMAS)
def test_a_schema_keeps_the_rule_with_itself(schema: Schema) -> None:
    """Nothing changed, nothing broken."""
    assert breaking_changes(schema, schema) == []


@settings(max_examples=1_000, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data(), old=SCHEMAS)
def test_what_keeps_the_rule_an_old_reader_can_read(data: st.DataObject, old: Schema) -> None:
    """Any value of the new schema, with the unknown passed over, is one of the old schema: unless a break was named."""
    new = data.draw(changes(old))
    broken = breaking_changes(old, new)
    event("broken" if broken else "same" if new == old else "kept")
    assume(not broken)
    value = data.draw(_values(new))
    assume(Draft202012Validator(new).is_valid(value))
    assert Draft202012Validator(old).is_valid(_as_an_old_reader_sees(value, old))


@given(
    data=st.data(),
    field=SCHEMAS,
    old=st.builds(_object, st.dictionaries(_NAMES, SCHEMAS, min_size=1), st.integers(0, 15)),
)
def test_a_new_field_never_breaks_and_a_lost_one_always_does(data: st.DataObject, field: Schema, old: Schema) -> None:
    """Whatever the fields are."""
    name = data.draw(st.sampled_from(sorted(old["properties"])))
    grown = {**old, "properties": {**old["properties"], "new": field}}
    shrunk = {**old, "properties": {one: kept for one, kept in old["properties"].items() if one != name}}
    assert breaking_changes(old, grown) == []
    assert breaking_changes(old, shrunk) == [f"{name}: is gone"]
