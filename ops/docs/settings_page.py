"""Every setting in one page, from the code that declares it: `python -m ops.docs.settings_page docs/settings.md`.

A setting's sentence is the string that stands under it in `schemas.settings` and `schemas.sections`. Python drops such
strings, so they are read from the source here, and a program that only needs the settings pays nothing for them. A test
fails when the file drifts, and another when a setting has no sentence.
"""

import ast
import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas import settings
from schemas.secrets import Secret
from schemas.sections import console, endpoints, kafka, programs
from schemas.sections.console import PersonSettings, ProxyLoginSettings
from schemas.sections.endpoints import ApiSettings, EndpointSettings, SignatureScheme, SigningSecret
from schemas.settings import Settings, ShipstreamSettings

_HEAD = """# Settings

The configuration is one TOML file: `--config FILE`, else `$DROPSTREAM_CONFIG`, else `./dropstream.toml`. Every key of
the first six tables has a default; only `[endpoints.NAME]` must be there. A variable such as
`DROPSTREAM_KAFKA__PARTITIONS` overrides the file. Its value is written as in TOML, and text needs no quotes. The tables
of people, of endpoints and of ShipStream accounts have no variables.

A file with faults stops the start with exit code 2; every fault is named at once, with the nearest valid name. A secret
is a reference, `env:NAME` or `file:PATH`; the secret itself never stands in the file. SIGHUP reads the endpoints again,
with their secrets and tokens, and in the console the people and their tokens. The rest of the first six tables needs a
restart of the programs that use it ([reload and restart](operate.md#reload-and-restart)); a verb that calls ShipStream
reads its account each time.

`make settings` makes this page from `schemas/settings.py` and `schemas/sections/`.
"""
_UNITS = (("_ms", "ms"), ("_seconds", "s"), ("_hours", "h"), ("_per_second_min", "bytes/s"), ("_bytes_max", "bytes"))
_KINDS = (
    (bool, "`true` or `false`"),
    (int, "whole number"),
    (float, "number"),
    (str, "string"),
    (Secret, "reference"),
    (datetime, "time"),
    (IPv4Network, "network"),
    (SigningSecret, "reference or table"),
    (BaseModel, "table"),
)
# By the names of the constraints that pydantic keeps of a `Field`.
_BOUNDS = ("pattern", "gt", "ge", "le")
_PLURALS = {
    "reference": "references",
    "reference or table": "references or tables",
    "network": "networks",
    "string": "strings",
}


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One key; `variable` is empty where the environment cannot override it."""

    key: str
    meaning: str
    values: str
    unit: str
    default: str
    variable: str


@dataclass(frozen=True, slots=True)
class SettingTable:
    """One table of the file under its `heading`, with the sentence that says what it is about."""

    heading: str
    meaning: str
    rows: tuple[SettingRow, ...]


def setting_tables() -> list[SettingTable]:
    """Every table of the file, the plain ones first, each with all of its keys."""
    sentences = _sentences()
    plain = [
        _table(f"[{name}]", field.annotation, sentences, variables=f"DROPSTREAM_{name.upper()}__")
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    ]
    return [
        _table("before the first table", Settings, sentences, variables="DROPSTREAM_"),
        *plain,
        _table("[console.people.NAME]", PersonSettings, sentences),
        _table("[console.proxy_login]", ProxyLoginSettings, sentences),
        _table("[endpoints.NAME]", EndpointSettings, sentences),
        _table("secrets of an endpoint", SigningSecret, sentences),
        _table("[endpoints.NAME.signature_scheme]", SignatureScheme, sentences),
        _table("[endpoints.NAME.api]", ApiSettings, sentences),
        _table("[shipstream.NAME]", ShipstreamSettings, sentences),
    ]


def settings_page() -> str:
    """The text of `docs/settings.md`."""
    return "\n".join([_HEAD, *map(_render, setting_tables())])


def _render(table: SettingTable) -> str:
    has_variables = any(row.variable for row in table.rows)
    columns = ["key", "meaning", "values", "unit", "default", *(["variable"] if has_variables else [])]
    lines = [_line(columns), _line(["---"] * len(columns))]
    for row in table.rows:
        cells = [_code(row.key), row.meaning, row.values, row.unit, row.default]
        lines.append(_line([*cells, *([_code(row.variable)] if has_variables else [])]))
    return f"## {table.heading}\n\n{table.meaning}\n\n" + "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _table(
    heading: str, model: type[BaseModel], sentences: dict[str, dict[str, str]], variables: str = ""
) -> SettingTable:
    rows = tuple(
        SettingRow(
            key=key,
            meaning=sentences[model.__name__].get(key, ""),
            values=_values(field.annotation, field.metadata),
            unit=next((unit for end, unit in _UNITS if key.endswith(end)), ""),
            default=_default(field),
            variable=variables and variables + key.upper(),
        )
        for key, field in model.model_fields.items()
        # Tables are told by themselves.
        if key in sentences[model.__name__] or model is not Settings
    )
    return SettingTable(heading, inspect.cleandoc(model.__doc__ or "").replace("\n", " "), rows)


def _sentences() -> dict[str, dict[str, str]]:
    """The string under each key, by the name of its class, in one line."""
    modules = (settings, kafka, programs, console, endpoints)
    bodies = (ast.parse(inspect.getsource(module)).body for module in modules)
    classes = [node for body in bodies for node in body if isinstance(node, ast.ClassDef)]
    return {one.name: dict(_strings_under_keys(one)) for one in classes}


def _strings_under_keys(declared: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, below in zip(declared.body, declared.body[1:], strict=False):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=key)), ast.Expr(value=ast.Constant(value=str(text))):
                yield key, inspect.cleandoc(text).replace("\n", " ")


def _values(annotation: Any, metadata: Sequence[object]) -> str:
    """What may stand there, in words, with its bounds."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _values(inner, [*metadata, *(one for given in more for one in getattr(given, "metadata", ()))])
    if get_origin(annotation) is Literal:
        return ", ".join(_code(str(word)) for word in get_args(annotation))
    inside = [one for one in get_args(annotation) if one not in {type(None), ...}]
    if get_origin(annotation) in {list, tuple}:
        one = _values(inside[0], ())
        many = f"list of {_PLURALS.get(one, one)}"
        return many if get_origin(annotation) is list else f"{one}, or {many}"
    if get_origin(annotation) is dict:
        return "tables, each with a name of its own"
    if inside:
        return _values(inside[0], metadata)
    return next(word for known, word in _KINDS if issubclass(annotation, known)) + _bounds(metadata)


def _bounds(metadata: Sequence[object]) -> str:
    """The bounds that pydantic checks, in words; empty where there are none."""
    found = {name: value for one in metadata for name in _BOUNDS if (value := getattr(one, name, None)) is not None}
    match found:
        case {"pattern": str(pattern)}:
            return f" that matches {_code(pattern)}"
        case {"gt": least}:
            return f" above {least}"
        case {"ge": least, "le": most}:
            return f", {least} to {most:,}"
        case {"ge": least}:
            return f", at least {least:,}"
        case _:
            return ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be set"
    match field.default:
        case bool(value):
            return _code(str(value).lower())
        case int(value):
            return _code(f"{value:_}" if value >= 10_000 else str(value))
        case str(text):
            return _code(f'"{text}"')
        case BaseModel():
            return "its own defaults"
        case empty if not empty:  # Behind the numbers, of which 0 is one.
            return "none"
        case other:
            raise TypeError(f"no words for the default {other!r}")


def _code(text: str) -> str:
    return f"`{text}`"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(settings_page(), encoding="utf-8")
