"""JSON as a stranger may send it: a fixture's body with anything anywhere."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object that the bytes are, if they are one."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


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
