"""What a mistyped name was probably meant to be."""

import difflib
from collections.abc import Collection


def nearest(name: str, valid: Collection[str]) -> str:
    """The end of a sentence: the nearest of `valid`, or all of them where none is near."""
    near = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.4)
    return f"; nearest: {near[0]}" if near else f"; there are: {', '.join(sorted(valid))}"
