"""The chart's `values.yaml` and `values.schema.json`, as texts."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ops.docs.chart.rows import ChartValue

_HEAD = """# What the chart installs and how. Secrets are never in here: they are Secrets that exist, by their names.
# Made by `make settings` from ops/docs/chart/values.py; docs/chart.md is the same as a page.
"""
_WIDTH = 118
# What YAML reads as text without quotes, whatever reader it is.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*|[0-9]+(Gi|Mi|m|s|h)")
_WORDS_OF_YAML = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_BLOCKS = {"settings", "resources"}


def values_file(values: Sequence[ChartValue]) -> str:
    """The text of `values.yaml`: every value with its sentence above it and its default."""
    lines = [_HEAD.rstrip()]
    above: tuple[str, ...] = ()
    for value in values:
        *parents, name = value.path.split(".")
        for depth, parent in enumerate(parents):
            if tuple(parents[: depth + 1]) != above[: depth + 1]:
                lines += [*([""] if not depth else []), f"{'  ' * depth}{parent}:"]
        indent = "  " * len(parents)
        lines += [""] if not parents else []
        lines += [f"{indent}# {line}" for line in textwrap.wrap(value.meaning, _WIDTH - len(indent))]
        if value.is_section:
            lines.append(f"{indent}{name}:")
            above = (*parents, name)
            continue
        lines += _written(name, value.default, indent, is_block=name in _BLOCKS)
        above = tuple(parents)
    return "\n".join(lines) + "\n"


def values_schema(values: Sequence[ChartValue]) -> str:
    """The text of `values.schema.json`: draft 7, which Helm 3 and 4 read.

    A value without which a template fails, or Kubernetes takes a default of its own, is required: a key with nothing
    behind it is `null`, and takes the chart's default away.
    """
    whole: dict[str, Any] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart dropstream",
        "type": "object",
        "additionalProperties": False,
        # Helm gives every chart this key.
        "properties": {"global": {"type": "object"}},
        "required": [],
    }
    for value in values:
        *parents, name = value.path.split(".")
        place = whole
        for parent in parents:
            _require(place, parent)
            place = place["properties"].setdefault(parent, _closed())
        if _is_needed(value):
            _require(place, name)
        shape = _closed() if value.is_section else dict(value.shape)
        place["properties"][name] = {"description": value.meaning, **shape}
    return json.dumps(whole, indent=2) + "\n"


def default_values(values: Sequence[ChartValue]) -> dict[str, Any]:
    """What `values.yaml` holds, as data."""
    whole: dict[str, Any] = {}
    for value in values:
        *parents, name = value.path.split(".")
        place = whole
        for parent in parents:
            place = place.setdefault(parent, {})
        place.setdefault(name, {} if value.is_section else value.default)
    return whole


def flow(value: Any) -> str:
    """A value in one line of YAML."""
    match value:
        case Mapping():
            return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(flow, value)) + "]"
        case str() if _PLAIN.fullmatch(value) and value.lower() not in _WORDS_OF_YAML:
            return value
        case _:
            return json.dumps(value, ensure_ascii=False)


def _written(name: str, value: Any, indent: str, *, is_block: bool) -> Iterator[str]:
    if not is_block or not isinstance(value, Mapping) or not value:
        yield f"{indent}{name}: {flow(value)}"
        return
    yield f"{indent}{name}:"
    for key, one in value.items():
        yield from _written(key, one, indent + "  ", is_block=name == "settings")


def _is_needed(value: ChartValue) -> bool:
    """Whether a template cannot do without it; what is empty by default, and a table of Kubernetes' own, it can."""
    if value.is_section or "properties" in value.shape or "minItems" in value.shape:
        return "null" not in value.shape.get("type", ())
    return value.default is not None and isinstance(value.default, bool | int | str) and value.default != ""


def _require(place: dict[str, Any], name: str) -> None:
    if name not in place["required"]:
        place["required"].append(name)


def _closed() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}, "required": []}
