"""The number of its format in what dropstream keeps for itself on compacted topics, and the refusal of a newer one.

A value is a JSON object that begins with `format`; one without is of format 1, as version 0.1.0 wrote. A format has a
higher number where an older program would misread or lose something of it; a field that an older program may leave out
makes none. A program that meets a higher number than it knows ends with a sentence, and writes nothing there.
"""

from collections.abc import Mapping

import orjson

from schemas.errors import DropstreamError

_FIRST = 1


class NewerFormatError(DropstreamError):
    """A newer version wrote what was read; nothing of it may be guessed, and nothing written over it."""


def numbered(value: bytes, number: int) -> bytes:
    """The JSON object `value`, which has fields, with the number of its format in front."""
    return b'{"format":%d,%b' % (number, value[1:])


def expect_known(value: Mapping[str, object] | bytes | None, *, known: int, what: str) -> None:
    """Returns where the value, decoded or not, is of a format up to `known`; `what` names it in the sentence.

    What is no JSON object is another's fault, and none here.

    Raises:
        NewerFormatError: it is of a higher one.
    """
    found = format_of(value)
    if found > known:
        raise NewerFormatError(newer(what, found, known))


def format_of(value: Mapping[str, object] | bytes | None) -> int:
    """The number of the value's format; 1 where it says none."""
    if not isinstance(value, Mapping):
        try:
            value = orjson.loads(value or b"")
        except orjson.JSONDecodeError:
            return _FIRST
    found = value.get("format") if isinstance(value, Mapping) else None
    return found if isinstance(found, int) else _FIRST


def newer(what: str, found: int, known: int) -> str:
    """The sentence about something of format `found`."""
    return (
        f"{what} is of format {found}, which a newer dropstream wrote; this version knows formats up to {known}\n"
        "Start the newer version again. Nothing was changed there."
    )
