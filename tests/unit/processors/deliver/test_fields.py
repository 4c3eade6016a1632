"""`processors.deliver.fields`: anything of a stranger in, a value that can be trusted or None out."""

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.deliver.fields import decimal_text, first_id, mapping, objects, text, text_id, truth, whole_number

U64_MAX = 2**64 - 1
# What orjson can read: whole numbers up to 64 bits, finite floats.
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=U64_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
digits = st.text(alphabet="0123456789", min_size=1, max_size=18)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (265494, "265494"),
        (0, "0"),
        (U64_MAX, "18446744073709551615"),
        ("100000015", "100000015"),
        (" sku 1\n", " sku 1\n"),
        ("x" * 255, "x" * 255),
        ("x" * 256, None),
        ("", None),
        ("  ", None),
        (12.0, None),
        (True, None),
        (None, None),
        ([1], None),
        ({"id": 1}, None),
    ],
)
def test_an_id_is_a_whole_number_or_short_text(value: object, expected: str | None) -> None:
    """A float is no id, for it may have lost digits; true is no number."""
    assert text_id(value) == expected


def test_the_first_id_is_the_first_that_is_one() -> None:
    """What is no id is passed over; where nothing is one, there is none."""
    assert first_id(None, "", False, 7, "8") == "7"
    assert first_id(None, [], 1.5) is None
    assert first_id() is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, "2"),
        (-5, "-5"),
        (2.25, "2.25"),
        (-0.5, "-0.5"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        ("2.0000", "2.0000"),
        ("+3", "3"),
        (" -1.50 ", "-1.50"),
        ("1e3", None),
        ("1,5", None),
        (".5", "0.5"),
        ("5.", "5"),
        ("NaN", None),
        ("٣", None),
        ("9" * 65, None),
        ("", None),
        (True, None),
        (None, None),
        ([2], None),
    ],
)
def test_a_number_is_plain_decimal_text(value: object, expected: str | None) -> None:
    """Int, float and text give the same plain digits; no exponent, no other script, nothing endless."""
    assert decimal_text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (12, 12),
        (0, 0),
        (-1, -1),
        ("12", 12),
        (" 12 ", 12),
        ("012", 12),
        ("9" * 18, 999_999_999_999_999_999),
        ("9" * 19, None),
        ("-1", None),
        ("1.0", None),
        ("١٢", None),
        ("1_0", None),
        (12.0, None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_a_whole_number_is_an_int_or_its_digits(value: object, expected: int | None) -> None:
    """PHP prints a whole number either way; nothing else is one."""
    assert whole_number(value) == expected


def test_text_is_text_that_is_not_empty() -> None:
    """Text stays as it is, white space included."""
    assert text(" a ") == " a "
    strangers: list[object] = ["", None, 5, True, [], {}]
    assert [text(value) for value in strangers] == [None] * 6


def test_truth_is_what_json_calls_so() -> None:
    """0, 1 and words are neither true nor false."""
    assert [truth(value) for value in (True, False, 1, 0, "true", None)] == [True, False, None, None, None, None]


def test_an_empty_list_is_an_empty_map() -> None:
    """PHP prints an empty map as `[]`."""
    assert mapping({"a": 1}) == {"a": 1}
    strangers: list[object] = [[], None, "a", 5, [{"a": 1}]]
    assert [mapping(value) for value in strangers] == [{}] * 5


def test_objects_are_the_objects_of_a_list() -> None:
    """What is no object in the list is passed over, and what is no list has none."""
    assert list(objects([{"a": 1}, None, 5, [], "x", {}])) == [{"a": 1}, {}]
    strangers: list[object] = [{"a": {}}, None, "ab", 5]
    assert [list(objects(value)) for value in strangers] == [[]] * 4


@given(json_values)
def test_every_reader_takes_anything(value: object) -> None:
    """No JSON value is an error, and what comes out keeps its promise."""
    identity = text_id(value)
    assert identity is None or 0 < len(identity) <= 255
    number = decimal_text(value)
    assert number is None or re.fullmatch(r"-?\d+(\.\d+)?", number, re.ASCII)
    assert isinstance(whole_number(value), int | None)
    assert isinstance(mapping(value), dict)
    assert all(isinstance(entry, dict) for entry in objects(value))


@given(
    st.floats(min_value=1e-48, max_value=1e60)
    | st.floats(min_value=-1e60, max_value=-1e-48)
    | st.integers(min_value=-(2**63), max_value=U64_MAX)
)
def test_decimal_text_loses_nothing(number: float) -> None:
    """A number read from JSON and its decimal text are equal."""
    read = decimal_text(orjson.loads(orjson.dumps(number)))
    assert read is not None
    assert type(number)(read) == number


@given(digits)
def test_a_whole_number_and_its_text_are_one(written: str) -> None:
    """`12` and `"12"` are the same sequence id."""
    assert whole_number(written) == whole_number(int(written)) == int(written)
