"""JSON as a stranger may send it: a fixture's body with anything anywhere."""

import json
import re
from collections.abc import Callable, Iterator
from math import isinf
from typing import Any

from hypothesis import strategies as st


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object that the bytes are, if they are one, as every JSON reader takes it."""
    try:
        value = readable(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def readable(text: bytes) -> Any:
    """The JSON of a text, of which many readers would refuse a part: half a character, a number without an end.

    The standard library refuses neither, so it is the second judge here.
    """

    def mended(value: Any) -> Any:
        if isinstance(value, dict):
            return {mended(key): mended(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [mended(one) for one in value]
        return re.sub("[\ud800-\udfff]", "\ufffd", value) if isinstance(value, str) else value

    return mended(json.loads(text, parse_float=lambda digits: digits if isinf(float(digits)) else float(digits)))


def walk(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value inside `value`, itself first, with its path."""
    yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from walk(part, (*path, key))


strange_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**40), max_value=10**40)
    | st.integers().map(str)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=300)
    | st.sampled_from(
        ["", " ", "\x00", "\x7f\x85", "￿", "é" * 300, "\ud800", "-0", "1e5", "9999-12-31T23:59:59-12:00"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def mutations(draw: Callable[[st.SearchStrategy[Any]], Any], original: dict[str, Any]) -> dict[str, Any]:
    """`original` with up to four values, anywhere in it, replaced or left out."""
    body: dict[str, Any] = json.loads(json.dumps(original))
    for _ in range(draw(st.integers(min_value=1, max_value=4))):
        paths = [path for path, _ in walk(body) if path]
        if not paths:
            break
        *outer, last = draw(st.sampled_from(paths))
        place: Any = body
        for key in outer:
            place = place[key]
        if draw(st.booleans()):
            place[last] = draw(strange_json)
        else:
            del place[last]
    return body
