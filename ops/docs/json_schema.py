"""JSON Schema of every shape, generated from the classes that the code writes with.

The files in `schemas/json/` are this module's output (`make schemas`); a test fails when they drift.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from ops.docs.channels import CHANNELS
from ops.docs.compatibility import MAY_GROW
from schemas.event_attributes import Event
from schemas.event_data import DATA_SCHEMA_OF, CatalogData, IncidentData, InventoryData, OrderData, OtherData
from schemas.notes.acts import Act
from schemas.notes.duplicates import Duplicate
from schemas.notes.gaps import Gap
from schemas.notes.sequence_observations import Observation
from schemas.vocabulary import Domain

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DATA_OF: dict[Domain, type] = {
    Domain.ORDER: OrderData,
    Domain.INVENTORY: InventoryData,
    Domain.CATALOG: CatalogData,
    Domain.INCIDENT: IncidentData,
    Domain.OTHER: OtherData,
}


def event_schema(domain: Domain) -> dict[str, Any]:
    """The schema of a whole record of the domain's topic: the event's attributes and its `data`."""
    schema = _schema_of(Event)
    data = _schema_of(_DATA_OF[domain])
    definitions = schema.pop("$defs") | data.pop("$defs", {})
    used = {name: definitions[name] for name in sorted(_references(data, definitions) | _ATTRIBUTE_DEFINITIONS)}
    schema["properties"]["data"] = data
    # An absent attribute is left out, never null: CloudEvents 1.0 knows no null.
    _let_be_absent(schema, _MAY_BE_ABSENT)
    schema["properties"]["dataschema"] = {
        "const": DATA_SCHEMA_OF[domain],
        "type": "string",
        "description": "Which schema `data` follows.",
    }
    return {
        "$schema": _DIALECT,
        "$id": f"urn:dropstream:schema:{domain}-event:v1",
        **schema,
        "title": f"{domain.capitalize()}Event",
        "required": [name for name in schema["properties"] if name not in _MAY_BE_ABSENT],
        "$defs": used,
    }


def schemas(examples: Mapping[str, Sequence[object]] = MappingProxyType({})) -> dict[str, dict[str, Any]]:
    """Every schema by its file's name; `examples` are values by the short name of their topic."""
    events = {f"{domain}-event.v1.json": event_schema(domain) for domain in Domain}
    others = {
        f"{name}.v1.json": {"$schema": _DIALECT, "$id": f"urn:dropstream:schema:{name}:v1", **_schema_of(shape)}
        for name, shape in (("observation", Observation), ("duplicate", Duplicate), ("gap", Gap), ("act", Act))
    }
    _let_be_absent(others["gap.v1.json"], _MAY_BE_ABSENT_IN_GAPS)
    _let_be_absent(others["act.v1.json"], _MAY_BE_ABSENT_IN_ACTS)
    found = events | others
    for channel in CHANNELS:
        if channel.topic in examples and channel.schema is not None:
            found[f"{channel.schema}.v1.json"]["examples"] = list(examples[channel.topic])
    return found


# Words may be added to these within a version; every other set of words is closed.
_MAY_GROW = {"OrderStatus", "IncidentStatus", "SignatureStatus", "GapState", "ActKind", "ActStage", "KnownBy"}
_ATTRIBUTE_DEFINITIONS = {"TimeQuality", "SignatureStatus"}
_MAY_BE_ABSENT_IN_ACTS = (
    "session",
    "endpoint",
    "reason",
    "run",
    "span",
    "deliveries",
    "about",
    "counts",
    "failure",
)
_MAY_BE_ABSENT_IN_GAPS = ("run", "orders", "skus", "by", "why")
_MAY_BE_ABSENT = (
    "sequence",
    "bodydiffers",
    "repaired",
    "repeated",
    "replay",
    "reconciled",
    "overtaken",
    "traceparent",
)


def _schema_of(shape: type) -> dict[str, Any]:
    """The schema of what is written: every field is there, defaults too."""
    schema = TypeAdapter(shape).json_schema(mode="serialization")
    return _closed(schema)


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    for shape in (schema, *schema.get("$defs", {}).values()):
        if "properties" in shape:
            shape["required"] = list(shape["properties"])
            shape["description"] = shape.get("description", "").partition("\n")[0]
    for name in _MAY_GROW & schema.get("$defs", {}).keys():
        schema["$defs"][name] = _open(schema["$defs"][name])
    return schema


def _open(words: dict[str, Any]) -> dict[str, Any]:
    """The set of words as one that any other text is let into: a reader made of it today reads tomorrow's words too."""
    known = {"title": f"Known{words['title']}", "enum": words.pop("enum"), "type": words.pop("type")}
    return {**words, MAY_GROW: True, "anyOf": [known, {"type": "string"}]}


def _references(value: Any, definitions: dict[str, Any]) -> set[str]:
    """The names of every definition that `value` leads to."""
    if isinstance(value, list):
        return {name for one in value for name in _references(one, definitions)}
    if not isinstance(value, dict):
        return set()
    names = {name for one in value.values() for name in _references(one, definitions)}
    if isinstance(reference := value.get("$ref"), str):
        name = reference.rpartition("/")[2]
        names |= {name} | _references(definitions[name], definitions)
    return names


def _let_be_absent(schema: dict[str, Any], names: Sequence[str]) -> None:
    """Fields that are left out where there is nothing to say, never null."""
    for name in names:
        schema["properties"][name] = _without_null(schema["properties"][name])
    schema["required"] = [name for name in schema["required"] if name not in names]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    kept = [one for one in schema["anyOf"] if one != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    return {**rest, **kept[0]}
