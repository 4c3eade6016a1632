"""What a person calls by name, and the nearest valid name where there is none."""

import difflib
from collections.abc import Collection

from schemas.errors import UsageError


def nearest(name: str, valid: Collection[str]) -> str:
    """The nearest valid name, or all of them, as the end of a sentence."""
    near = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.4)
    return f"; nearest: {near[0]}" if near else f"; there are: {', '.join(sorted(valid)) or 'none'}"


def check_name(what: str, name: str | None, valid: Collection[str]) -> None:
    """Nothing where the name is valid or not given.

    Raises:
        UsageError: it is none; names the nearest.
    """
    if name is not None and name not in valid:
        raise UsageError(f"no such {what}: {name}{nearest(name, valid)}")
