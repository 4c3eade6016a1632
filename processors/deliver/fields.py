"""Reads the fields of a stranger's JSON: every function takes anything and gives a value that can be trusted, or None.

PHP prints an empty map as `[]`; numbers come as int, float or text; ids as either.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

_ID_CHARACTERS_MAX = 255
_DIGITS_MAX = 64
_DECIMAL = re.compile(r"([+-]?)(\d{0,64})(?:\.(\d{0,64}))?", re.ASCII)


def text_id(value: object) -> str | None:
    """An id as text: a whole number or 1 to 255 characters; None for all else.

    A float is none: it may have lost digits. A large whole number arrives as `Decimal`, and has not.
    """
    if isinstance(value, str):
        # Not trimmed: "A" and "A " may be two things in the provider's eyes.
        return value if value.strip() and len(value) <= _ID_CHARACTERS_MAX else None
    if isinstance(value, int):
        return None if isinstance(value, bool) else str(value)
    if isinstance(value, Decimal):
        return text_id(str(value)) if value.as_tuple().exponent == 0 else None
    return None


def first_id(*values: object) -> str | None:
    """The first of `values` that is an id."""
    for value in values:
        if (found := text_id(value)) is not None:
            return found
    return None


def text(value: object) -> str | None:
    """Text as it is; None for all else and for the empty text."""
    return value if isinstance(value, str) and value else None


def decimal_text(value: object) -> str | None:
    """A number as plain decimal text (`2`, `-1.50`), from a number or text; None for all else.

    None too beyond 64 digits before or after the point: that is no quantity and no price.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return decimal_text(format(value, "f")) if -_DIGITS_MAX <= value.adjusted() < _DIGITS_MAX else None
    found = _DECIMAL.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or not (found[2] or found[3]):
        return None
    sign = "-" if found[1] == "-" else ""
    return f"{sign}{found[2] or '0'}" + (f".{found[3]}" if found[3] else "")


def whole_number(value: object) -> int | None:
    """A whole number from an int or its text; None for all else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value.strip(), re.ASCII):
        return int(value)
    return None


def truth(value: object) -> bool | None:
    """True or false as JSON says it; None for all else."""
    return value if isinstance(value, bool) else None


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object; an empty one for all else, PHP's `[]` included."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> Sequence[Mapping[str, Any]]:
    """The JSON objects in a list; none for all else."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else ()
