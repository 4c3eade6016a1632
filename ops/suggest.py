"""Corrects a name that a person typed: the nearest valid name, as the end of an error's sentence."""

import difflib
from collections.abc import Collection

from schemas.errors import UsageError


def nearest(name: str, valid: Collection[str]) -> str:
    """`; nearest: NAME`; empty where no valid name is like `name`."""
    near = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.4)
    return f"; nearest: {near[0]}" if near else ""


def nearest_or_all(name: str, valid: Collection[str]) -> str:
    """`; nearest: NAME`; `; there are: ` and all valid names where none is like `name`."""
    return nearest(name, valid) or f"; there are: {', '.join(sorted(valid)) or 'none'}"


def check_name(what: str, name: str | None, valid: Collection[str]) -> None:
    """Returns where `name` is valid or None; `what` is the noun of the error's sentence.

    Raises:
        UsageError: `name` is not valid; names the nearest valid one.
    """
    if name is not None and name not in valid:
        raise UsageError(f"no such {what}: {name}{nearest_or_all(name, valid)}")
