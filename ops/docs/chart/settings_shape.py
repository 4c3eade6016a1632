"""The JSON Schema of the chart's `settings`: every key that dropstream.toml has, and none that the chart sets itself.

A misspelt key is so refused before anything is installed. Values are judged by dropstream alone, in the job that
applies the topics; here only what is true or false, a reference to a secret, or one of a few words.
"""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from ops.docs.settings_page import SettingRow, setting_tables
from schemas.sections.endpoints import ENDPOINT_NAME_PATTERN
from schemas.settings import Settings

# The tables of which there is one.
PLAIN_TABLES = [
    name
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
]
REFERENCE = "^(env|file):.+$"
# What the chart's templates `_configuration.tpl` and `console.yaml` set over whatever the values say.
OWNED = {
    "ingest": {"host", "port", "admin_host", "admin_port", "spool_dir"},
    "process": {"admin_host", "admin_port", "instance_id", "state_dir"},
    "reconcile": {"admin_host", "admin_port"},
    "console": {"host", "port", "token", "names", "ingest_admin", "process_admin", "ingest_url"},
}


def settings_shape() -> dict[str, Any]:
    """The schema of the whole value, in draft 7."""
    tables = {table.heading: table for table in setting_tables()}
    nested = {
        "signature_scheme": _closed(_properties(tables["[endpoints.NAME.signature_scheme]"].rows)),
        "api": _closed(_properties(tables["[endpoints.NAME.api]"].rows)),
    }
    endpoint = _closed({**_properties(tables["[endpoints.NAME]"].rows), **nested}, required=["provider"])
    properties: dict[str, Any] = _properties(tables["before the first table"].rows)
    for name in PLAIN_TABLES:
        rows = [row for row in tables[f"[{name}]"].rows if row.key not in OWNED.get(name, ())]
        properties[name] = _closed(_properties(rows))
    properties["shipstream"] = _named(_closed(_properties(tables["[shipstream.NAME]"].rows)))
    properties["endpoints"] = _named(endpoint)
    return _closed(properties, required=["kafka", "endpoints"])


def _closed(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    found = {"type": "object", "additionalProperties": False, "properties": properties}
    return found | ({"required": required} if required else {})


def _named(one: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "patternProperties": {ENDPOINT_NAME_PATTERN: one}}


def _properties(rows: Iterable[SettingRow]) -> dict[str, Any]:
    return {row.key: {"description": row.meaning, **_shape(row)} for row in rows}


def _shape(row: SettingRow) -> dict[str, Any]:
    """What may stand there, as far as the row's words say it without a doubt; null leaves the key out."""
    if row.values == "reference":
        return {"type": ["string", "null"], "pattern": REFERENCE}
    if row.values == "`true` or `false`":
        return {"type": ["boolean", "null"]}
    if re.fullmatch(r"(`[\w.-]+`, )*`[\w.-]+`", row.values):
        return {"enum": [*re.findall(r"`([^`]+)`", row.values), None]}
    if row.values.startswith("whole number"):
        return {"type": ["integer", "null"]}
    return {}
