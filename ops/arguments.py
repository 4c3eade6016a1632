"""Reads an argument of the command line by a function that refuses it with the end of a sentence."""

from collections.abc import Callable
from typing import TypeVar

import typer

Parsed = TypeVar("Parsed")


def parsed(parse: Callable[[str], Parsed], text: str, option: str) -> Parsed:
    """What `parse` makes of `text`.

    Raises:
        typer.BadParameter: `parse` refuses it with a ValueError, the end of a sentence that begins with the text.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}", param_hint=option) from error
