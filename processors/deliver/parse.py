"""The exact bytes of a verified body become a JSON object, or a rejection; no number loses a digit on the way.

orjson reads a whole number beyond 64 bits as a float and forgets how a fraction was written (`2.50`). Where a body
holds such a number it is read once more with the standard library, which is slower and exact.
"""

import decimal
import json
import re
from decimal import Decimal
from typing import Any

import orjson

from processors.deliver.content_coding import coding_of
from processors.deliver.provider import Message
from processors.deliver.repair import repair
from processors.deliver.times import TimeBounds
from schemas.delivery import Delivery
from schemas.notes.rejections import Reason, Rejection

# JSON readers give up somewhere past this many levels (Python's own at about 1,000); an event must never be unreadable.
_NESTING_MAX = 128
# Each value but the first has a comma before it. 10,000 variants with all that a vendor says of each are 200,000
# values; no shop sends many more, and they would cost the others a second.
_VALUES_MAX = 300_000
_DIGITS_EXACT = 18
_BOUNDS = TimeBounds()
# The end of a number that has a fraction or an exponent, every digit being a 0 and E an e, and a number that is too
# long. A text that looks like one costs time and no more; a time of day in quotes does not.
_PLAIN = bytes.maketrans(b"123456789E", b"000000000e")
_FRACTION = re.compile(rb"\.0+(?:e[+-]?0+)?\s*[,\]}]")
_EXPONENT = re.compile(rb"0e[+-]?0+\s*[,\]}]")
_LONG = b"0" * (_DIGITS_EXACT + 1)


def parse(delivery: Delivery, text: bytes | None = None, bounds: TimeBounds = _BOUNDS) -> Message | Rejection:
    """The delivery's message. Fractions and large whole numbers in it are `Decimal`.

    `text` is the body uncompressed, where it was compressed.
    """
    text = delivery.body if text is None else text
    if not text:
        return Rejection(Reason.BODY_NOT_JSON, "the body is empty")
    if len(text) > _VALUES_MAX and text.count(b",") > _VALUES_MAX:
        return Rejection(Reason.BODY_UNRECOGNISED, f"the body holds more than {_VALUES_MAX} values")
    read = _read(delivery, text)
    if isinstance(read, Rejection):
        return read
    body, readable = read
    if not isinstance(body, dict):
        return Rejection(Reason.BODY_UNRECOGNISED, "the body is JSON, but no object")
    if _is_nested_deeper(body, readable, _NESTING_MAX):
        return Rejection(Reason.BODY_UNRECOGNISED, f"the body is nested deeper than {_NESTING_MAX} levels")
    return Message(
        body=_exact(readable) or body,
        payload=orjson.Fragment(readable),
        text=text,
        endpoint=delivery.endpoint,
        received_at=delivery.received_at,
        bounds=bounds,
        is_repaired=readable is not text,
    )


def _read(delivery: Delivery, text: bytes) -> tuple[Any, bytes] | Rejection:
    """What the text holds, and the text that every JSON reader takes: the same object where nothing is to be mended."""
    try:
        return orjson.loads(text), text
    except orjson.JSONDecodeError as error:
        # The error's text quotes nothing of the body, only what was expected and where.
        detail = f"the body is not JSON: {error.msg} at character {error.pos}"
    if (mended := repair(text)) is not None:
        try:
            return orjson.loads(mended), mended
        except orjson.JSONDecodeError:
            pass
    if (coding := coding_of(delivery)) is not None and text is delivery.body:
        detail = f"the body is compressed (content-encoding {coding}), and could not be inflated"
    return Rejection(Reason.BODY_NOT_JSON, detail)


def _exact(text: bytes) -> dict[str, Any] | None:
    """The object with every number exact; None where orjson's reading is."""
    plain = text.translate(_PLAIN)
    if _LONG not in plain and not _FRACTION.search(plain) and not _EXPONENT.search(plain):
        return None
    try:
        read: dict[str, Any] = _EXACT.decode(text.decode())
    except decimal.InvalidOperation:  # An exponent of 20 digits: a number that is none.
        return None
    return read


def _whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _DIGITS_EXACT else Decimal(digits)


_EXACT = json.JSONDecoder(parse_float=Decimal, parse_int=_whole)


def _is_nested_deeper(value: Any, text: bytes, levels: int) -> bool:
    # Cheap first: no value is deeper than its text has opening brackets.
    if text.count(b"{") + text.count(b"[") <= levels:
        return False
    level: list[Any] = [value]
    for _ in range(levels):
        level = [inner for outer in level for inner in _containers(outer)]
        if not level:
            return False
    return True


def _containers(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value
    return [one for one in inner if isinstance(one, dict | list)]
