"""Writes configuration as TOML: the lines that `dropstream endpoints new` prints and the file that `up` writes."""

import re
from collections.abc import Mapping

import orjson

from schemas.secrets import Secret

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_table(*names: str, rows: Mapping[str, object]) -> str:
    """The table `[name.name]` with a line for each of `rows`, each line ended."""
    header = ".".join(name if _BARE_KEY.fullmatch(name) else toml_value(name) for name in names)
    return f"[{header}]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in rows.items())


def toml_value(value: object) -> str:
    """A text, number, truth, network or list as TOML writes it, which is as JSON does; a secret as its reference."""
    return orjson.dumps(str(value) if isinstance(value, Secret) else value, default=str).decode()
